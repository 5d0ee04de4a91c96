//! An accepted socket that can be looked at while a connection owns it: a client that has left is
//! to be noticed even while nobody reads what it sent.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt as _;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// An accepted socket; clones are the same.
#[derive(Clone)]
pub(super) struct Socket(Arc<Stream>);

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// An accepted socket that no runtime knows, so that it can change cores.
pub(super) enum Moving {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// Does the same to a socket of either kind.
macro_rules! either {
    ($socket:expr, $stream:ident => $does:expr) => {
        match &*$socket.0 {
            Stream::Tcp($stream) => $does,
            Stream::Unix($stream) => $does,
        }
    };
}

impl Socket {
    /// Makes the current runtime know a socket.
    pub(super) fn arrive(moving: Moving) -> io::Result<Self> {
        Ok(Self(Arc::new(match moving {
            Moving::Tcp(tcp) => Stream::Tcp(TcpStream::from_std(tcp)?),
            Moving::Unix(unix) => Stream::Unix(UnixStream::from_std(unix)?),
        })))
    }

    /// Makes its runtime forget it.
    pub(super) fn depart(self) -> io::Result<Moving> {
        match Arc::into_inner(self.0) {
            Some(Stream::Tcp(tcp)) => Ok(Moving::Tcp(tcp.into_std()?)),
            Some(Stream::Unix(unix)) => Ok(Moving::Unix(unix.into_std()?)),
            None => Err(io::ErrorKind::ResourceBusy.into()),
        }
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match &*self.0 {
            Stream::Tcp(tcp) => tcp.local_addr().ok(),
            Stream::Unix(_) => None,
        }
    }

    /// Whether the client is known to have closed its side. Asks no system, for the runtime was
    /// told when it happened.
    pub(super) fn is_left(&self) -> bool {
        let ready = either!(self, stream => stream.ready(Interest::READABLE).now_or_never());
        matches!(ready, Some(Ok(ready)) if ready.is_read_closed())
    }
}

impl From<TcpStream> for Socket {
    fn from(tcp: TcpStream) -> Self {
        Self(Arc::new(Stream::Tcp(tcp)))
    }
}

impl From<UnixStream> for Socket {
    fn from(unix: UnixStream) -> Self {
        Self(Arc::new(Stream::Unix(unix)))
    }
}

/// What to do after less was moved than was asked for: then the socket is drained (or full), and
/// to forget its readiness saves the call that would only say so. This is what tokio's own streams
/// do; nothing is lost, for readiness is only ever noted by this very thread, between polls.
const FORGET: fn() -> io::Result<()> = || Err(io::ErrorKind::WouldBlock.into());

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => loop {
            ready!(stream.poll_read_ready(cx))?;
            let room = buffer.remaining();
            match stream.try_read_buf(buffer) {
                Ok(length) => {
                    if 0 < length && length < room {
                        let _ = stream.try_io(Interest::READABLE, FORGET);
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        })
    }
}

/// Writes by `$try`, which is given `$length` bytes.
macro_rules! write {
    ($socket:expr, $cx:expr, $length:expr, $stream:ident => $try:expr) => {
        either!($socket, $stream => loop {
            ready!($stream.poll_write_ready($cx))?;
            match $try {
                Ok(length) => {
                    if 0 < length && length < $length {
                        let _ = $stream.try_io(Interest::WRITABLE, FORGET);
                    }
                    return Poll::Ready(Ok(length));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        })
    };
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        write!(self, cx, bytes.len(), stream => stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = bytes.iter().map(|slice| slice.len()).sum();
        write!(self, cx, length, stream => stream.try_write_vectored(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket holds nothing back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(
            either!(self, stream => SockRef::from(stream).shutdown(std::net::Shutdown::Write)),
        )
    }
}
