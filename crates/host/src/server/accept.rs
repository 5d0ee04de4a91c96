//! Accepts the connections of one listener on one core. Never waits for a client.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::{TcpListener, UnixListener};

use super::activity::Stage;
use super::connection::Peer;
use super::handler::Handler;
use super::listen::{LocalAddr, Socket};
use super::serve::{Accepted, serve};
use super::shutdown::{Phase, Watch};
use super::wire::Transport;
use super::worker::Worker;

/// A listener that a runtime knows.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Makes the current runtime know a socket.
    pub(super) fn new(socket: Socket) -> io::Result<Self> {
        Ok(match socket {
            Socket::Tcp(tcp) => Self::Tcp(TcpListener::from_std(tcp)?),
            Socket::Unix(unix) => Self::Unix(UnixListener::from_std(unix)?),
        })
    }

    async fn accept(&self) -> io::Result<(Transport, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (tcp, peer) = listener.accept().await?;
                #[cfg(not(target_os = "linux"))]
                super::listen::tune((&tcp).into())?;
                Ok((Transport::Tcp(tcp), Peer::Tcp(canonical(peer))))
            }
            Self::Unix(listener) => {
                let (unix, _) = listener.accept().await?;
                Ok((Transport::Unix(unix), Peer::Unix))
            }
        }
    }
}

/// Accepts until the shutdown begins, and at its beginning what the kernel had accepted for us.
pub(super) async fn accept<H: Handler>(
    worker: Arc<Worker<H>>,
    listener: Listener,
    local: LocalAddr,
    mut shutdown: Watch,
) {
    let mut trouble = Trouble::default();
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = shutdown.reached(Phase::Draining) => break,
        };
        match accepted {
            Ok((transport, peer)) => {
                trouble.over();
                tokio::select! {
                    biased;
                    () = worker.registry.room() => {}
                    () = shutdown.reached(Phase::Draining) => {}
                }
                spawn(&worker, &local, transport, peer);
            }
            Err(error) => trouble.wait(&worker, &local, &error).await,
        }
    }
    while let Some(Ok((transport, peer))) = listener.accept().now_or_never() {
        spawn(&worker, &local, transport, peer);
    }
}

fn spawn<H: Handler>(worker: &Arc<Worker<H>>, local: &LocalAddr, transport: Transport, peer: Peer) {
    let stage = match transport {
        Transport::Tcp(_) if worker.tls.is_some() => Stage::Handshake,
        _ => Stage::Http1,
    };
    let local = precise(local, &transport);
    let entry = worker.registry.enter(stage);
    tokio::spawn(serve(worker.clone(), Accepted { transport, peer, local, entry }));
}

/// The address that the client asked for, where the listener takes any.
fn precise(local: &LocalAddr, transport: &Transport) -> LocalAddr {
    match (local, transport) {
        (LocalAddr::Tcp(addr), Transport::Tcp(tcp)) if addr.ip().is_unspecified() => {
            LocalAddr::Tcp(canonical(tcp.local_addr().unwrap_or(*addr)))
        }
        _ => local.clone(),
    }
}

/// An IPv4 address as such, where a socket for both families has it as an IPv6 one.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// What to do when accepting fails, as it does when descriptors or memory run out.
#[derive(Default)]
struct Trouble {
    failures: u32,
}

impl Trouble {
    fn over(&mut self) {
        self.failures = 0;
    }

    async fn wait<H: Handler>(&mut self, worker: &Worker<H>, local: &LocalAddr, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
            return;
        }
        if self.failures == 0 {
            tracing::error!(%local, %error, "failed to accept a connection, trying again");
        }
        // Perhaps an idle connection holds the descriptor that is lacking.
        worker.registry.evict();
        let wait = Duration::from_millis(10 << self.failures.min(6));
        self.failures = self.failures.saturating_add(1);
        tokio::time::sleep(wait).await;
    }
}
