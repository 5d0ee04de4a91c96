//! Formats of strings: names, digests, sizes, durations and the like, each with its check.

use super::form::{Format, Mistake};
use super::measures::{parse_duration, parse_size, parse_stack};
use crate::events::{Output, Schedule, ScheduleError};
use crate::platform::is_health_path;
use crate::route::Route;
use crate::template::{Template, is_variable_name};
use crate::websocket::{is_origin, is_topic};

type Checked = Result<(), Mistake>;

pub(crate) fn no(problem: impl Into<String>) -> Mistake {
    Mistake { problem: problem.into(), hint: None }
}

pub(crate) fn no_hint(problem: impl Into<String>, hint: impl Into<String>) -> Mistake {
    Mistake { problem: problem.into(), hint: Some(hint.into()) }
}

macro_rules! formats {
    ($($id:ident, $name:literal, $doc:literal, $pattern:expr, $check:expr;)*) => {
        $(pub(crate) static $id: Format = Format {
            name: $name, doc: $doc, pattern: $pattern, check: $check,
        };)*
    };
}

formats! {
    TEXT, "a text", "Any text.", None, |_| Ok(());
    NAME, "a name", "Any text that is not empty.", Some("."), not_empty;
    COMPONENT_ID, "a component id", "Words of letters and digits joined by `-` (kebab-case), each in one case; the first begins with a letter.",
        Some("^([a-z][a-z0-9]*|[A-Z][A-Z0-9]*)(-([a-z0-9]+|[A-Z0-9]+))*$"), component_id;
    COMPONENT_ID_1, "a component id", "Words of letters and digits joined by `-` or `_`.",
        Some("^[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*$"), component_id_1;
    VARIABLE, "a variable name", "Words of lower-case letters and digits joined by `_` (snake_case); the first begins with a letter.",
        Some("^[a-z][a-z0-9]*(_[a-z0-9]+)*$"), variable;
    LABEL, "a label", "Words of letters and digits joined all by `-` or all by `_`.",
        Some("^[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*$"), label;
    ENVIRONMENT, "an environment variable", "A name without `=`.", Some("^[^=\\u0000]+$"), environment;
    TEMPLATE, "a template", "Text in which `{{ name }}` stands for a variable of the app.", None, template;
    OUTBOUND_HOST, "an outbound host", "`scheme://host[:port]`: a scheme, `{http,https}` or `*`; a name, `*`, `*.example.com`, `self`, an address or a network; a port, `*` or a range such as `8000..9000`. `{{ name }}` stands for a variable.",
        Some("://|\\{\\{"), outbound_host;
    HTTP_HOST, "an HTTP host", "A host, `host:port`, an HTTP URL without a path, `self`, or `insecure:allow-all`.", Some("."), http_host;
    ROUTE, "a route", "A path of segments: text, `:name` for any one segment, `/...` at the end for everything below.", None, route;
    BASE, "a base path", "A path that is put before every route.", None, route;
    HEALTH, "a path of a request", "A path that begins with `/`, and perhaps a query: up to 1024 letters, digits and signs.", Some("^/[!-\"$-~]{0,1023}$"), health;
    URL, "a URL", "An address that begins with `https://` or `http://`.", Some("^https?://."), url;
    DIGEST, "a digest", "`sha256:` and 64 hexadecimal digits.", Some("^sha256:[0-9a-fA-F]{64}$"), digest;
    PACKAGE, "a package", "`namespace:name`.", Some("^[^:/@]+:[^:/@]+$"), package;
    VERSION, "a version", "A semantic version, such as `1.2.3`.", Some("^[0-9]+\\.[0-9]+\\.[0-9]+"), version;
    VERSION_RANGE, "a version range", "Semantic versions that will do, such as `>=1.2` or `^1.0.3`.", Some("."), version_range;
    DEPENDENCY, "an import", "`namespace:package`, `namespace:package/interface`, either with `@version`, or a plain name.", Some("."), dependency;
    PATH, "a path", "A path, relative to the manifest's folder.", Some("."), path;
    GLOB, "a glob", "A pattern for paths below the manifest's folder: `*`, `?`, `[a-z]`, and `**` for any folders.", Some("."), glob;
    GUEST_PATH, "a guest path", "An absolute path as the guest sees it.", Some("^/"), guest_path;
    SIZE, "a size", "A number with `B`, `KiB`, `MiB`, `GiB`, `KB`, `MB` or `GB`.", Some("^[0-9]+(B|[KMG]i?B)$"), |text| parse_size(text).map(drop);
    STACK, "a size of a stack", "A size from `64KiB` to `64MiB`.", Some("^[0-9]+(B|[KMG]i?B)$"), |text| parse_stack(text).map(drop);
    DURATION, "a duration", "A number with `us`, `ms`, `s`, `m` or `h`.", Some("^[0-9]+(us|ms|s|m|h)$"), |text| parse_duration(text).map(drop);
    EXECUTOR, "an executor", "`http` (also called `spin`), or `wagi` for a command called by CGI.", Some("^(spin|http|wagi)$"),
        |text| one_of(text, &["http", "spin", "wagi"]);
    OPTIMIZE, "a goal", "`speed` or `size`.", Some("^(speed|size)$"), |text| one_of(text, &["speed", "size"]);
    CONFIGURATION, "a kind of configuration", "A key of a component that grants something.", None, |text| one_of(text, CONFIGURATIONS);
    HEADER, "a header name", "An HTTP header's name.", Some("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"), header;
    HEADER_VALUE, "a header value", "An HTTP header's value.", None, header_value;
    TRIGGER_KIND, "a trigger kind", "`http`, or the name of another kind of trigger.", Some("."), not_empty;
    CRON, "a cron expression", "Five fields (minute, hour, day of the month, month, day of the week), six with seconds before them, or seven with a year behind; `@hourly` and the like.", Some("."), cron;
    TIME_ZONE, "a time zone", "A name of the IANA database, such as `Europe/Berlin`.", Some("."), time_zone;
    MISSED, "what to do about missed events", "`skip` or `once`.", Some("^(skip|once)$"), |text| one_of(text, &["skip", "once"]);
    START, "where to begin", "`first` or `next`.", Some("^(first|next)$"), |text| one_of(text, &["first", "next"]);
    REDIS_ADDRESS, "an address of Redis", "`redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` for TLS. `{{ name }}` stands for a variable.", Some("^(rediss?://|\\{\\{)"), redis_address;
    MQTT_ADDRESS, "an address of a broker", "`mqtt://[USER:PASSWORD@]HOST[:PORT]`, or `mqtts://` for TLS. `{{ name }}` stands for a variable.", Some("^(mqtts?://|\\{\\{)"), mqtt_address;
    NATS_ADDRESS, "an address of NATS", "`nats://[USER:PASSWORD@]HOST[:PORT]` or `nats://TOKEN@HOST`, or `tls://` for TLS. `{{ name }}` stands for a variable.", Some("^((nats|tls)://|\\{\\{)"), nats_address;
    QUEUE_GROUP, "a queue group", "Any text without spaces.", Some("^\\S*$"), queue_group;
    JETSTREAM_NAME, "a name of JetStream", "Letters, digits, `-` and `_`.", Some("^[A-Za-z0-9_-]+$"), jetstream_name;
    QUALITY, "a quality of service", "`0`, `1` or `2`.", Some("^[012]$"), |text| one_of(text, &["0", "1", "2"]);
    SECONDS, "a number of seconds", "A number from 1 to 65535.", Some("^[0-9]+$"), seconds;
    OUTPUT, "an output", "`component:ID`, `queue:NAME`, `redis://[SERVER/]CHANNEL` (`?as=queue` for a list, `?as=stream` for a stream), `mqtt://[SERVER]/TOPIC`, `nats://[SERVER/]SUBJECT` (`?as=stream` if a stream has to take it), `websocket:TOPIC` or an HTTP URL.", Some("^(component|queue|rediss?|mqtts?|nats|tls|websocket|https?):."), output;
    TOPIC, "a topic", "The name of a topic of WebSockets: up to 256 bytes.", Some("."), topic;
    ORIGIN, "an origin", "`https://HOST[:PORT]` as browsers send it, or `*` for all.", Some("^(\\*|[a-z][a-z0-9-]*://[a-z0-9._:\\[\\]-]+)$"), origin;
    ORDER, "a key of events", "The name of an attribute (lower-case letters and digits), or a JSON pointer into the data, such as `/customer/id`.", Some("^([a-z0-9]{1,64}|/.*)$"), order;
    QUEUE, "the name of a queue", "Letters, digits, `-`, `_` and `.`; up to 64 of them.", Some("^[A-Za-z0-9._-]{1,64}$"), queue;
    VERSION_1, "a manifest version", "`\"1\"`.", Some("^1$"), |text| one_of(text, &["1"]);
}

/// What a dependency may inherit, one by one.
const CONFIGURATIONS: &[&str] = &[
    "ai_models",
    "allowed_outbound_hosts",
    "blob_containers",
    "environment",
    "files",
    "key_value_stores",
    "messaging",
    "sqlite_databases",
    "variables",
    "websockets",
];

fn cron(text: &str) -> Checked {
    Schedule::parse(text, None).map(drop).map_err(|error| match error {
        ScheduleError::Never => {
            no_hint("is never due", "a day that no month has, or a year that is over")
        }
        error => no_hint(error.to_string(), "for example `*/5 * * * *`: every five minutes"),
    })
}

fn time_zone(text: &str) -> Checked {
    Schedule::zone(text).map(drop).map_err(|error| no(error.to_string()))
}

fn redis_address(text: &str) -> Checked {
    address(text, ["redis://", "rediss://"], "for example `redis://127.0.0.1:6379`")
}

fn mqtt_address(text: &str) -> Checked {
    address(text, ["mqtt://", "mqtts://"], "for example `mqtt://127.0.0.1:1883`")
}

fn nats_address(text: &str) -> Checked {
    address(text, ["nats://", "tls://"], "for example `nats://127.0.0.1:4222`")
}

fn address(text: &str, schemes: [&str; 2], hint: &str) -> Checked {
    template(text)?;
    match schemes.iter().chain(&["{{"]).any(|start| text.starts_with(start)) {
        true => Ok(()),
        false => Err(no_hint("has no scheme", hint)),
    }
}

fn queue_group(text: &str) -> Checked {
    match text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        true => Err(no("has a space")),
        false => Ok(()),
    }
}

fn jetstream_name(text: &str) -> Checked {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || ['-', '_'].contains(&c);
    match text {
        "" => Err(no("is empty")),
        text if text.chars().all(is_legal) => Ok(()),
        _ => Err(no_hint("has other characters", "only letters, digits, `-` and `_`")),
    }
}

fn seconds(text: &str) -> Checked {
    match text.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err(no("is no number from 1 to 65535")),
    }
}

fn output(text: &str) -> Checked {
    match Output::parse(text) {
        Ok(Output::Queue(name)) => queue(&name),
        Ok(_) => Ok(()),
        Err(error) => Err(no_hint(
            error.to_string(),
            "write `component:ID`, `queue:NAME`, `redis://CHANNEL`, `mqtt:///TOPIC`, `nats://SUBJECT`, `websocket:TOPIC` or a URL of HTTP",
        )),
    }
}

fn topic(text: &str) -> Checked {
    match is_topic(text) {
        true => Ok(()),
        false => Err(no("is no name of a topic: up to 256 bytes, no control characters")),
    }
}

fn origin(text: &str) -> Checked {
    match text == "*" || is_origin(text) {
        true => Ok(()),
        false => Err(no_hint(
            "is not what browsers send",
            "a scheme and a host in lower case, for example `https://example.com`",
        )),
    }
}

fn order(text: &str) -> Checked {
    let is_legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    match text {
        "" => Err(no("is empty")),
        text if text.len() > 256 => Err(no("is longer than 256 characters")),
        text if text.starts_with('/') || text.bytes().all(is_legal) => Ok(()),
        _ => Err(no("is neither the name of an attribute nor a JSON pointer")),
    }
}

fn queue(text: &str) -> Checked {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    match text.chars().find(|c| !is_legal(*c)) {
        Some(c) => Err(no(format!("contains {c:?}"))),
        None if text.is_empty() => Err(no("is empty")),
        None if text.len() > 64 => Err(no("is longer than 64 characters")),
        None => Ok(()),
    }
}

fn not_empty(text: &str) -> Checked {
    if text.trim().is_empty() { Err(no("is empty")) } else { Ok(()) }
}

pub(crate) fn one_of(text: &str, allowed: &[&str]) -> Checked {
    if allowed.contains(&text) {
        return Ok(());
    }
    let names: Vec<_> = allowed.iter().map(|name| format!("\"{name}\"")).collect();
    let hint = match super::check::nearest(text, allowed.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("write one of {}", names.join(", ")),
    };
    Err(no_hint("is not known", hint))
}

/// Words joined by one of two characters. As in Spin, a word is all in one case.
fn words(text: &str, joint: char, other: char) -> Checked {
    if text.is_empty() {
        return Err(no("is empty"));
    }
    let kebab = text.replace([other, ' ', '.'], &joint.to_string()).to_lowercase();
    let hint = format!("for example `{kebab}`");
    if text.contains(other) {
        return Err(no_hint(format!("joins words by `{other}` instead of `{joint}`"), hint));
    }
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(no("does not begin with a letter"));
    }
    for word in text.split(joint) {
        if word.is_empty() {
            return Err(no(format!("has a `{joint}` that joins nothing")));
        }
        if let Some(c) = word.chars().find(|c| !c.is_ascii_alphanumeric()) {
            return Err(no(format!(
                "contains {c:?}, only letters, digits and `{joint}` are allowed"
            )));
        }
        let upper = word.bytes().any(|b| b.is_ascii_uppercase());
        if upper && word.bytes().any(|b| b.is_ascii_lowercase()) {
            return Err(no_hint(format!("mixes cases in the word `{word}`"), hint));
        }
    }
    Ok(())
}

fn component_id(text: &str) -> Checked {
    words(text, '-', '_')
}

fn component_id_1(text: &str) -> Checked {
    words(&text.replace('_', "-").to_lowercase(), '-', '_')
}

fn label(text: &str) -> Checked {
    if text.contains('_') && !text.contains('-') {
        words(text, '_', '-')
    } else {
        words(text, '-', '_')
    }
}

fn variable(text: &str) -> Checked {
    if is_variable_name(text) {
        return Ok(());
    }
    let mended = text.replace(['-', ' ', '.'], "_").to_lowercase();
    let problem = "is not lower snake_case";
    Err(if is_variable_name(&mended) {
        no_hint(problem, format!("write `{mended}`"))
    } else {
        no_hint(problem, "write words of lower-case letters and digits joined by `_`")
    })
}

fn environment(text: &str) -> Checked {
    match text {
        "" => Err(no("is empty")),
        _ if text.contains(['=', '\0']) => Err(no("contains `=` or a zero character")),
        _ => Ok(()),
    }
}

fn template(text: &str) -> Checked {
    Template::parse(text).map(drop).map_err(|error| {
        no_hint(
            format!("does not parse: {error}"),
            "a variable is written `{{ name }}`, in lower snake_case",
        )
    })
}

fn outbound_host(text: &str) -> Checked {
    use crate::outbound::{OutboundError, OutboundHosts};
    OutboundHosts::parse([text]).map(drop).map_err(|error| match error {
        OutboundError::Pattern(error) => no_hint(error.problem(), error.hint()),
        _ => no_hint(
            format!("does not parse: {error}"),
            "a variable is written `{{ name }}`, in lower snake_case",
        ),
    })
}

fn http_host(text: &str) -> Checked {
    use crate::outbound::{OutboundError, from_allowed_http_hosts};
    from_allowed_http_hosts(text).map(drop).map_err(|error| match error {
        OutboundError::Pattern(error) => no_hint(error.problem(), error.hint()),
        _ => no(error.to_string()),
    })
}

fn route(text: &str) -> Checked {
    let Err(error) = Route::parse(text) else {
        return Ok(());
    };
    // The value is shown already.
    let problem = error.to_string();
    let shown = format!("route `/{}` ", text.strip_prefix('/').unwrap_or(text));
    let rest = problem.strip_prefix(&shown).or_else(|| problem.strip_prefix("the route "));
    Err(no_hint(rest.unwrap_or(&problem), error.hint()))
}

fn health(text: &str) -> Checked {
    match (is_health_path(text), text.starts_with('/')) {
        (true, _) => Ok(()),
        (false, false) => Err(no_hint("does not begin with `/`", format!("write `/{text}`"))),
        (false, true) => {
            Err(no("has blanks, `#` or other letters than ASCII's, or is longer than 1024"))
        }
    }
}

fn url(text: &str) -> Checked {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        None => Err(no_hint("has no `https://`", "write the whole address")),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Err(no("names no host")),
        Some(_) if text.contains(char::is_whitespace) => Err(no("contains a space")),
        Some(_) => Ok(()),
    }
}

fn digest(text: &str) -> Checked {
    const HINT: &str = "`sha256sum FILE` prints the digits";
    let Some(digits) = text.strip_prefix("sha256:") else {
        return Err(no_hint("does not begin with `sha256:`", HINT));
    };
    if digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(no_hint("does not end in 64 hexadecimal digits", HINT))
}

fn package(text: &str) -> Checked {
    let part = |part: &str| words(part, '-', '_').is_ok();
    match text.split_once(':') {
        Some((namespace, name)) if part(namespace) && part(name) => Ok(()),
        _ => {
            Err(no_hint("is not `namespace:name`", "for example `wasi:http`, words in kebab-case"))
        }
    }
}

fn version(text: &str) -> Checked {
    semver::Version::parse(text.trim_start_matches('=').trim()).map(drop).map_err(|error| {
        no_hint(format!("does not parse: {error}"), "write three numbers, for example `1.0.0`")
    })
}

fn version_range(text: &str) -> Checked {
    semver::VersionReq::parse(text).map(drop).map_err(|error| {
        no_hint(format!("does not parse: {error}"), "for example `1.2.3`, `^1.2` or `>=1.0, <2.0`")
    })
}

fn dependency(text: &str) -> Checked {
    if !text.contains([':', '/']) {
        return words(text, '-', '_');
    }
    let (name, version_text) = match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    if let Some(text) = version_text {
        version(text)?;
    }
    match name.split_once('/') {
        None => package(name),
        Some((name, interface)) => package(name).and_then(|()| words(interface, '-', '_')),
    }
}

fn path(text: &str) -> Checked {
    match text {
        "" => Err(no("is empty")),
        _ if text.contains('\0') => Err(no("contains a zero character")),
        _ => Ok(()),
    }
}

fn glob(text: &str) -> Checked {
    path(text)?;
    if text.starts_with('/') {
        return Err(no_hint(
            "is absolute",
            "globs are relative to the manifest's folder; `{ source, destination }` mounts other folders",
        ));
    }
    for part in text.split('/') {
        if part == ".." {
            return Err(no_hint(
                "leaves the manifest's folder",
                "`{ source, destination }` mounts other folders",
            ));
        }
        if part.contains("**") && part != "**" {
            return Err(no_hint(
                "has `**` beside other text",
                "`**` stands alone between slashes: `assets/**/*.png`",
            ));
        }
        if part.matches('[').count() > part.matches(']').count() {
            return Err(no_hint(
                "has a `[` without its `]`",
                "write `[[]` for the character itself",
            ));
        }
    }
    Ok(())
}

fn guest_path(text: &str) -> Checked {
    path(text)?;
    if !text.starts_with('/') {
        return Err(no_hint("is not absolute", format!("write `/{text}`")));
    }
    if text.split('/').any(|part| part == "..") {
        return Err(no("contains `..`"));
    }
    Ok(())
}

/// Headers of responses that the host writes by itself.
const HOST_HEADERS: [&str; 7] =
    ["connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

fn header(text: &str) -> Checked {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || !text.bytes().all(token) {
        return Err(no("is not made of letters, digits and `-`"));
    }
    if HOST_HEADERS.iter().any(|name| text.eq_ignore_ascii_case(name)) {
        return Err(no_hint("is set by the host itself", "remove it"));
    }
    Ok(())
}

fn header_value(text: &str) -> Checked {
    match text.chars().find(|c| c.is_control() && *c != '\t') {
        None => Ok(()),
        Some(c) => Err(no(format!("contains {c:?}"))),
    }
}
