//! The server that an address names, for protocols other than HTTP.

use url::{Host, Url};

/// The longest address, in bytes.
const ADDRESS_BYTES: usize = 2048;

/// A server, and the address that names it.
pub(crate) struct Endpoint {
    /// The whole address.
    pub(crate) url: Url,
    /// A name or an address without brackets.
    pub(crate) host: String,
    /// Whether its scheme is the second of those that may be.
    pub(crate) secure: bool,
    /// The port that it names.
    pub(crate) port: Option<u16>,
}

impl Endpoint {
    /// Reads an address with one of two schemes, in the clear or by TLS. What would be ignored makes
    /// it none: a query, and a fragment, by which some clients turn off the check of certificates.
    pub(crate) fn parse(text: &str, schemes: [&str; 2]) -> Option<Self> {
        if text.len() > ADDRESS_BYTES {
            return None;
        }
        let url = Url::parse(text).ok()?;
        let secure = schemes.iter().position(|scheme| *scheme == url.scheme())? == 1;
        if url.query().is_some() || url.fragment().is_some() {
            return None;
        }
        let host = match url.host()? {
            // The URL standard takes names of schemes that it does not know for opaque.
            Host::Domain(name) => bare(Host::parse(name).ok()?),
            address => bare(address.to_owned()),
        };
        let port = url.port();
        Some(Self { url, host, secure, port })
    }
}

fn bare(host: Host<String>) -> String {
    match host {
        Host::Domain(name) => name,
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}
