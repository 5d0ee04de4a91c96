//! The HTTP server: binds, serves on every core, and ends in good order. What answers is a
//! [`Handler`]; this knows nothing of apps.

mod accept;
mod activity;
mod balance;
pub mod config;
pub mod connection;
pub mod handler;
mod lag;
pub mod listen;
mod pace;
mod refusal;
mod registry;
mod serve;
mod service;
pub mod shutdown;
mod signals;
mod socket;
pub mod tls;
mod tunnels;
mod unread;
pub mod unsent;
pub mod upgrade;
mod watch;
mod wire;
mod worker;

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio_rustls::TlsAcceptor;

use balance::{Balance, Handover};
use config::ServerConfig;
use connection::{Peer, Scheme};
use handler::Handler;
use listen::{Bound, Entrance, ListenError, Listeners, Listening, LocalAddr, SocketFile, Way};
use shutdown::Shutdown;
use socket::Moving;
use tls::{Reload, TlsError};
use watch::{End, Watchman};
use worker::{Sources, Worker};

/// A server that listens. The kernel accepts connections from now on; [`Server::run`] serves them.
pub struct Server {
    config: Arc<ServerConfig>,
    bound: Vec<Bound>,
    local_addrs: Vec<LocalAddr>,
    schemes: Vec<Scheme>,
    tls: Option<(TlsAcceptor, Option<Reload>)>,
    balance: Arc<Balance>,
    inboxes: Vec<UnboundedReceiver<Handover>>,
}

/// Gives a server connections beside those that it accepts.
#[derive(Clone)]
pub struct Connector(Arc<Balance>);

/// Who is at the other end of a connection that somebody else has accepted.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its address.
    pub peer: Peer,
    /// The address that it asked for.
    pub local: LocalAddr,
    /// How it reached that.
    pub scheme: Scheme,
    /// The host that it named when it began with TLS, in lower case.
    pub named: Option<Box<str>>,
}

impl Connector {
    /// A connection in the clear, whose requests are told that its client named a host by TLS.
    pub(crate) fn connect(&self, named: &str) -> std::io::Result<UnixStream> {
        let (own, theirs) = UnixStream::pair()?;
        let local = LocalAddr::Unix(Arc::from(Path::new("dayfly")));
        let named = Some(named.into());
        self.take(theirs, Client { peer: Peer::Unix, local, scheme: Scheme::Http, named })?;
        Ok(own)
    }

    /// Takes a connection in, whose client another process has accepted.
    ///
    /// # Errors
    /// If the server has ended.
    pub fn take(&self, stream: UnixStream, client: Client) -> std::io::Result<()> {
        let Client { peer, local, scheme, named } = client;
        stream.set_nonblocking(true)?;
        let way = Way { local, tls: false, scheme, named };
        let seat = self.0.seat(0);
        let handover = Handover { socket: Moving::Unix(stream), peer, way, seat };
        let ended = |_| std::io::Error::from(std::io::ErrorKind::NotConnected);
        self.0.hand_over(handover).map_err(ended)
    }
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The requests that were dropped because the grace was over or the end was to be at once.
    pub unfinished: usize,
    /// What the first of the app's commands that failed ended with; 0 if none did.
    pub status: u8,
}

impl Outcome {
    /// Whether every request was finished.
    pub const fn is_clean(self) -> bool {
        self.unfinished == 0
    }
}

/// Why a server cannot start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The certificate cannot be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system denied a thread or what it needs.
    #[error("failed to start a server thread")]
    Start(#[source] std::io::Error),
    /// A thread ended by itself, which is a mistake of ours.
    #[error("a server thread failed")]
    Thread,
}

impl ServeError {
    /// What the user can do, where there is something.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Listen(error) => error.hint(),
            Self::Tls(error) => error.hint(),
            Self::Start(_) | Self::Thread => None,
        }
    }
}

impl Server {
    /// Loads the certificate and listens on every address, or on none.
    ///
    /// # Errors
    /// If an address or the certificate cannot be used.
    pub fn bind(config: ServerConfig) -> Result<Self, ServeError> {
        let (bound, _) = Listeners::bind(&config, &[], usize::MAX)?.split();
        if bound.is_empty() {
            return Err(ListenError::Nothing.into());
        }
        Self::on(config, bound)
    }

    /// Loads the certificate, for what is listened on already; where that is nothing, what its
    /// [connector](Self::connector) is given comes in all the same.
    ///
    /// # Errors
    /// If the certificate cannot be used.
    pub(crate) fn on(config: ServerConfig, bound: Vec<Bound>) -> Result<Self, ServeError> {
        let tls = tls::load(&config)?;
        if tls.is_none() && bound.iter().any(|bound| bound.entrance == Entrance::Tls) {
            return Err(TlsError::Missing.into());
        }
        let local_addrs = bound.iter().map(|bound| bound.local.clone()).collect();
        let scheme = |bound: &Bound| match bound.entrance {
            Entrance::Tls => Scheme::Https,
            Entrance::Clear | Entrance::Metrics => Scheme::Http,
        };
        let schemes = bound.iter().map(scheme).collect();
        let (balance, inboxes) = Balance::new(config.workers());
        let config = Arc::new(config);
        Ok(Self { config, bound, local_addrs, schemes, tls, balance, inboxes })
    }

    /// What makes connections to it from within.
    pub(crate) fn connector(&self) -> Connector {
        Connector(self.balance.clone())
    }

    /// The addresses that are listened on, in the order they were given.
    pub fn local_addrs(&self) -> &[LocalAddr] {
        &self.local_addrs
    }

    /// The same as URLs ([`LocalAddr::url`]).
    pub fn urls(&self) -> impl Iterator<Item = String> {
        self.local_addrs.iter().zip(&self.schemes).map(|(addr, scheme)| addr.url(*scheme))
    }

    /// Serves until the shutdown is over. The calling thread only watches: certificate files, and
    /// the threads that serve. It must not be a thread of an asynchronous runtime.
    ///
    /// # Errors
    /// If a thread cannot start or fails.
    pub fn run<H: Handler>(
        self,
        handler: Arc<H>,
        shutdown: Shutdown,
    ) -> Result<Outcome, ServeError> {
        let Self { config, bound, tls, balance, inboxes, .. } = self;
        let (acceptor, reload) = tls.unzip();
        let watch = Watchman::new(&shutdown, reload.flatten()).map_err(ServeError::Start)?;
        // The files of Unix sockets stay until the last connection is gone.
        let (shares, _files) = share_out(bound, config.workers()).map_err(ServeError::Start)?;
        let (ended, ends) = mpsc::unbounded_channel();
        let workers = shares.len();
        // All of them before the first thread: from then on clients take descriptors, too.
        let runtimes: Vec<_> = (0..workers).map(|_| worker::runtime(&config)).collect();
        let sources = shares.into_iter().zip(inboxes);
        for (index, ((listening, inbox), runtime)) in sources.zip(runtimes).enumerate() {
            let worker = Worker::new(
                index,
                handler.clone(),
                config.clone(),
                acceptor.clone(),
                balance.clone(),
            );
            let end = End::new(ended.clone());
            let sources = Sources { listening, inbox };
            let started =
                runtime.and_then(|runtime| start(worker, runtime, sources, shutdown.clone(), end));
            if let Err(error) = started {
                shutdown.now();
                return Err(ServeError::Start(error));
            }
        }
        watch.until_ended(workers, ends)
    }
}

/// Starts a worker's thread.
fn start<H: Handler>(
    worker: Worker<H>,
    runtime: tokio::runtime::Runtime,
    sources: Sources,
    shutdown: Shutdown,
    end: End,
) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name(format!("dayfly-{}", worker.index))
        .spawn(move || end.tell(Arc::new(worker).run(runtime, sources, &shutdown)))
        .map(drop)
}

/// What each worker accepts from, and the files of sockets.
type Shares = (Vec<Vec<(Way, Listening)>>, Vec<SocketFile>);

/// Deals each worker its sockets. Where there are fewer, workers share them; where there are more, some
/// have several: each socket is somebody's.
fn share_out(bound: Vec<Bound>, workers: usize) -> std::io::Result<Shares> {
    let mut shares: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
    let mut files = Vec::new();
    for Bound { entrance, local, sockets, file } in bound {
        // A Unix socket's clients are on this machine.
        let tls = entrance == Entrance::Tls && local.tcp().is_some();
        let way = || Way { local: local.clone(), tls, scheme: Scheme::Http, named: None };
        for worker in sockets.len()..workers {
            let socket = sockets[worker % sockets.len()].try_clone()?;
            shares[worker].push((way(), socket));
        }
        for (index, socket) in sockets.into_iter().enumerate() {
            shares[index % workers].push((way(), socket));
        }
        files.extend(file);
    }
    Ok((shares, files))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::thread;
    use std::time::{Duration, Instant};

    use http::{Request, Response};

    use super::*;
    use crate::{Body, ClientBody, Connection};

    struct Hello;

    impl Handler for Hello {
        async fn handle(&self, _: Request<ClientBody>, _: &Arc<Connection>) -> Response<Body> {
            Response::new(Body::from("hello"))
        }
    }

    #[test]
    fn who_is_given_connections_takes_them_for_a_while_after_it_was_told_to_leave() {
        let config = ServerConfig { max_lag: Duration::from_secs(60), ..ServerConfig::default() };
        let server = Server::on(config, Vec::new()).unwrap();
        let (connector, shutdown) = (server.connector(), Shutdown::new());
        let end = shutdown.clone();
        let serving = thread::spawn(move || server.run(Arc::new(Hello), end).unwrap());
        shutdown.leave();
        let began = Instant::now();
        for _ in 0..10 {
            thread::sleep(Duration::from_millis(100));
            let mut stream = connector.connect("a").unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.ends_with("hello") && answer.contains("connection: close"), "{answer}");
        }
        assert!(serving.join().unwrap().is_clean());
        assert!(began.elapsed() < Duration::from_secs(60), "it does not end");
        connector.connect("a").unwrap_err();
    }
}
