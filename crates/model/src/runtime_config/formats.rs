//! Formats of strings that only a runtime configuration has.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::manifest::form::{Format, Mistake};
use crate::manifest::formats::{no, no_hint, one_of};

type Checked = Result<(), Mistake>;

pub(super) static PATH: Format = Format {
    name: "a path of this machine",
    doc: "A path, absolute or relative to the folder of the runtime configuration.",
    pattern: Some("."),
    check: path,
};

pub(super) static HOST: Format = Format {
    name: "a host",
    doc: "A name or an address, without scheme and port.",
    pattern: Some("."),
    check: host,
};

pub(super) static NETWORK: Format = Format {
    name: "a network",
    doc: "An address, a network such as `10.0.0.0/8`, or `private` for all that is not public.",
    pattern: Some("."),
    check: |text| parse_network(text).map(drop),
};

pub(super) static REDIS_URL: Format = Format {
    name: "a Redis URL",
    doc: "`redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` for TLS.",
    pattern: Some("^rediss?://."),
    check: redis_url,
};

pub(super) static BUCKET: Format = Format {
    name: "a bucket",
    doc: "3 to 63 lower-case letters, digits, `-` and `.`.",
    pattern: Some("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"),
    check: bucket,
};

pub(super) static PREFIX: Format = Format {
    name: "a prefix",
    doc: "Nothing, or words of letters, digits, `-`, `_` and `.` joined by `/`.",
    pattern: None,
    check: prefix,
};

pub(super) static NATS_URL: Format = Format {
    name: "a NATS URL",
    doc: "`nats://[USER:PASSWORD@]HOST[:PORT]` or `nats://TOKEN@HOST`, or `tls://` for TLS.",
    pattern: Some("^(nats|tls)://."),
    check: |text| server_url(text, ["nats://", "tls://"]),
};

pub(super) static MQTT_URL: Format = Format {
    name: "an MQTT URL",
    doc: "`mqtt://[USER:PASSWORD@]HOST[:PORT]`, or `mqtts://` for TLS.",
    pattern: Some("^mqtts?://."),
    check: |text| server_url(text, ["mqtt://", "mqtts://"]),
};

pub(super) static LLM_API: Format = Format {
    name: "an interface of language models",
    doc: "`open_ai` for OpenAI's, `default` for Spin's own (`/infer`, `/embed`).",
    pattern: Some("^(open_ai|default)$"),
    check: |text| one_of(text, &["open_ai", "default"]),
};

pub(super) static TYPE: Format =
    Format { name: "a type", doc: "What the table is about.", pattern: None, check: |_| Ok(()) };

fn path(text: &str) -> Checked {
    match text {
        "" => Err(no_hint("is empty", "leave the key out")),
        _ if text.contains('\0') => Err(no("contains a zero character")),
        _ => Ok(()),
    }
}

fn host(text: &str) -> Checked {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if bare.is_empty() {
        return Err(no("is empty"));
    }
    if bare.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    if let Some((_, rest)) = text.split_once("://") {
        return Err(no_hint("has a scheme", format!("write `{rest}`")));
    }
    if let Some((name, _)) = text.split_once(':') {
        return Err(no_hint("has a port", format!("write `{name}`: it holds for every port")));
    }
    if text.contains('*') {
        return Err(no_hint("has a wildcard", "name each host"));
    }
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    match text.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(no(format!("contains {c:?}"))),
        None => Ok(()),
    }
}

fn bucket(text: &str) -> Checked {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    if let Some(c) = text.chars().find(|c| !inner(*c)) {
        return Err(no(format!("contains {c:?}")));
    }
    if !(3..=63).contains(&text.len()) {
        return Err(no("has not 3 to 63 characters"));
    }
    if text.starts_with(['.', '-']) || text.ends_with(['.', '-']) || text.contains("..") {
        return Err(no("begins or ends with `.` or `-`, or contains `..`"));
    }
    Ok(())
}

fn prefix(text: &str) -> Checked {
    const LONGEST: usize = 256;
    if text.len() > LONGEST {
        return Err(no(format!("has more than {LONGEST} characters")));
    }
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    if let Some(c) = text.chars().find(|c| !inner(*c)) {
        return Err(no(format!("contains {c:?}")));
    }
    if text.is_empty() {
        return Ok(());
    }
    match text.split('/').find(|word| word.is_empty() || word.starts_with('.')) {
        None => Ok(()),
        Some("") => {
            Err(no_hint("begins or ends with `/`, or contains `//`", "remove what is too much"))
        }
        Some(word) => Err(no(format!("contains `{word}`, which begins with `.`"))),
    }
}

/// A network, bits behind its prefix ignored as in Spin; `None` for `private`.
pub(super) fn parse_network(text: &str) -> Result<Option<IpNet>, Mistake> {
    if text == "private" {
        return Ok(None);
    }
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map(|network| Some(network.trunc())).map_err(|_| {
        no_hint(
            "is neither a network nor `private`",
            "write an address and the number of its fixed bits: `10.0.0.0/8`",
        )
    })
}

/// A URL that names a server, and how to log in to it, and nothing else.
fn server_url(text: &str, schemes: [&str; 2]) -> Checked {
    let Some(rest) = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)) else {
        let (problem, hint) = (
            format!("does not begin with `{}`", schemes[0]),
            format!("write `{}HOST:PORT`", schemes[0]),
        );
        return Err(no_hint(problem, hint));
    };
    let server = rest.strip_suffix('/').unwrap_or(rest);
    let host = server.rsplit_once('@').map_or(server, |(_, host)| host);
    if host.is_empty() || host.starts_with(':') {
        return Err(no("names no host"));
    }
    match server.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#')) {
        true => Err(no_hint("is more than a server", "leave out what follows the port")),
        false => Ok(()),
    }
}

fn redis_url(text: &str) -> Checked {
    let rest = text.strip_prefix("redis://").or_else(|| text.strip_prefix("rediss://"));
    match rest {
        None => Err(no_hint("does not begin with `redis://`", "write `redis://HOST:PORT`")),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Err(no("names no host")),
        Some(_) if text.contains(char::is_whitespace) => Err(no("contains a space")),
        Some(_) => Ok(()),
    }
}
