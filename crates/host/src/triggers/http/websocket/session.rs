//! The frames of one connection: reads messages, writes what waits for the client, asks it whether it
//! is still there, and closes what breaks the rules or takes too much.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dayfly_capabilities::websocket::{Coming, Hub, Kept, Link, Message, Outgoing};
use dayfly_model::Websocket;
use futures_util::{Sink as _, Stream as _};
use tokio::io::AsyncWrite as _;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Error};

use super::conversation::Goodbye;
use crate::{Told, Upgraded, Working};

/// What is read at once, in bytes: each connection has as much, however idle it is.
const READ_BYTES: usize = 2 << 10;

/// What is written as one frame, in bytes: a connection keeps as much once it wrote a large message.
const FRAME_BYTES: usize = 16 << 10;

/// How long a client may take to answer our goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// How many pings, pongs and the like a client may send between two looks at the clock.
const CONTROLS: u32 = 1_000;

/// How much a client may send for one message, in the message's longest lengths and beside: more are
/// fragments of next to nothing.
const OVERHEAD: u64 = 4;
const BESIDE_BYTES: u64 = 64 << 10;

/// What comes of a client.
pub(super) enum Heard {
    Message(Message),
    /// Nothing comes any more.
    End(Goodbye),
}

/// One connection.
pub(super) struct Session<'a> {
    socket: WebSocketStream<Upgraded>,
    link: &'a Link,
    hub: &'a Hub,
    settings: &'a Websocket,
    /// What has come of the client's message, until it is handled.
    coming: Coming,
    /// The message that is being written, and whether some of it was.
    writing: Option<(Message, bool)>,
    /// Whether something was written that was not flushed.
    unflushed: bool,
    /// How it ends, once that is certain, and until when the client may answer.
    closing: Option<(Goodbye, Instant)>,
    is_broken: bool,
    clock: Pin<Box<Sleep>>,
    silence: Silence,
    /// What was read last: while it is held, its memory is not taken for the next.
    last: Option<Bytes>,
}

/// How long a client said nothing, and whether what it says are messages.
struct Silence {
    heard: Instant,
    controls: u32,
    /// How many bytes had come at the last message, or the last look at the clock.
    bytes: u64,
}

impl<'a> Session<'a> {
    pub(super) async fn new(
        upgraded: Upgraded,
        kept: &'a Kept,
        settings: &'a Websocket,
    ) -> Box<Self> {
        let longest = usize::try_from(settings.message_bytes).unwrap_or(usize::MAX);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(longest))
            .max_frame_size(Some(longest));
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await;
        let now = Instant::now();
        Box::new(Self {
            socket,
            link: kept.link(),
            hub: kept.hub(),
            settings,
            coming: Coming::default(),
            writing: None,
            unflushed: false,
            closing: None,
            is_broken: false,
            clock: Box::pin(sleep_until(now + settings.ping)),
            silence: Silence { heard: now, controls: 0, bytes: 0 },
            last: None,
        })
    }

    /// Begins a piece of work that the server counts.
    pub(super) fn begin(&self) -> Working {
        self.socket.get_ref().begin()
    }

    /// Waits for the client's next message, and writes meanwhile.
    pub(super) async fn hear(&mut self) -> Heard {
        self.coming = Coming::default();
        std::future::poll_fn(|cx| self.poll_hear(cx)).await
    }

    /// Does something, and writes meanwhile. `None` if there is nobody any more to do it for: the
    /// work is dropped.
    pub(super) async fn write_while<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| {
            let done = work.as_mut().poll(cx);
            // What it said last is written before a goodbye may follow.
            self.is_broken |= self.closing.is_none() && self.poll_write(cx).is_err();
            if let Poll::Ready(done) = done {
                return Poll::Ready(Some(done));
            }
            if self.is_broken || self.socket.get_mut().poll_left(cx).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    /// How a connection ends whose client has left.
    pub(super) fn lose(&mut self) -> Goodbye {
        self.is_broken = true;
        self.goodbye()
    }

    /// Says goodbye; the client may say it, too, before the connection is shut down.
    pub(super) fn close(&mut self, goodbye: Goodbye) {
        if self.closing.is_some() {
            return;
        }
        let Goodbye { code, reason } = &goodbye;
        let frame = CloseFrame { code: (*code).into(), reason: reason.as_str().into() };
        let message = tungstenite::Message::Close(Some(frame));
        self.is_broken |= Pin::new(&mut self.socket).start_send(message).is_err();
        self.unflushed = true;
        // Nothing may follow it, not the rest of a message either.
        self.writing = None;
        let until = Instant::now() + GOODBYE;
        self.clock.as_mut().reset(until);
        self.closing = Some((goodbye, until));
    }

    /// Shuts the connection down, as far as the client lets us.
    pub(super) async fn shut_down(&mut self) {
        std::future::poll_fn(|cx| {
            // It has closed what takes nothing.
            if self.is_broken || self.socket.get_ref().told() == Told::Close {
                return Poll::Ready(());
            }
            if self.unflushed {
                match Pin::new(&mut self.socket).poll_flush(cx) {
                    Poll::Ready(flushed) => self.is_broken |= flushed.is_err(),
                    Poll::Pending => return self.clock.as_mut().poll(cx),
                }
                self.unflushed = false;
            }
            Pin::new(self.socket.get_mut()).poll_shutdown(cx).map(drop)
        })
        .await;
    }

    fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        match self.socket.get_ref().told() {
            Told::Serve => {}
            Told::Finish => self.close(Goodbye::new(1001, "going away")),
            Told::Close => return Poll::Ready(Heard::End(self.goodbye())),
        }
        if self.is_broken || self.poll_write(cx).is_err() {
            self.is_broken = true;
            return Poll::Ready(Heard::End(self.goodbye()));
        }
        while self.closing.is_some() || self.link.has_room() {
            let read = Pin::new(&mut self.socket).poll_next(cx);
            self.last = None;
            if self.closing.is_none() && !self.has_room() {
                self.close(Goodbye::new(1013, "too much comes at once"));
                return Poll::Ready(Heard::End(self.goodbye()));
            }
            let Poll::Ready(read) = read else {
                if self.takes_too_much() {
                    self.close(Goodbye::new(1009, "too many fragments"));
                    return Poll::Ready(Heard::End(self.goodbye()));
                }
                break;
            };
            if let Poll::Ready(heard) = self.read(read) {
                return Poll::Ready(heard);
            }
        }
        self.poll_clock(cx)
    }

    fn goodbye(&self) -> Goodbye {
        self.closing.as_ref().map_or_else(Goodbye::lost, |(goodbye, _)| goodbye.clone())
    }

    /// What was read means.
    fn read(&mut self, read: Option<Result<tungstenite::Message, Error>>) -> Poll<Heard> {
        use tungstenite::Message as Read;
        self.silence.heard = Instant::now();
        let message = match read {
            None => return Poll::Ready(Heard::End(self.goodbye())),
            Some(Err(error)) => return Poll::Ready(Heard::End(self.fail(&error))),
            Some(Ok(Read::Text(text))) => Message::Text(text.into()),
            Some(Ok(Read::Binary(bytes))) => Message::Binary(bytes),
            Some(Ok(Read::Close(frame))) => {
                let goodbye = frame.map_or_else(
                    || Goodbye::new(1005, ""),
                    |it| Goodbye::new(it.code.into(), it.reason.as_str()),
                );
                // The library answers by itself, with the next read.
                self.closing.get_or_insert((goodbye, Instant::now() + GOODBYE));
                self.writing = None;
                return Poll::Pending;
            }
            Some(Ok(_)) => {
                self.silence.controls += 1;
                if self.silence.controls > CONTROLS {
                    self.close(Goodbye::new(1008, "too many pings"));
                    return Poll::Ready(Heard::End(self.goodbye()));
                }
                return Poll::Pending;
            }
        };
        self.silence.bytes = self.socket.get_ref().bytes_read();
        if self.closing.is_some() {
            return Poll::Pending;
        }
        self.last = Some(message.bytes().clone());
        Poll::Ready(Heard::Message(message))
    }

    /// Tells the client what it did wrong, if it can still hear.
    fn fail(&mut self, error: &Error) -> Goodbye {
        let (code, reason) = match error {
            Error::Capacity(_) => (1009, "the message is too large"),
            Error::Utf8(_) => (1007, "the text is no UTF-8"),
            Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
                self.is_broken = true;
                return self.goodbye();
            }
            Error::Protocol(_) => (1002, "the frame breaks the protocol"),
            _ => {
                self.is_broken = true;
                return self.goodbye();
            }
        };
        self.close(Goodbye::new(code, reason));
        self.goodbye()
    }

    /// Writes what waits for the client, as long as it takes it.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        while Pin::new(&mut self.socket).poll_ready(cx)?.is_ready() {
            if let Some(frame) = self.next_frame() {
                Pin::new(&mut self.socket).start_send(tungstenite::Message::Frame(frame))?;
                self.unflushed = true;
                continue;
            }
            if self.closing.is_some() {
                break;
            }
            match self.link.poll_outgoing(cx) {
                Poll::Ready(Outgoing::Message(message)) => self.writing = Some((message, false)),
                Poll::Ready(Outgoing::Close(code, reason)) => {
                    self.close(Goodbye::new(code, reason));
                }
                Poll::Pending => break,
            }
        }
        if self.unflushed && Pin::new(&mut self.socket).poll_flush(cx)?.is_ready() {
            self.unflushed = false;
        }
        Ok(())
    }

    /// The next piece of the message that is being written.
    fn next_frame(&mut self) -> Option<Frame> {
        let (message, is_begun) = self.writing.take()?;
        let kind = match (&message, is_begun) {
            (_, true) => Data::Continue,
            (Message::Text(_), false) => Data::Text,
            (Message::Binary(_), false) => Data::Binary,
        };
        let mut piece = message.bytes().clone();
        let rest = piece.split_off(piece.len().min(FRAME_BYTES));
        let is_last = rest.is_empty();
        if is_last {
            self.hub.counts().sent.count();
        } else {
            // Which kind it is, the first piece has said.
            self.writing = Some((Message::Binary(rest), true));
        }
        Some(Frame::message(piece, OpCode::Data(kind), is_last))
    }

    /// Whether there is room for what has come since the last message, which is at most a whole one.
    fn has_room(&mut self) -> bool {
        let came = self.socket.get_ref().bytes_read() - self.silence.bytes;
        self.hub.has_room_for(&mut self.coming, came.min(self.settings.message_bytes))
    }

    /// Whether more came since the last message than any message takes.
    fn takes_too_much(&self) -> bool {
        let came = self.socket.get_ref().bytes_read() - self.silence.bytes;
        came > self.settings.message_bytes * OVERHEAD + BESIDE_BYTES
    }

    /// Looks at the clock: asks a silent client whether it is there, and ends what is over.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        while self.clock.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if let Some((goodbye, until)) = &self.closing {
                if now >= *until {
                    self.is_broken = true;
                    return Poll::Ready(Heard::End(goodbye.clone()));
                }
                let until = *until;
                self.clock.as_mut().reset(until);
                continue;
            }
            let Websocket { ping, idle, .. } = *self.settings;
            let bytes = self.socket.get_ref().bytes_read();
            if bytes > self.silence.bytes {
                // A part of a message, or a pong.
                self.silence.heard = self.silence.heard.max(now - ping / 2);
            }
            (self.silence.bytes, self.silence.controls) = (bytes, 0);
            let silent = now - self.silence.heard;
            if silent >= idle {
                self.is_broken = true;
                return Poll::Ready(Heard::End(Goodbye::lost()));
            }
            if silent < ping {
                self.clock.as_mut().reset(self.silence.heard + ping);
                continue;
            }
            self.clock.as_mut().reset((now + ping).min(self.silence.heard + idle));
            let ping = tungstenite::Message::Ping(Bytes::new());
            self.unflushed = true;
            let sent = Pin::new(&mut self.socket).start_send(ping).map_err(drop);
            if sent.and_then(|()| self.poll_write(cx).map_err(drop)).is_err() {
                self.is_broken = true;
                return Poll::Ready(Heard::End(Goodbye::lost()));
            }
        }
        Poll::Pending
    }
}
