//! Another protocol on a connection that began as HTTP/1.1 (RFC 9110, section 7.8), or on a stream of
//! HTTP/2 (RFC 8441). A handler answers with 101, or with 200, and an [`Upgrade`] among the response's
//! extensions; once that is written, the upgrade has the connection, in the same task on the same core,
//! or the stream in a task beside it, until it ends.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::{Activity, Order, Running};
use super::tunnels::Tunnel;
use super::wire::{Wire, moved};

/// How much of what comes is read before anybody asks for it.
const AHEAD_BYTES: usize = 512;

/// What goes on with a connection.
type Start = Box<dyn FnOnce(Option<Upgraded>) -> Speaking + Send>;

/// What speaks the other protocol, until it ends.
type Speaking = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes a connection, or a stream, over once its request was answered. Clones are the same.
#[derive(Clone)]
pub struct Upgrade(Arc<Mutex<Option<Start>>>);

impl Upgrade {
    /// An upgrade to what `start` makes of the connection; it gets `None` if that broke off before.
    pub fn new(start: impl FnOnce(Option<Upgraded>) -> Speaking + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::new(start)))))
    }

    pub(super) fn start(self, upgraded: Option<Upgraded>) -> Option<Speaking> {
        let start = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        start.map(|start| start(upgraded))
    }
}

/// A connection, or a stream of one, that no longer speaks HTTP.
pub struct Upgraded {
    way: Way,
    activity: Arc<Activity>,
    /// What came behind the request.
    ahead: Bytes,
    /// How many bytes came in.
    read: u64,
}

/// What carries its bytes.
enum Way {
    Wire(Wire),
    Stream(TokioIo<hyper::upgrade::Upgraded>, Arc<Tunnel>),
}

impl Way {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Wire(wire) => Pin::new(wire).poll_read(cx, buffer),
            Self::Stream(stream, _) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

/// What such a connection is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Go on.
    Serve,
    /// Finish what runs and say goodbye: the server ends.
    Finish,
    /// Close at once: the client takes nothing of what it is sent, or the time is over.
    Close,
}

/// Says what a connection is told to do.
pub(crate) struct Telling {
    activity: Arc<Activity>,
    tunnel: Option<Arc<Tunnel>>,
}

impl Telling {
    /// As [`Upgraded::told`].
    pub(crate) fn told(&self) -> Told {
        told(&self.activity, self.tunnel.as_ref())
    }
}

fn told(activity: &Activity, tunnel: Option<&Arc<Tunnel>>) -> Told {
    if tunnel.is_some_and(|tunnel| tunnel.is_over()) {
        return Told::Close;
    }
    match activity.ordered() {
        Order::Serve => Told::Serve,
        Order::Leave | Order::Drain => Told::Finish,
        Order::Drop => Told::Close,
    }
}

/// One piece of work for the connection, which the server counts as a request that runs.
pub struct Working(#[expect(dead_code, reason = "counts for as long as it lives")] Running);

impl Upgraded {
    pub(super) fn new(wire: Wire, activity: Arc<Activity>, ahead: Bytes) -> Self {
        // What is empty may hold the whole of hyper's buffer all the same.
        let ahead = if ahead.is_empty() { Bytes::new() } else { ahead };
        Self { way: Way::Wire(wire), activity, ahead, read: 0 }
    }

    pub(super) fn of_stream(
        stream: TokioIo<hyper::upgrade::Upgraded>,
        tunnel: Arc<Tunnel>,
        activity: Arc<Activity>,
    ) -> Self {
        Self { way: Way::Stream(stream, tunnel), activity, ahead: Bytes::new(), read: 0 }
    }

    /// What it is told to do. Its task is woken when that changes.
    pub fn told(&self) -> Told {
        let tunnel = match &self.way {
            Way::Wire(_) => None,
            Way::Stream(_, tunnel) => Some(tunnel),
        };
        told(&self.activity, tunnel)
    }

    /// Waits until the client has left, while nobody reads: a little is read ahead, for that is how
    /// its leaving is heard of.
    pub(crate) fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.told() == Told::Close || self.activity.is_left() {
            return Poll::Ready(());
        }
        if self.ahead.is_empty() {
            let mut space = [0; AHEAD_BYTES];
            let mut buffer = ReadBuf::new(&mut space);
            match self.way.poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.ahead = Bytes::copy_from_slice(buffer.filled());
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        // A stream that was reset behind what it sent.
        match &mut self.way {
            Way::Stream(stream, _) => match Pin::new(stream).poll_flush(cx) {
                Poll::Ready(Err(_)) => Poll::Ready(()),
                _ => Poll::Pending,
            },
            Way::Wire(_) => Poll::Pending,
        }
    }

    /// What says the same while something else has it.
    pub(crate) fn telling(&self) -> Telling {
        let tunnel = match &self.way {
            Way::Wire(_) => None,
            Way::Stream(_, tunnel) => Some(tunnel.clone()),
        };
        Telling { activity: self.activity.clone(), tunnel }
    }

    /// Begins a piece of work.
    pub fn begin(&self) -> Working {
        let mut running = Running::begin(&self.activity, false);
        running.set_working(true);
        Working(running)
    }

    /// How many bytes came in since the connection was taken over.
    pub const fn bytes_read(&self) -> u64 {
        self.read
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.ahead.is_empty() {
            std::task::ready!(self.way.poll_read(cx, buffer))?;
        } else {
            let length = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead.split_to(length));
            if self.ahead.is_empty() {
                self.ahead = Bytes::new();
            }
        }
        self.read += (buffer.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.way {
            Way::Wire(wire) => Pin::new(wire).poll_write(cx, bytes),
            Way::Stream(stream, tunnel) => {
                let written = Pin::new(stream).poll_write(cx, bytes);
                tunnel.say(moved(&written));
                written
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.way {
            Way::Wire(wire) => Pin::new(wire).poll_flush(cx),
            Way::Stream(stream, _) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.way {
            Way::Wire(wire) => Pin::new(wire).poll_shutdown(cx),
            Way::Stream(stream, _) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
