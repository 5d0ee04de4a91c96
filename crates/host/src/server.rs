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
pub mod upgrade;
mod watch;
mod wire;
mod worker;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use balance::Balance;
use config::ServerConfig;
use connection::Scheme;
use handler::Handler;
use listen::{Bound, ListenError, Listening, LocalAddr, SocketFile};
use shutdown::Shutdown;
use tls::{Reload, TlsError};
use watch::{End, Watchman};
use worker::{Sources, Worker};

/// A server that listens. The kernel accepts connections from now on; [`Server::run`] serves them.
pub struct Server {
    config: Arc<ServerConfig>,
    bound: Vec<Bound>,
    local_addrs: Vec<LocalAddr>,
    tls: Option<(TlsAcceptor, Reload)>,
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
        let tls = config.tls.as_ref().map(tls::load).transpose()?;
        let bound = listen::bind(&config.listen, config.workers(), config.backlog)?;
        let local_addrs = bound.iter().map(|bound| bound.local.clone()).collect();
        Ok(Self { config: Arc::new(config), bound, local_addrs, tls })
    }

    /// The addresses that are listened on, in the order they were given.
    pub fn local_addrs(&self) -> &[LocalAddr] {
        &self.local_addrs
    }

    /// The same as URLs ([`LocalAddr::url`]).
    pub fn urls(&self) -> impl Iterator<Item = String> {
        let tcp = if self.tls.is_some() { Scheme::Https } else { Scheme::Http };
        self.local_addrs.iter().map(move |addr| addr.url(tcp))
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
        let Self { config, bound, tls, .. } = self;
        let (acceptor, reload) = tls.unzip();
        let watch = Watchman::new(&shutdown, reload).map_err(ServeError::Start)?;
        // The files of Unix sockets stay until the last connection is gone.
        let (shares, _files) = share_out(bound, config.workers());
        let (ended, ends) = mpsc::unbounded_channel();
        let workers = shares.len();
        let (balance, inboxes) = Balance::new(workers);
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

/// Deals each worker its sockets.
fn share_out(
    bound: Vec<Bound>,
    workers: usize,
) -> (Vec<Vec<(LocalAddr, Listening)>>, Vec<SocketFile>) {
    let mut shares: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
    let mut files = Vec::new();
    for Bound { local, sockets, file } in bound {
        for (share, socket) in shares.iter_mut().zip(sockets) {
            share.push((local.clone(), socket));
        }
        files.extend(file);
    }
    (shares, files)
}
