//! Outbound grants: which hosts a component may reach, by name and by the address behind it.
//!
//! A manifest's `allowed_outbound_hosts` parses into [`OutboundHosts`]. A connection is checked
//! twice: its scheme, host and port before the name is resolved, which yields an
//! [`AddressScope`], and each resolved address against that scope. Nothing here resolves names.

mod address;
mod legacy;
mod parse;
mod pattern;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

pub use address::{AddressClass, AddressScope, canonical};
pub use legacy::from_allowed_http_hosts;
pub use pattern::{HostPattern, PatternError};

use crate::template::{Template, TemplateError};
use pattern::Host;

/// A transport protocol of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP: entries with the scheme `tcp` or `*` grant it.
    Tcp,
    /// UDP: entries with the scheme `udp` or `*` grant it.
    Udp,
}

impl Protocol {
    /// The scheme that grants such sockets.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// The hosts that a component may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboundHosts {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Pattern(HostPattern),
    /// Grants nothing until it is resolved.
    Template(Template),
}

/// Why an entry of `allowed_outbound_hosts` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// The entry is no pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The entry is no template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A variable in the entry has no value.
    #[error(transparent)]
    Variable(#[from] crate::template::MissingVariable),
    /// The values of the variables in the entry make no pattern; they may be secret.
    #[error("outbound host `{0}` is no host with the values that its variables have")]
    Filled(String),
}

impl OutboundHosts {
    /// No host at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Parses entries of `allowed_outbound_hosts`.
    ///
    /// # Errors
    /// The first entry that is malformed.
    pub fn parse<S: AsRef<str>>(
        entries: impl IntoIterator<Item = S>,
    ) -> Result<Self, OutboundError> {
        let mut hosts = Self::default();
        for entry in entries {
            hosts.push(entry.as_ref())?;
        }
        Ok(hosts)
    }

    /// Adds one entry of `allowed_outbound_hosts`.
    ///
    /// # Errors
    /// The entry is malformed; nothing is added.
    pub fn push(&mut self, entry: &str) -> Result<(), OutboundError> {
        let template = Template::parse(entry)?;
        self.entries.push(if template.as_literal().is_some() {
            Entry::Pattern(HostPattern::parse(entry)?)
        } else {
            Entry::Template(template)
        });
        Ok(())
    }

    /// Whether nothing is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries as the manifest spells them.
    pub fn entries(&self) -> impl Iterator<Item = String> {
        self.entries.iter().map(|entry| match entry {
            Entry::Pattern(pattern) => pattern.to_string(),
            Entry::Template(template) => template.to_string(),
        })
    }

    /// The variables that [`resolve`](Self::resolve) needs.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .flat_map(|entry| match entry {
                Entry::Pattern(_) => None,
                Entry::Template(template) => Some(template.variables()),
            })
            .flatten()
    }

    /// The same grants with the variables in them replaced by their values. An entry with a
    /// variable in it grants nothing before.
    ///
    /// # Errors
    /// A variable has no value, or the text it makes is no pattern.
    pub fn resolve(&self, values: &BTreeMap<String, String>) -> Result<Self, OutboundError> {
        let entries = self.entries.iter().map(|entry| match entry {
            Entry::Pattern(pattern) => Ok(Entry::Pattern(pattern.clone())),
            Entry::Template(template) => {
                let filled = HostPattern::parse(&template.resolve(values)?);
                let pattern = filled.map_err(|_| OutboundError::Filled(template.to_string()))?;
                Ok(Entry::Pattern(pattern))
            }
        });
        Ok(Self { entries: entries.collect::<Result<_, OutboundError>>()? })
    }

    fn patterns(&self) -> impl Iterator<Item = &HostPattern> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Pattern(pattern) => Some(pattern),
            Entry::Template(_) => None,
        })
    }

    /// Whether `scheme://host:port` may be reached, and at which addresses: `None` refuses it,
    /// otherwise each address that `host` resolves to must be permitted by the scope.
    ///
    /// `host` is a name or an address, IPv6 with or without brackets, in any case, with or
    /// without a trailing dot. Abbreviated, octal and hexadecimal spellings of IPv4 addresses
    /// (`127.1`, `0x7f.1`, `2130706433`) are never granted: resolvers disagree about them.
    #[must_use]
    pub fn check(&self, scheme: &str, host: &str, port: u16) -> Option<AddressScope> {
        let host = Host::of_request(host)?;
        self.patterns()
            .filter(|pattern| pattern.admits(scheme, port))
            .filter_map(|pattern| pattern.scope(&host))
            .reduce(AddressScope::wider)
    }

    /// Whether a socket may send to `address`.
    #[must_use]
    pub fn check_socket(&self, protocol: Protocol, address: SocketAddr) -> bool {
        let ip = canonical(address.ip());
        let host = Host::Address(ip);
        self.patterns()
            .filter(|pattern| pattern.admits(protocol.scheme(), address.port()))
            .filter_map(|pattern| pattern.scope(&host))
            .any(|scope| scope.permits(ip))
    }

    /// Whether the app may call its own routes, by a relative URL or the host `self`. As in Spin,
    /// the port plays no part.
    #[must_use]
    pub fn check_self(&self, scheme: &str) -> bool {
        self.patterns().any(|pattern| pattern.admits_self(scheme))
    }

    /// Whether an entry is there to reach the app itself or its components.
    #[must_use]
    pub fn names_components(&self) -> bool {
        self.patterns().any(HostPattern::is_internal)
    }

    /// Whether any entry grants more than the app itself and its components. One with a variable
    /// in it may.
    #[must_use]
    pub fn leaves_the_app(&self) -> bool {
        self.entries.iter().any(|entry| match entry {
            Entry::Pattern(pattern) => !pattern.is_internal(),
            Entry::Template(_) => true,
        })
    }

    /// Whether a name may be looked up: one that an entry covers, for any scheme and port; or, where
    /// an entry grants addresses, any, because only a look-up can tell which names lead to them. Those
    /// of the app's components are nobody else's to know.
    #[must_use]
    pub fn may_resolve(&self, name: &str) -> bool {
        let Some(host @ Host::Name(_)) = Host::of_request(name) else { return false };
        if service_of(name).is_some() {
            return false;
        }
        self.patterns().any(|pattern| pattern.grants_addresses() || pattern.scope(&host).is_some())
    }

    /// Whether any entry could permit `address`, so that a lookup that yields it reveals nothing
    /// which is not granted anyway.
    #[must_use]
    pub fn may_reach(&self, address: IpAddr) -> bool {
        self.patterns().any(|pattern| pattern.may_reach(canonical(address)))
    }
}

impl fmt::Display for OutboundHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.entries().collect::<Vec<_>>().join(", "))
    }
}

/// Whether a host means the app itself: what a guest writes where its library wants a host.
#[must_use]
pub fn is_self(host: &str) -> bool {
    ["self", "self.alt"].iter().any(|name| host.eq_ignore_ascii_case(name))
}

/// The component that a service-chaining host (`cart.spin.internal`) names, in lower case and
/// without a trailing dot; `None` for any other host.
#[must_use]
pub fn service_of(host: &str) -> Option<String> {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let component = host.strip_suffix(".spin.internal")?;
    (!component.is_empty() && !component.contains('.')).then(|| component.to_owned())
}

#[cfg(test)]
mod tests;
