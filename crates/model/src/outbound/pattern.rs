//! One entry of `allowed_outbound_hosts`: `scheme://host[:port]`, each part a value or a pattern.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use ipnet::IpNet;

use super::address::{AddressClass, AddressScope, canonical, holds};
use super::service_of;

/// A pattern for hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    pub(super) text: String,
    /// Empty for any scheme.
    pub(super) schemes: Vec<String>,
    pub(super) host: HostRule,
    pub(super) ports: Ports,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HostRule {
    Any,
    /// What a name must end with, beginning with a dot.
    Suffix(String),
    /// The app itself.
    App,
    Name(String),
    Network(IpNet),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ports {
    Any,
    /// The well-known port of the request's scheme, one of the pattern's own.
    OfScheme,
    One(u16),
    /// The end is not part of it, as in Spin.
    Range(Range<u16>),
}

/// The host of a request, told apart once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// In lower case, without a trailing dot.
    Name(String),
    /// In canonical form.
    Address(IpAddr),
}

/// Why an entry is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("outbound host `{entry}` {problem}")]
pub struct PatternError {
    pub(super) entry: String,
    pub(super) problem: String,
    pub(super) hint: String,
}

impl HostPattern {
    /// Whether it means the app itself, or another component of it.
    pub fn is_internal(&self) -> bool {
        match &self.host {
            HostRule::App => true,
            HostRule::Name(name) => service_of(name).is_some(),
            HostRule::Suffix(suffix) => suffix == ".spin.internal",
            HostRule::Any | HostRule::Network(_) => false,
        }
    }
}

impl PatternError {
    pub(super) fn legacy(entry: &str) -> Self {
        Self {
            entry: entry.to_owned(),
            problem: "is not a host, a `host:port` or an HTTP URL without a path".to_owned(),
            hint: "use `allowed_outbound_hosts`, for example `https://api.example.com`".to_owned(),
        }
    }

    /// What is wrong, to be put behind the entry.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// How to mend it.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

impl HostPattern {
    pub(super) fn admits(&self, scheme: &str, port: u16) -> bool {
        self.admits_scheme(scheme)
            && match &self.ports {
                Ports::Any => true,
                Ports::OfScheme => well_known_port(scheme) == Some(port),
                Ports::One(one) => *one == port,
                Ports::Range(range) => range.contains(&port),
            }
    }

    fn admits_scheme(&self, scheme: &str) -> bool {
        self.schemes.is_empty() || self.schemes.iter().any(|s| s.eq_ignore_ascii_case(scheme))
    }

    pub(super) fn admits_self(&self, scheme: &str) -> bool {
        matches!(self.host, HostRule::Any | HostRule::App) && self.admits_scheme(scheme)
    }

    /// The addresses that this pattern grants for `host`, if it covers the host.
    pub(super) fn scope(&self, host: &Host) -> Option<AddressScope> {
        match (&self.host, host) {
            (HostRule::Any, _) => Some(AddressScope::Public),
            (HostRule::Suffix(suffix), Host::Name(name)) => {
                name.ends_with(suffix).then_some(AddressScope::Public)
            }
            (HostRule::Name(granted), Host::Name(name)) if granted == name => {
                Some(if name == "localhost" { AddressScope::Loopback } else { AddressScope::Named })
            }
            (HostRule::Network(net), Host::Address(ip)) => {
                holds(net, *ip).then_some(AddressScope::Exactly(*ip))
            }
            _ => None,
        }
    }

    pub(super) fn grants_addresses(&self) -> bool {
        matches!(self.host, HostRule::Network(_))
    }

    pub(super) fn may_reach(&self, ip: IpAddr) -> bool {
        let class = AddressClass::of(ip);
        match &self.host {
            HostRule::Any | HostRule::Suffix(_) => class == AddressClass::Public,
            HostRule::App => false,
            HostRule::Name(name) if name == "localhost" => class == AddressClass::Loopback,
            HostRule::Name(_) => class != AddressClass::Restricted,
            HostRule::Network(net) => holds(net, ip),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Host {
    /// The host of a request; `None` for what is neither a name nor an address.
    pub(super) fn of_request(host: &str) -> Option<Self> {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        if let Some(v6) = bare {
            return Some(Self::Address(canonical(v6.parse::<Ipv6Addr>().ok()?.into())));
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Some(Self::Address(canonical(ip)));
        }
        if looks_numeric(host) || !is_host_name(host) {
            return None;
        }
        Some(Self::Name(host.to_ascii_lowercase()))
    }
}

pub(super) fn well_known_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "postgres" => Some(5432),
        "mysql" => Some(3306),
        "redis" => Some(6379),
        "mqtt" => Some(1883),
        _ => None,
    }
}

/// Whether resolvers may take `host` for an IPv4 address in one of the old spellings: its last
/// label is a number (the URL standard's "ends in a number").
pub(super) fn looks_numeric(host: &str) -> bool {
    if host.parse::<Ipv4Addr>().is_ok() {
        return false;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or(host);
    let digits =
        |s: &str, hex: bool| s.bytes().all(|b| b.is_ascii_digit() || hex && b.is_ascii_hexdigit());
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    !last.is_empty() && digits(last, false) || hex.is_some_and(|h| digits(h, true))
}

pub(super) fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    host.len() <= 253 && host.split('.').all(label)
}
