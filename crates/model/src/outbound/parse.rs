//! Parses one entry of `allowed_outbound_hosts`, by Spin's rules.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::address::canonical;
use super::pattern::{
    HostPattern, HostRule, PatternError, Ports, is_host_name, looks_numeric, well_known_port,
};

/// What is wrong and how to mend it.
type Problem = (String, String);

fn problem(what: impl Into<String>, hint: impl Into<String>) -> Problem {
    (what.into(), hint.into())
}

const FORM: &str = "write `scheme://host:port`, for example `https://api.example.com`";

impl HostPattern {
    /// Parses one entry.
    ///
    /// # Errors
    /// The entry is malformed.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let trimmed = text.trim();
        parse(trimmed).map_err(|(problem, hint)| PatternError {
            entry: trimmed.to_owned(),
            problem,
            hint,
        })
    }
}

fn parse(entry: &str) -> Result<HostPattern, Problem> {
    if entry == "insecure:allow-all" {
        return Err(problem(
            "is not allowed here",
            "`*://*:*` grants every public host; name private ones, for example `http://localhost:8080`",
        ));
    }
    let Some((scheme, rest)) = entry.split_once("://") else {
        return Err(problem("has no scheme", FORM));
    };
    let schemes = parse_schemes(scheme)?;
    let (host, port) = split_port(rest)?;
    Ok(HostPattern {
        host: parse_host(host)?,
        ports: parse_ports(port, &schemes)?,
        schemes,
        text: entry.to_owned(),
    })
}

fn parse_schemes(scheme: &str) -> Result<Vec<String>, Problem> {
    if scheme == "*" {
        return Ok(Vec::new());
    }
    let list = scheme.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
    let schemes = list.unwrap_or(scheme).split(',').map(str::trim);
    schemes
        .map(|scheme| {
            if !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphabetic()) {
                Ok(scheme.to_ascii_lowercase())
            } else {
                Err(problem(
                    format!("has the scheme `{scheme}`, which is not made of letters"),
                    "write `*`, one scheme, or a list such as `{http,https}`",
                ))
            }
        })
        .collect()
}

/// Splits `host[:port][/]`. The colons of a bare IPv6 network belong to the host, except the
/// last: that is how Spin reads `fd00::/8:443`.
fn split_port(rest: &str) -> Result<(&str, &str), Problem> {
    if rest.starts_with('[') {
        let Some(end) = rest.find(']') else {
            return Err(problem("has a `[` without its `]`", FORM));
        };
        // `[fd00::]/8:443`: the prefix length belongs to the network.
        let end = rest[end..].find(':').map_or(rest.len(), |colon| end + colon);
        let (host, port) = rest.split_at(end);
        return without_path(host, port.strip_prefix(':').unwrap_or(port));
    }
    let (host, port) = rest.rsplit_once(':').unwrap_or((rest, ""));
    without_path(host, port)
}

fn without_path<'a>(host: &'a str, port: &'a str) -> Result<(&'a str, &'a str), Problem> {
    match port.split_once('/') {
        Some((port, "")) => Ok((host, port)),
        Some(_) => Err(path_problem()),
        None => Ok((host, port)),
    }
}

fn path_problem() -> Problem {
    problem("has a path", "grants are for whole hosts: leave the path out")
}

fn parse_host(host: &str) -> Result<HostRule, Problem> {
    let host = host.trim();
    match host {
        "*" => return Ok(HostRule::Any),
        "self" | "self.alt" => return Ok(HostRule::App),
        "" => return Err(problem("has no host", FORM)),
        _ => {}
    }
    if let Some(net) = parse_network(host) {
        return Ok(HostRule::Network(net));
    }
    let host = host.trim_end_matches('/');
    if host.contains('/') {
        return Err(path_problem());
    }
    let (suffix, name) = match host.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, host),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.contains('*') {
        return Err(problem(
            "has a `*` inside the host",
            "a wildcard stands for the whole host (`*`) or for its first labels (`*.example.com`)",
        ));
    }
    if looks_numeric(name) {
        return Err(problem(
            "has a number for a host",
            "write an IPv4 address as four decimal numbers, for example `127.0.0.1`",
        ));
    }
    if !is_host_name(name) {
        return Err(problem(
            format!("has `{host}` for a host, which is no host name"),
            "write names in letters, digits, `-`, `_` and `.`, international ones as punycode, IPv6 addresses in brackets",
        ));
    }
    let name = name.to_ascii_lowercase();
    Ok(if suffix { HostRule::Suffix(format!(".{name}")) } else { HostRule::Name(name) })
}

/// An address or a network, in canonical form and without host bits.
fn parse_network(host: &str) -> Option<IpNet> {
    let (address, length) = match host.split_once('/') {
        Some((address, "")) => (address, None),
        Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
        None => (host, None),
    };
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
    let address: IpAddr = match bare {
        Some(v6) => v6.parse::<Ipv6Addr>().ok()?.into(),
        None => address.parse().ok()?,
    };
    match length {
        None => Some(IpNet::from(canonical(address))),
        Some(length) => canonical_network(address, length),
    }
}

/// A network of IPv4 addresses that are mapped into IPv6 is one of IPv4.
fn canonical_network(address: IpAddr, length: u8) -> Option<IpNet> {
    if let (IpAddr::V6(v6), 96..=128) = (address, length)
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        return Some(IpNet::new(v4.into(), length - 96).ok()?.trunc());
    }
    Some(IpNet::new(address, length).ok()?.trunc())
}

fn parse_ports(port: &str, schemes: &[String]) -> Result<Ports, Problem> {
    match port {
        "*" => return Ok(Ports::Any),
        "" if schemes.is_empty() => {
            return Err(problem(
                "has no port, and the scheme `*` has no default one",
                "add a port, or `:*` for all of them",
            ));
        }
        "" => {
            let unknown = schemes.iter().find(|s| well_known_port(s).is_none());
            return match unknown {
                None => Ok(Ports::OfScheme),
                Some(scheme) => Err(problem(
                    format!("has no port, and the scheme `{scheme}` has no default one"),
                    "add a port, or `:*` for all of them",
                )),
            };
        }
        _ => {}
    }
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten().ok_or_else(|| {
            problem(
                format!("has the port `{port}`"),
                "a port is `*`, a number to 65535, or a range such as `8000..9000`",
            )
        })
    };
    let Some((start, end)) = port.split_once("..") else {
        return Ok(Ports::One(number(port)?));
    };
    let range = number(start)?..number(end)?;
    if range.is_empty() {
        return Err(problem(
            format!("has the empty port range `{port}`"),
            "the end of a range is not part of it: `8000..8001` is port 8000",
        ));
    }
    Ok(Ports::Range(range))
}
