//! The bytes of a connection: TCP, Unix socket or TLS, watched so that its activity is known, and
//! closed so that the client gets our last words.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::activity::{Activity, Stage};
use super::connection::Protocol;
use super::refusal;
use super::socket::Socket;

/// What every HTTP/2 client says first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The bytes that a client may send after our last answer before the connection is reset.
const LINGER_BYTES: usize = 8 << 20;

/// What carries the bytes.
pub(super) enum Transport {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// The bytes of a connection.
pub(super) struct Wire {
    transport: Transport,
    activity: Arc<Activity>,
    /// Bytes that were read to find out the protocol.
    ahead: Bytes,
    /// Whether everything was flushed and no answer is in the middle.
    between_answers: bool,
    /// What is being written instead of what hyper writes, and how long that is.
    instead: Option<(Bytes, usize)>,
    /// The bytes that may still be thrown away, once our side is closed.
    lingering: Option<usize>,
}

impl Wire {
    pub(super) const fn new(transport: Transport, activity: Arc<Activity>) -> Self {
        Self {
            transport,
            activity,
            ahead: Bytes::new(),
            between_answers: true,
            instead: None,
            lingering: None,
        }
    }

    /// Finds out which HTTP the client speaks, by what TLS agreed on or by its first bytes. `None`
    /// if it left before it said enough.
    pub(super) async fn protocol(&mut self) -> io::Result<Option<Protocol>> {
        if let Transport::Tls(tls) = &self.transport {
            match tls.get_ref().1.alpn_protocol() {
                Some(b"h2") => return Ok(Some(Protocol::Http2)),
                Some(_) => return Ok(Some(Protocol::Http1)),
                None => {}
            }
        }
        let mut first = BytesMut::with_capacity(1024);
        let protocol = loop {
            if self.read_buf(&mut first).await? == 0 {
                return Ok(None);
            }
            let common = first.len().min(PREFACE.len());
            if first[..common] != PREFACE[..common] {
                break Protocol::Http1;
            }
            if common == PREFACE.len() {
                break Protocol::Http2;
            }
        };
        self.ahead = first.freeze();
        Ok(Some(protocol))
    }

    /// The host that the client named when it began with TLS, in lower case.
    pub(super) fn server_name(&self) -> Option<Box<str>> {
        let Transport::Tls(tls) = &self.transport else { return None };
        tls.get_ref().1.server_name().map(|name| name.to_ascii_lowercase().into())
    }

    /// Writes our words instead of hyper's, where hyper refuses a request by itself: that is when
    /// something was heard that did not become a request, and no answer is under way.
    fn poll_refuse(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        if self.instead.is_none() {
            let boundary = std::mem::replace(&mut self.between_answers, false);
            if !boundary || !self.activity.is_reading_head() {
                return None;
            }
            self.instead = Some((refusal::in_words(bytes)?, bytes.len()));
        }
        while let Some((words, length)) = &mut self.instead {
            match self.transport.poll_write(cx, words) {
                Poll::Ready(Ok(written)) => words.advance(written),
                Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(error))),
                Poll::Pending => return Some(Poll::Pending),
            }
            if words.is_empty() {
                let length = *length;
                self.instead = None;
                return Some(Poll::Ready(Ok(length)));
            }
        }
        None
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>, mut left: usize) -> Poll<io::Result<()>> {
        let mut space = [0; 8 << 10];
        while left > 0 {
            let mut buffer = ReadBuf::new(&mut space);
            match self.transport.poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    left = left.saturating_sub(buffer.filled().len());
                }
                Poll::Ready(_) => break,
                Poll::Pending => {
                    self.lingering = Some(left);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// How many bytes a client took of what it was offered; `None` if it takes none.
pub(super) const fn moved(written: &Poll<io::Result<usize>>) -> Option<usize> {
    match written {
        Poll::Ready(Ok(bytes)) => Some(*bytes),
        Poll::Ready(Err(_)) => Some(0),
        Poll::Pending => None,
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let length = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..length]);
            self.ahead.advance(length);
            if self.ahead.is_empty() {
                // What holds it would stay for as long as the connection.
                self.ahead = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let result = self.transport.poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.hear();
        }
        result
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let refused = self.poll_refuse(cx, bytes);
        let result = refused.unwrap_or_else(|| self.transport.poll_write(cx, bytes));
        self.activity.say(moved(&result));
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A refusal has no body, so it is always the only slice.
        if let [only] = bytes {
            return self.poll_write(cx, only);
        }
        self.between_answers = false;
        let result = self.transport.poll_write_vectored(cx, bytes);
        self.activity.say(moved(&result));
        result
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Hyper flushes when it has written all it had.
        self.between_answers = self.activity.requests() == 0;
        match &mut self.transport {
            // Sockets hold nothing back.
            Transport::Plain(_) => Poll::Ready(Ok(())),
            Transport::Tls(tls) => {
                let result = Pin::new(tls).poll_flush(cx);
                self.activity.say(result.is_ready().then_some(0));
                result
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(left) = self.lingering {
            return self.poll_linger(cx, left);
        }
        ready!(match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        })?;
        if !self.activity.may_still_send() {
            return Poll::Ready(Ok(()));
        }
        self.activity.enter(Stage::Lingering);
        self.poll_linger(cx, LINGER_BYTES)
    }
}

impl Transport {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bytes),
        }
    }
}
