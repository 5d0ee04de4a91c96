//! Why an address cannot be listened on, and what to do about it.

use std::io;

/// An address that is not written as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot listen on `{text}`: {reason}")]
pub struct ListenAddrError {
    text: String,
    reason: &'static str,
}

impl ListenAddrError {
    pub(super) fn new(text: &str, reason: &'static str) -> Self {
        Self { text: text.to_owned(), reason }
    }

    /// What the user can do.
    pub const fn hint(&self) -> &'static str {
        "write `127.0.0.1:3000`, `[::1]:3000`, `localhost:3000`, `:3000` for every interface, or \
         `unix:/path/to/socket`"
    }
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// There is nothing to listen on.
    #[error("no address to listen on")]
    Nothing,
    /// Somebody listens there.
    #[error("`{addr}` is already in use")]
    InUse {
        /// The address.
        addr: String,
    },
    /// This user may not.
    #[error("not allowed to listen on `{addr}`")]
    Denied {
        /// The address.
        addr: String,
        /// What the system said.
        source: io::Error,
    },
    /// The address belongs to another machine.
    #[error("`{addr}` is not an address of this machine")]
    NotLocal {
        /// The address.
        addr: String,
    },
    /// The name has no address.
    #[error("failed to resolve `{host}`")]
    Unresolved {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// A file is in the way that is not a socket.
    #[error("`{path}` exists and is not a socket")]
    NotASocket {
        /// The file.
        path: String,
    },
    /// Anything else.
    #[error("failed to listen on `{addr}`")]
    Failed {
        /// The address.
        addr: String,
        /// What the system said.
        source: io::Error,
    },
}

impl ListenError {
    /// What the user can do, where there is something.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::InUse { .. } => Some(
                "another process listens there: stop it, or choose another address with \
                 `--listen` (port 0 takes a free one)",
            ),
            Self::Denied { .. } => Some(
                "ports below 1024 need the capability CAP_NET_BIND_SERVICE, and a socket's \
                 folder must be writable",
            ),
            Self::NotLocal { .. } => Some("listen on `:PORT` for every interface of this machine"),
            Self::NotASocket { .. } => Some("choose another path, or remove the file"),
            Self::Nothing | Self::Unresolved { .. } | Self::Failed { .. } => None,
        }
    }

    pub(super) fn from_io(addr: impl ToString, source: io::Error) -> Self {
        let addr = addr.to_string();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { addr },
            io::ErrorKind::PermissionDenied => Self::Denied { addr, source },
            io::ErrorKind::AddrNotAvailable => Self::NotLocal { addr },
            _ => Self::Failed { addr, source },
        }
    }
}
