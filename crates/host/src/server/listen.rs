//! Where to listen: the addresses as people write them, and how they become sockets.

mod bind;
mod error;
mod sockets;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

#[cfg(not(target_os = "linux"))]
pub(super) use bind::tune;
pub(crate) use bind::{Bound, bind};
pub(super) use bind::{Listening, SocketFile};
pub use error::{ListenAddrError, ListenError};
pub use sockets::{Entrance, Listeners};

use super::connection::Scheme;

/// An address to listen on, as people write it: `127.0.0.1:3000`, `[::1]:0`, `localhost:3000`,
/// `:3000` (every interface), `unix:/run/app.sock`, `unix:/run/app.sock?mode=660`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddr {
    /// A TCP address; port 0 means any free one.
    Tcp(SocketAddr),
    /// Every TCP address that a name resolves to.
    Name {
        /// The name.
        host: String,
        /// The port; 0 means any free one, the same for all addresses.
        port: u16,
    },
    /// A TCP port on every interface, IPv6 and IPv4.
    Any(u16),
    /// A Unix socket.
    Unix {
        /// The socket's file. One that nobody listens on any more is replaced.
        path: PathBuf,
        /// The file's permissions, such as `0o660`; as the process's umask says if `None`.
        mode: Option<u32>,
    },
}

impl ListenAddr {
    /// Where to listen when nobody says: `127.0.0.1:3000`.
    pub const DEFAULT: Self =
        Self::Tcp(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 3000));
}

impl FromStr for ListenAddr {
    type Err = ListenAddrError;

    fn from_str(text: &str) -> Result<Self, ListenAddrError> {
        let error = |reason| ListenAddrError::new(text, reason);
        if let Some(unix) = text.strip_prefix("unix:") {
            return parse_unix(unix).map_err(error);
        }
        if let Ok(addr) = text.parse() {
            return Ok(Self::Tcp(addr));
        }
        if text.contains("://") {
            return Err(error("an address has no scheme; TLS is chosen by its certificate"));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| error("the port is missing"))?;
        let port = port.parse().map_err(|_| error("the port is not a number up to 65535"))?;
        if host.is_empty() || host == "*" {
            return Ok(Self::Any(port));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if !host.chars().all(plain) {
            return Err(error("the host is neither a name nor an IP address"));
        }
        Ok(Self::Name { host: host.to_owned(), port })
    }
}

fn parse_unix(text: &str) -> Result<ListenAddr, &'static str> {
    let (path, options) = text.split_once('?').map_or((text, None), |(p, o)| (p, Some(o)));
    if path.is_empty() {
        return Err("the socket's path is missing");
    }
    let mode = match options {
        None => None,
        Some(option) => {
            let digits = option.strip_prefix("mode=").ok_or("the only option is `mode=`")?;
            let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777);
            Some(mode.ok_or("the mode is not an octal number up to 777")?)
        }
    };
    Ok(ListenAddr::Unix { path: PathBuf::from(path), mode })
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Any(port) => write!(f, ":{port}"),
            Self::Unix { path, mode: None } => write!(f, "unix:{}", path.display()),
            Self::Unix { path, mode: Some(mode) } => {
                write!(f, "unix:{}?mode={mode:o}", path.display())
            }
        }
    }
}

/// An address that a server listens on, its port known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LocalAddr {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket's file.
    Unix(std::sync::Arc<Path>),
}

impl LocalAddr {
    /// The TCP address, if it is one.
    pub const fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(addr) => Some(*addr),
            Self::Unix(_) => None,
        }
    }

    /// A URL that reaches the address from this machine, without a path; for a Unix socket,
    /// `unix:` and its path.
    pub fn url(&self, scheme: Scheme) -> String {
        match self {
            Self::Tcp(addr) if addr.ip().is_unspecified() => {
                format!("{}://localhost:{}", scheme.as_str(), addr.port())
            }
            Self::Tcp(addr) => format!("{}://{addr}", scheme.as_str()),
            Self::Unix(path) => format!("unix:{}", path.display()),
        }
    }
}

/// How a connection came in.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// The address that it was accepted at.
    pub(crate) local: LocalAddr,
    /// Whether the client has to begin with TLS.
    pub(crate) tls: bool,
    /// How the client is taken to have reached us, where it need not begin with TLS.
    pub(crate) scheme: Scheme,
    /// What the client is taken to have named, if it cannot do so itself.
    pub(crate) named: Option<Box<str>>,
}

impl fmt::Display for LocalAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_and_writes_back() {
        for text in [
            "127.0.0.1:3000",
            "[::1]:0",
            "localhost:80",
            ":8080",
            "unix:/run/app.sock",
            "unix:app.sock?mode=660",
        ] {
            assert_eq!(text.parse::<ListenAddr>().unwrap().to_string(), text);
        }
        assert_eq!("*:1".parse::<ListenAddr>().unwrap(), ListenAddr::Any(1));
    }

    #[test]
    fn mistakes_say_what_is_wrong() {
        for (text, reason) in [
            ("3000", "the port is missing"),
            ("localhost:http", "the port is not a number"),
            ("127.0.0.1:70000", "the port is not a number"),
            ("http://localhost:1", "no scheme"),
            ("::1:1", "neither a name nor an IP address"),
            ("unix:", "path is missing"),
            ("unix:/a?mode=999", "octal"),
            ("unix:/a?owner=x", "the only option"),
        ] {
            let error = text.parse::<ListenAddr>().unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(text), "{text}: {error}");
        }
    }
}
