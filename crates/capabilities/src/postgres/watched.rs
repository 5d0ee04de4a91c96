//! What a server sends, before the library sees it: messages of PostgreSQL's protocol, each of a
//! bounded size. A guest may have chosen the server, and the library takes whatever comes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A message's type and length.
const HEADER: usize = 5;

/// Says that the server is ready for the next statement.
const READY: u8 = b'Z';

/// Tells a setting. The library keeps them all.
const SETTING: u8 = b'S';

/// What may come before the server is ready for the first time, in bytes. The library keeps it.
const STARTUP: u64 = 1 << 20;

/// What settings may come in a session, in bytes.
const SETTINGS: u64 = 16 << 20;

/// What came so far.
#[derive(Debug, Default)]
pub(super) struct Meter {
    ready: AtomicU32,
    bytes: AtomicU64,
    /// Of them, those that had come when it was ready last.
    settled: AtomicU64,
}

impl Meter {
    /// How often the server was ready.
    pub(super) fn ready(&self) -> u32 {
        self.ready.load(Relaxed)
    }

    /// The bytes that came since it was ready last.
    pub(super) fn unsettled(&self) -> u64 {
        self.bytes.load(Relaxed).saturating_sub(self.settled.load(Relaxed))
    }
}

/// A connection that is measured.
pub(super) struct Watched<S> {
    stream: S,
    messages: Messages,
}

impl<S> Watched<S> {
    /// Watches what `stream` sends, of which no message may be longer than `most` bytes.
    pub(super) fn new(stream: S, most: usize, meter: Arc<Meter>) -> Self {
        let header = [0; HEADER];
        let messages = Messages { header, filled: 0, body: 0, settings: 0, most, meter };
        Self { stream, messages }
    }

    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }
}

struct Messages {
    header: [u8; HEADER],
    filled: usize,
    /// What is to come of the message, in bytes.
    body: usize,
    settings: u64,
    most: usize,
    meter: Arc<Meter>,
}

impl Messages {
    fn see(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let seen = self.meter.bytes.fetch_add(bytes.len() as u64, Relaxed) + bytes.len() as u64;
        while !bytes.is_empty() {
            let skipped = self.body.min(bytes.len());
            self.body -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEADER - self.filled).min(bytes.len());
            self.header[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == HEADER {
                self.begin()?;
            }
        }
        if seen > STARTUP && self.meter.ready() == 0 {
            return Err(too_much("before it is ready"));
        }
        Ok(())
    }

    /// A message begins; its length counts itself.
    fn begin(&mut self) -> io::Result<()> {
        self.filled = 0;
        let [kind, length @ ..] = self.header;
        let length = u32::from_be_bytes(length) as usize;
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "a message has no length");
        self.body = length.checked_sub(HEADER - 1).ok_or_else(malformed)?;
        if self.body > self.most {
            return Err(too_much("in one message"));
        }
        if kind == SETTING {
            self.settings += length as u64;
            if self.settings > SETTINGS {
                return Err(too_much("in settings"));
            }
        }
        if kind == READY {
            self.meter.settled.store(self.meter.bytes.load(Relaxed), Relaxed);
            self.meter.ready.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}

fn too_much(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server sends too much {what}"))
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        Poll::Ready(self.messages.see(&into.filled()[before..]))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(most: usize) -> Messages {
        Watched::new((), most, Arc::default()).messages
    }

    fn message(kind: u8, body: usize) -> Vec<u8> {
        let length = (body as u32 + 4).to_be_bytes();
        [&[kind][..], &length, &vec![b'x'; body]].concat()
    }

    #[test]
    fn messages_are_told_apart_however_they_come() {
        let stream = [message(b'D', 0), message(b'D', 7), message(READY, 1)].concat();
        for piece in [1, 2, 3, 5, 100] {
            let mut messages = messages(7);
            for piece in stream.chunks(piece) {
                messages.see(piece).unwrap();
            }
            assert_eq!(messages.meter.ready(), 1);
            assert_eq!(messages.meter.bytes.load(Relaxed), stream.len() as u64);
        }
    }

    #[test]
    fn what_is_too_long_is_refused_when_it_begins() {
        assert!(messages(7).see(&message(b'D', 8)[..HEADER]).is_err());
        assert!(messages(7).see(&[b'D', 0, 0, 0, 3]).is_err());
        assert!(messages(7).see(&[b'D', 0xFF, 0xFF, 0xFF, 0xFF]).is_err());
    }

    #[test]
    fn what_the_library_keeps_is_bounded() {
        let notices = message(b'N', 1 << 16);
        let mut starting = messages(1 << 20);
        assert!((0..17).any(|_| starting.see(&notices).is_err()));
        let mut running = messages(1 << 20);
        running.see(&message(READY, 1)).unwrap();
        assert!((0..1000).all(|_| running.see(&notices).is_ok()));
        let settings = message(SETTING, 1 << 16);
        assert!((0..257).any(|_| running.see(&settings).is_err()));
    }
}
