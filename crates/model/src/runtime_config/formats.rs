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

fn redis_url(text: &str) -> Checked {
    let rest = text.strip_prefix("redis://").or_else(|| text.strip_prefix("rediss://"));
    match rest {
        None => Err(no_hint("does not begin with `redis://`", "write `redis://HOST:PORT`")),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Err(no("names no host")),
        Some(_) if text.contains(char::is_whitespace) => Err(no("contains a space")),
        Some(_) => Ok(()),
    }
}
