//! What a handler may know of the connection that a request came by.

use std::fmt;
use std::net::SocketAddr;
use std::sync::OnceLock;

use http::HeaderValue;

use super::listen::LocalAddr;
use crate::away::Onward;

/// The connection that a request came by.
#[derive(Debug)]
pub struct Connection {
    /// Who is at the other end.
    pub peer: Peer,
    /// The address that the client reached us at.
    pub local: LocalAddr,
    /// Whether the client reached us by TLS.
    pub scheme: Scheme,
    /// The version of HTTP that is spoken.
    pub protocol: Protocol,
    /// The number of the worker that serves the connection, from 0, one a core.
    pub worker: usize,
    /// The host that the client named when it began with TLS, in lower case, if it named one.
    pub server_name: Option<Box<str>>,
    peer_header: OnceLock<HeaderValue>,
    /// Its connection to a process of a tenant, if it has one.
    pub(crate) onward: Onward,
}

impl Connection {
    /// Describes a connection.
    pub const fn new(
        peer: Peer,
        local: LocalAddr,
        scheme: Scheme,
        protocol: Protocol,
        worker: usize,
    ) -> Self {
        Self {
            peer,
            local,
            scheme,
            protocol,
            worker,
            server_name: None,
            peer_header: OnceLock::new(),
            onward: Onward::new(),
        }
    }

    /// [`Self::peer`] as the value of a header, made once a connection.
    pub fn peer_header(&self) -> &HeaderValue {
        self.peer_header.get_or_init(|| {
            HeaderValue::try_from(self.peer.to_string())
                .unwrap_or_else(|_| HeaderValue::from_static("unknown"))
        })
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A process on this machine, by a Unix socket.
    Unix,
}

impl Peer {
    /// The TCP address, if there is one.
    pub const fn tcp(self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(addr) => Some(addr),
            Self::Unix => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix => f.write_str("unix:"),
        }
    }
}

/// How the client reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// By TLS.
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The version of HTTP on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// The word for it in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Http1 => "http/1",
            Self::Http2 => "http/2",
        }
    }
}
