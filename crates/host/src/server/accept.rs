//! Accepts the connections of one listener on one core, and takes in those that other cores hand
//! over. Never waits for a client.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use super::activity::Stage;
use super::balance::{Handover, Seat};
use super::connection::Peer;
use super::handler::Handler;
use super::listen::{Listening, LocalAddr, Way};
use super::serve::{Accepted, serve};
use super::shutdown::{Phase, Watch};
use super::socket::Socket;
use super::worker::Worker;

/// A listener that a runtime knows.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Makes the current runtime know a listening socket.
    pub(super) fn new(listening: Listening) -> io::Result<Self> {
        Ok(match listening {
            Listening::Tcp(tcp) => Self::Tcp(TcpListener::from_std(tcp)?),
            Listening::Unix(unix) => Self::Unix(UnixListener::from_std(unix)?),
        })
    }

    async fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (tcp, peer) = listener.accept().await?;
                #[cfg(not(target_os = "linux"))]
                super::listen::tune((&tcp).into())?;
                Ok((tcp.into(), Peer::Tcp(canonical(peer))))
            }
            Self::Unix(listener) => {
                let (unix, _) = listener.accept().await?;
                Ok((unix.into(), Peer::Unix))
            }
        }
    }
}

/// Accepts until the shutdown begins, and at its beginning what the kernel had accepted for us.
pub(super) async fn accept<H: Handler>(
    worker: Arc<Worker<H>>,
    listener: Listener,
    way: Way,
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
            Ok((socket, peer)) => {
                trouble.over();
                tokio::select! {
                    biased;
                    () = worker.registry.room() => {}
                    () = shutdown.reached(Phase::Draining) => {}
                }
                settle(&worker, &way, socket, peer);
            }
            Err(error) => tokio::select! {
                () = trouble.pause(&worker, &way.local, &error) => {}
                () = shutdown.reached(Phase::Draining) => break,
            },
        }
    }
    while let Some(Ok((socket, peer))) = listener.accept().now_or_never() {
        settle(&worker, &way, socket, peer);
    }
}

/// Takes in what other cores hand over, until that is closed.
pub(super) async fn take_in<H: Handler>(
    worker: Arc<Worker<H>>,
    mut inbox: UnboundedReceiver<Handover>,
    mut closed: oneshot::Receiver<()>,
) {
    loop {
        tokio::select! {
            biased;
            Some(handover) = inbox.recv() => arrive(&worker, handover),
            _ = &mut closed => break,
        }
    }
    // What comes after this is handed back.
    inbox.close();
    while let Some(handover) = inbox.recv().await {
        arrive(&worker, handover);
    }
}

fn arrive<H: Handler>(worker: &Arc<Worker<H>>, handover: Handover) {
    let Handover { socket, peer, way, seat } = handover;
    match Socket::arrive(socket) {
        Ok(socket) => spawn(worker, way, socket, peer, seat),
        Err(error) => tracing::warn!(%peer, %error, "lost a connection between two threads"),
    }
}

/// Serves a connection here, or where there are fewer.
fn settle<H: Handler>(worker: &Arc<Worker<H>>, way: &Way, socket: Socket, peer: Peer) {
    let way = Way { local: precise(&way.local, &socket), ..way.clone() };
    let seat = worker.balance.seat(worker.index);
    if seat.core == worker.index {
        return spawn(worker, way, socket, peer, seat);
    }
    let handed = socket.depart().map(|socket| Handover { socket, peer, way, seat });
    match handed.map(|handover| worker.balance.hand_over(handover)) {
        Ok(Ok(())) => {}
        Ok(Err(back)) => arrive(worker, back),
        Err(error) => tracing::warn!(%peer, %error, "lost a connection between two threads"),
    }
}

fn spawn<H: Handler>(worker: &Arc<Worker<H>>, way: Way, socket: Socket, peer: Peer, seat: Seat) {
    let stage = if way.tls { Stage::Handshake } else { Stage::Http1 };
    let entry = worker.registry.enter(socket.clone(), stage);
    tokio::spawn(serve(worker.clone(), Accepted { socket, way, peer, entry, _seat: seat }));
}

/// The address that the client asked for, where the listener takes any.
fn precise(local: &LocalAddr, socket: &Socket) -> LocalAddr {
    match local {
        LocalAddr::Tcp(addr) if addr.ip().is_unspecified() => {
            LocalAddr::Tcp(canonical(socket.local_addr().unwrap_or(*addr)))
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
    const fn over(&mut self) {
        self.failures = 0;
    }

    /// Says what is wrong, makes some room, and gives it a moment.
    async fn pause<H: Handler>(
        &mut self,
        worker: &Worker<H>,
        local: &LocalAddr,
        error: &io::Error,
    ) {
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
