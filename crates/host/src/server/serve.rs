//! One connection, from its acceptance to its last byte.

use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::activity::{Activity, Order, Stage};
use super::balance::Seat;
use super::connection::{Connection, Peer, Protocol, Scheme};
use super::handler::Handler;
use super::listen::Way;
use super::registry::Entry;
use super::service::Session;
use super::socket::Socket;
use super::upgrade::Upgraded;
use super::wire::{Transport, Wire};
use super::worker::Worker;

/// A connection that has just been accepted.
pub(super) struct Accepted {
    pub(super) socket: Socket,
    pub(super) way: Way,
    pub(super) peer: Peer,
    pub(super) entry: Entry,
    pub(super) _seat: Seat,
}

/// Serves a connection until it ends.
pub(super) async fn serve<H: Handler>(worker: Arc<Worker<H>>, accepted: Accepted) {
    let Accepted { socket, way, peer, entry, _seat } = accepted;
    let Way { local, tls, scheme, named } = way;
    let activity = &entry.activity;
    std::future::poll_fn(|cx| {
        activity.register(cx.waker());
        Poll::Ready(())
    })
    .await;
    let Some((transport, scheme)) = secure(&worker, socket, (tls, scheme), activity).await else {
        return;
    };
    let mut wire = Wire::new(transport, activity.clone());
    let Some(Ok(Some(protocol))) = obey(activity, wire.protocol()).await else { return };
    let mut connection = Connection::new(peer, local, scheme, protocol, worker.index);
    connection.server_name = named.or(wire.server_name());
    let session = Session {
        worker: worker.clone(),
        connection: Arc::new(connection),
        activity: activity.clone(),
        upgrade: OnceLock::new(),
    };
    let result = match protocol {
        Protocol::Http1 => http1(&worker, wire, session).await,
        Protocol::Http2 => {
            activity.enter(Stage::Http2);
            http2(&worker, wire, session).await
        }
    };
    if let Err(error) = result {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::debug!(%peer, protocol = protocol.label(), %error, cause, "connection failed");
    }
}

/// Agrees on TLS where it is asked for. `None` if that failed.
async fn secure<H: Handler>(
    worker: &Worker<H>,
    socket: Socket,
    (tls, scheme): (bool, Scheme),
    activity: &Activity,
) -> Option<(Transport, Scheme)> {
    let Some(acceptor) = worker.tls.as_ref().filter(|_| tls) else {
        return Some((Transport::Plain(socket), scheme));
    };
    match obey(activity, acceptor.accept(socket)).await? {
        Ok(stream) => {
            activity.enter(Stage::Http1);
            Some((Transport::Tls(Box::new(stream)), Scheme::Https))
        }
        Err(error) => {
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
    }
}

/// Awaits what comes before the first request, unless the connection is told to end. What the
/// client has sent by then is looked at first: the runtime learns of it between two polls.
async fn obey<F: Future>(activity: &Activity, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut looks = 3;
    std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        match activity.ordered() {
            Order::Serve | Order::Leave => return Poll::Pending,
            Order::Drain if looks > 0 => looks -= 1,
            Order::Drain | Order::Drop => return Poll::Ready(None),
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

async fn http1<H: Handler>(
    worker: &Worker<H>,
    wire: Wire,
    session: Session<H>,
) -> hyper::Result<()> {
    let (activity, session) = (session.activity.clone(), Arc::new(session));
    let shared = session.clone();
    let service = service_fn(move |request| shared.clone().answer(request));
    let mut connection = worker.http1.serve_connection(TokioIo::new(wire), service);
    let pinned = Pin::new(&mut connection);
    let result = run(&activity, pinned, |connection| connection.graceful_shutdown()).await;
    let Some(upgrade) = session.upgrade.get().cloned() else { return result };
    let parts = connection.into_parts();
    drop(session);
    let upgraded = (result.is_ok() && activity.ordered() != Order::Drop).then(|| {
        activity.enter(Stage::Upgraded);
        Upgraded::new(parts.io.into_inner(), activity, parts.read_buf)
    });
    if let Some(speaking) = upgrade.start(upgraded) {
        speaking.await;
    }
    result
}

async fn http2<H: Handler>(
    worker: &Worker<H>,
    wire: Wire,
    session: Session<H>,
) -> hyper::Result<()> {
    let (activity, session) = (session.activity.clone(), Arc::new(session));
    let service = service_fn(move |request| session.clone().answer(request));
    let result = {
        let mut connection = pin!(worker.http2.serve_connection(TokioIo::new(wire), service));
        run(&activity, connection.as_mut(), |connection| connection.graceful_shutdown()).await
    };
    // What took streams over hears that they are gone, and has its last words.
    std::future::poll_fn(|_| match activity.tunnels.are_there() {
        true => Poll::Pending,
        false => Poll::Ready(()),
    })
    .await;
    result
}

/// Drives a connection and does as it is told.
async fn run<C>(
    activity: &Activity,
    mut connection: Pin<&mut C>,
    drain: impl Fn(Pin<&mut C>),
) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut draining = false;
    std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            // A guest that computes is polled again after each slice.
            if !activity.is_http2() && activity.is_abandoned() {
                return Poll::Ready(Ok(()));
            }
            match activity.ordered() {
                Order::Serve => return Poll::Pending,
                // Its next request may be on its way, or the head of its answer may be, which did not say
                // that it is the last. The next head says so, and hyper closes behind that.
                Order::Leave if !activity.is_http2() => return Poll::Pending,
                Order::Leave | Order::Drain if draining => return Poll::Pending,
                Order::Leave | Order::Drain => {
                    draining = true;
                    activity.settle();
                    drain(connection.as_mut());
                }
                Order::Drop => return Poll::Ready(Ok(())),
            }
        }
    })
    .await
}
