//! Addresses become sockets, one a worker.
//!
//! On Linux every worker has a TCP socket of its own in one `SO_REUSEPORT` group, so that the
//! kernel spreads connections and workers share no accept queue. The group's first socket is bound
//! *without* that option: so a port that anybody holds, another Dayfly included, is refused, and
//! nobody joins later without our noticing. Elsewhere, and for Unix sockets, workers share one.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, TcpKeepalive, Type};

use super::{Entrance, ListenAddr, ListenError, LocalAddr};

/// An address that is listened on.
pub(crate) struct Bound {
    pub(crate) entrance: Entrance,
    pub(crate) local: LocalAddr,
    /// One socket a worker, or as many as there are.
    pub(crate) sockets: Vec<Listening>,
    /// Removes the socket's file at the end.
    pub(crate) file: Option<SocketFile>,
}

/// A listening socket, not yet known to a runtime.
pub(crate) enum Listening {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl Bound {
    /// An address that another process has listened on.
    pub(crate) fn of_handed(entrance: Entrance, sockets: Vec<OwnedFd>) -> io::Result<Self> {
        let sockets: Vec<_> = sockets.into_iter().map(socket2::Socket::from).collect();
        let odd = || io::Error::other("it is no listening socket of TCP or of Unix");
        let local = sockets.first().ok_or_else(odd)?.local_addr()?;
        for socket in &sockets {
            if !socket.is_listener()? {
                return Err(odd());
            }
            socket.set_nonblocking(true)?;
        }
        if let Some(addr) = local.as_socket() {
            sockets.iter().try_for_each(|socket| tune(SockRef::from(socket)))?;
            let sockets = sockets.into_iter().map(|it| Listening::Tcp(it.into())).collect();
            return Ok(Self { entrance, local: LocalAddr::Tcp(addr), sockets, file: None });
        }
        let path = local.as_pathname().ok_or_else(odd)?;
        let local = LocalAddr::Unix(Arc::from(path));
        let sockets = sockets.into_iter().map(|it| Listening::Unix(it.into())).collect();
        Ok(Self { entrance, local, sockets, file: None })
    }
}

impl Listening {
    /// The same socket by another descriptor.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(tcp) => tcp.try_clone().map(OwnedFd::from),
            Self::Unix(unix) => unix.try_clone().map(OwnedFd::from),
        }
    }

    /// The same as a listener.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(tcp) => Self::Tcp(tcp.try_clone()?),
            Self::Unix(unix) => Self::Unix(unix.try_clone()?),
        })
    }
}

/// Listens on all addresses, with a socket for each worker.
pub(crate) fn bind(
    addrs: &[ListenAddr],
    entrance: Entrance,
    workers: usize,
    backlog: u32,
) -> Result<Vec<Bound>, ListenError> {
    let binder = Binder { entrance, workers, backlog: i32::try_from(backlog).unwrap_or(i32::MAX) };
    let mut bound = Vec::new();
    for addr in addrs {
        match addr {
            ListenAddr::Tcp(addr) => bound.push(binder.tcp(*addr, false)?),
            ListenAddr::Name { host, port } => bound.extend(binder.name(host, *port)?),
            ListenAddr::Any(port) => bound.push(binder.any(*port)?),
            ListenAddr::Unix { path, mode } => bound.push(binder.unix(path, *mode)?),
        }
    }
    Ok(bound)
}

struct Binder {
    entrance: Entrance,
    workers: usize,
    backlog: i32,
}

impl Binder {
    fn name(&self, host: &str, port: u16) -> Result<Vec<Bound>, ListenError> {
        let unresolved = |source| ListenError::Unresolved { host: host.to_owned(), source };
        let addrs: Vec<_> = (host, port).to_socket_addrs().map_err(unresolved)?.collect();
        let mut bound: Vec<Bound> = Vec::new();
        let mut refused = None;
        for mut addr in addrs {
            if let Some(first) = bound.first().and_then(|first| first.local.tcp()) {
                addr.set_port(first.port());
            }
            if bound.iter().any(|other| other.local.tcp() == Some(addr)) {
                continue;
            }
            match self.tcp(addr, false) {
                Ok(socket) => bound.push(socket),
                // A name such as `localhost` may resolve to a family that this machine lacks.
                Err(error @ (ListenError::NotLocal { .. } | ListenError::Failed { .. })) => {
                    refused = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match (bound.is_empty(), refused) {
            (false, _) => Ok(bound),
            (true, Some(error)) => Err(error),
            (true, None) => Err(unresolved(io::Error::other("the name has no address"))),
        }
    }

    fn any(&self, port: u16) -> Result<Bound, ListenError> {
        match self.tcp(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), true) {
            Err(ListenError::NotLocal { .. } | ListenError::Failed { .. }) => {
                self.tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), false)
            }
            result => result,
        }
    }

    fn tcp(&self, addr: SocketAddr, dual_stack: bool) -> Result<Bound, ListenError> {
        let failed = |source| ListenError::from_io(addr, source);
        let first = tcp_socket(addr, dual_stack, false).map_err(failed)?;
        let local = first.local_addr().map_err(failed)?;
        let local = local.as_socket().ok_or_else(|| failed(io::ErrorKind::Other.into()))?;
        let mut sockets = vec![first];
        self.tcp_group(&mut sockets, local, dual_stack).map_err(failed)?;
        for socket in &sockets {
            socket.listen(self.backlog).map_err(failed)?;
        }
        let sockets = sockets.into_iter().map(|socket| Listening::Tcp(socket.into())).collect();
        Ok(Bound { entrance: self.entrance, local: LocalAddr::Tcp(local), sockets, file: None })
    }

    /// Adds the sockets of the other workers.
    #[cfg(target_os = "linux")]
    fn tcp_group(
        &self,
        sockets: &mut Vec<socket2::Socket>,
        local: SocketAddr,
        dual_stack: bool,
    ) -> io::Result<()> {
        if self.workers > 1 {
            sockets[0].set_reuse_port(true)?;
        }
        for _ in 1..self.workers {
            sockets.push(tcp_socket(local, dual_stack, true)?);
        }
        Ok(())
    }

    /// Adds the sockets of the other workers.
    #[cfg(not(target_os = "linux"))]
    fn tcp_group(
        &self,
        sockets: &mut Vec<socket2::Socket>,
        _local: SocketAddr,
        _dual_stack: bool,
    ) -> io::Result<()> {
        for _ in 1..self.workers {
            let other = sockets[0].try_clone()?;
            sockets.push(other);
        }
        Ok(())
    }

    fn unix(&self, path: &Path, mode: Option<u32>) -> Result<Bound, ListenError> {
        let shown = format!("unix:{}", path.display());
        let failed = |source| ListenError::from_io(&shown, source);
        // Later, the process may have another working directory.
        let path = std::path::absolute(path).map_err(failed)?;
        clear_stale(&path, &shown)?;
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        socket.bind(&SockAddr::unix(&path).map_err(failed)?).map_err(failed)?;
        let file = SocketFile::new(path.clone()).map_err(failed)?;
        if let Some(mode) = mode {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, permissions).map_err(failed)?;
        }
        socket.listen(self.backlog).map_err(failed)?;
        let mut sockets = Vec::new();
        for _ in 1..self.workers {
            sockets.push(Listening::Unix(socket.try_clone().map_err(failed)?.into()));
        }
        sockets.push(Listening::Unix(socket.into()));
        let local = LocalAddr::Unix(Arc::from(path));
        Ok(Bound { entrance: self.entrance, local, sockets, file: Some(file) })
    }
}

/// A bound TCP socket that does not listen yet. Linux hands its options on to what it accepts.
fn tcp_socket(addr: SocketAddr, dual_stack: bool, shared: bool) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    // So that a restart need not wait for the last connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    if shared {
        socket.set_reuse_port(true)?;
    }
    tune(SockRef::from(&socket))?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// The options of every TCP connection: small answers leave at once, and a peer that vanished
/// without a word is noticed within two minutes even while its request runs.
pub(crate) fn tune(socket: SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    socket.set_tcp_keepalive(&keepalive)
}

/// Removes a socket's file that a former process left behind.
fn clear_stale(path: &Path, shown: &str) -> Result<(), ListenError> {
    let failed = |source| ListenError::from_io(shown, source);
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result.map_err(failed)?,
    };
    if !metadata.file_type().is_socket() {
        return Err(ListenError::NotASocket { path: path.display().to_string() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failed(error)),
        _ => Err(ListenError::InUse { addr: shown.to_owned() }),
    }
}

/// A socket's file, removed when dropped unless somebody else has put theirs in its place.
pub(crate) struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl SocketFile {
    fn new(path: PathBuf) -> io::Result<Self> {
        let metadata = std::fs::symlink_metadata(&path)?;
        Ok(Self { path, id: (metadata.dev(), metadata.ino()) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.id);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "failed to remove the socket");
        }
    }
}
