//! Opens TCP connections to what a component was granted, for every capability that reaches other
//! machines. The grant is checked on each address that a name resolved to, because a name says
//! nothing about where it leads. Open connections are bounded, for each component and in all, those
//! that wait for their next use included.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use dayfly_model::outbound::OutboundHosts;
use dayfly_model::runtime_config::OutboundNetworking;
use hyper::Uri;
use hyper_util::client::legacy::connect;
use hyper_util::rt::TokioIo;
use thiserror::Error as ThisError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::connections::{Connections, Leave};
use crate::names::{LookupError, Names};
use crate::supply::{Part as Descriptor, Share};

/// How long one address may take to answer.
const CONNECT: Duration = Duration::from_secs(10);

/// How many addresses of a name are tried.
const ADDRESSES: usize = 8;

/// How many connections of one component may be open.
const PER_COMPONENT: usize = 256;

/// How many may be open in all.
static CONNECTIONS: Semaphore = Semaphore::const_new(512);

/// How long a request waits for one of them.
const WAIT: Duration = Duration::from_secs(3);

/// Why no connection was opened.
#[derive(Debug, ThisError)]
pub(crate) enum DialError {
    #[error("the URI has no host")]
    NoHost,
    #[error("the host is not granted")]
    NotGranted,
    #[error("every address of the host is one that its grant does not cover")]
    AddressRefused,
    #[error(transparent)]
    Resolve(#[from] LookupError),
    #[error("as many connections as may be are open")]
    Limit,
    #[error("the host did not answer in time")]
    ConnectTimeout,
    #[error("the host refused the connection")]
    Connect(#[source] std::io::Error),
}

/// Connects to what one component was granted.
#[derive(Clone)]
pub(crate) struct Dialer {
    names: Arc<Names>,
    connections: Arc<Semaphore>,
    bounds: Arc<Connections>,
    descriptors: Share,
}

impl Dialer {
    pub(crate) fn new(names: Arc<Names>, descriptors: Share) -> Self {
        let connections = Arc::new(Semaphore::new(PER_COMPONENT));
        Self { names, connections, bounds: Arc::default(), descriptors }
    }

    /// One that reaches what the operator names, whatever guests are granted.
    pub(crate) fn of_operator(hosts: OutboundHosts) -> Self {
        Self::new(Arc::new(Names::new(Arc::new(hosts))), Share::unbounded())
    }

    /// The same, but for the addresses that nobody reaches.
    pub(crate) fn outside(self, networking: &OutboundNetworking) -> Self {
        let names = Names::new(Arc::new(self.names.hosts().clone())).within(networking.clone());
        Self { names: Arc::new(names), ..self }
    }

    /// The same, within what the app's components may have open together.
    pub(crate) fn within(self, bounds: Arc<Connections>) -> Self {
        Self { bounds, ..self }
    }
}

impl tower_service::Service<Uri> for Dialer {
    type Response = TokioIo<Connection>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move {
            let (scheme, host, port) = target(&uri).ok_or(DialError::NoHost)?;
            dialer.connect(scheme, host, port).await.map(TokioIo::new)
        })
    }
}

/// The scheme, host and port of a request; the port is the scheme's where none is named.
pub(crate) fn target(uri: &Uri) -> Option<(&str, &str, u16)> {
    let scheme = uri.scheme_str()?;
    let host = uri.host()?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, host, port))
}

impl Dialer {
    /// What the component was granted.
    pub(crate) fn hosts(&self) -> &OutboundHosts {
        self.names.hosts()
    }

    /// Connects to a port of a host, a name or an address without brackets, if the component was
    /// granted it for `scheme`.
    pub(crate) async fn connect(
        &self,
        scheme: &str,
        host: &str,
        port: u16,
    ) -> Result<Connection, DialError> {
        let names = &self.names;
        let scope = names.hosts().check(scheme, host, port).ok_or(DialError::NotGranted)?;
        if !names.reaches(scheme, host, port) {
            return Err(DialError::NotGranted);
        }
        let addresses = names.resolve(host).await?;
        let mut last = DialError::AddressRefused;
        let turn = self.turn(scheme).await?;
        for address in addresses.into_iter().take(ADDRESSES) {
            if !scope.permits(address) || names.blocks(address) {
                continue;
            }
            match timeout(CONNECT, TcpStream::connect((address, port))).await {
                Ok(Ok(stream)) => {
                    // Small requests must not wait for Nagle; failing to say so costs only time.
                    let _ = stream.set_nodelay(true);
                    return Ok(Connection { stream, _turn: turn });
                }
                Ok(Err(error)) => last = DialError::Connect(error),
                Err(_) => last = DialError::ConnectTimeout,
            }
        }
        Err(last)
    }

    /// Waits for a connection of the component's, one of the app's and one of all, and takes a
    /// descriptor for it. The first and the last semaphore are never closed.
    async fn turn(&self, scheme: &str) -> Result<Turn, DialError> {
        let turns = async {
            // A component that has its share waits for its own, and keeps no one else from theirs.
            let own = self.connections.clone().acquire_owned().await.ok();
            let leave = self.bounds.wait(scheme).await.ok_or(DialError::Limit)?;
            Ok::<_, DialError>((own, leave, CONNECTIONS.acquire().await.ok()))
        };
        let (own, leave, shared) = timeout(WAIT, turns).await.map_err(|_| DialError::Limit)??;
        let descriptor = self.descriptors.take().ok_or(DialError::Limit)?;
        Ok(Turn { _own: own, _leave: leave, _shared: shared, _descriptor: descriptor })
    }
}

/// Leave for one open connection.
struct Turn {
    _own: Option<OwnedSemaphorePermit>,
    _leave: Leave,
    _shared: Option<SemaphorePermit<'static>>,
    _descriptor: Descriptor,
}

/// A connection, which gives its turn back when it is closed.
pub(crate) struct Connection {
    stream: TcpStream,
    _turn: Turn,
}

impl Connection {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl connect::Connection for Connection {
    fn connected(&self) -> connect::Connected {
        self.stream.connected()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tower_service::Service as _;

    use super::*;
    use crate::Supply;

    /// This machine, in the ways that the C library knows.
    const LOOPBACK: [&str; 14] = [
        "localhost",
        "127.0.0.1",
        "127.1",
        "127.255.255.254",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "0.0.0.0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
    ];

    #[tokio::test]
    async fn connections_that_are_open_are_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let hosts = Arc::new(OutboundHosts::parse([url.as_str()]).unwrap());
        let mut dialer = Dialer::new(Arc::new(Names::new(hosts.clone())), Share::unbounded());
        let uri: Uri = format!("{url}/").parse().unwrap();
        let mut open = Vec::new();
        for _ in 0..PER_COMPONENT {
            open.push(dialer.call(uri.clone()).await.unwrap());
            listener.accept().await.unwrap();
        }
        tokio::time::pause();
        let refused = dialer.clone().call(uri.clone()).await.err().expect("one too many");
        assert!(matches!(refused, DialError::Limit), "{refused}");
        tokio::time::resume();
        // Another component has connections of its own.
        let mut another = Dialer::new(Arc::new(Names::new(hosts)), Share::unbounded());
        assert!(another.call(uri.clone()).await.is_ok());
        open.pop();
        assert!(dialer.call(uri).await.is_ok());
    }

    #[tokio::test]
    async fn a_wildcard_leads_to_no_private_address_however_it_is_spelled() {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let hosts = Arc::new(OutboundHosts::parse(["*://*:*"]).unwrap());
        let dialer = Dialer::new(Arc::new(Names::new(hosts)), Share::unbounded());
        for scheme in ["http", "redis", "mysql", "postgres", "mqtt"] {
            for host in LOOPBACK {
                let refused = dialer.connect(scheme, host, port).await.err();
                let refused = refused.unwrap_or_else(|| panic!("{scheme}, {host} is reached"));
                assert!(
                    matches!(refused, DialError::AddressRefused | DialError::NotGranted),
                    "{scheme}, {host}: {refused}"
                );
            }
        }
        assert!(timeout(Duration::from_millis(50), listener.accept()).await.is_err());
        // What is granted by its address is reached by it, and so by what spells it otherwise.
        let own = format!("redis://127.0.0.1:{port}");
        let hosts = Arc::new(OutboundHosts::parse([own.as_str()]).unwrap());
        let dialer = Dialer::new(Arc::new(Names::new(hosts)), Share::unbounded());
        dialer.connect("redis", "127.0.0.1", port).await.map(drop).unwrap();
    }

    #[tokio::test]
    async fn connections_share_what_guests_may_hold_open() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let hosts = Arc::new(OutboundHosts::parse([url.as_str()]).unwrap());
        let names = Arc::new(Names::new(hosts));
        let descriptors = Supply::new(4);
        let mut dialer = Dialer::new(names.clone(), descriptors.share());
        let uri: Uri = format!("{url}/").parse().unwrap();
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(dialer.call(uri.clone()).await.unwrap());
        }
        let refused = dialer.call(uri.clone()).await.err().expect("one too many");
        assert!(matches!(refused, DialError::Limit), "{refused}");
        let mut another = Dialer::new(names, descriptors.share());
        assert!(another.call(uri.clone()).await.is_ok(), "the others have theirs");
        open.pop();
        assert!(dialer.call(uri).await.is_ok());
    }
}
