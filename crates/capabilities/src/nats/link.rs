//! One connection to a NATS server that belongs to one call at a time.

use std::future::Future as _;
use std::pin::pin;
use std::task::Poll;

use bytes::BytesMut;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::wire::{Broken, END, Incoming, LINE_BYTES, Line, parse};
use crate::stream::Stream;

/// What is read at once, at least, in bytes.
pub(super) const READ_BYTES: usize = 8 << 10;

/// The largest message with its headers that a server takes which does not say, in bytes.
const USUAL_BYTES: usize = 1 << 20;

/// A connection.
pub(crate) struct Link {
    pub(super) stream: Stream,
    pub(super) read: BytesMut,
    /// The largest message that is taken, with its headers, in bytes.
    most: usize,
    subscriptions: u64,
    pub(crate) greeting: Greeting,
}

/// What a server says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Greeting {
    /// The largest message that it takes, in bytes.
    pub(crate) most: usize,
    /// Whether it takes headers.
    pub(crate) headers: bool,
    pub(super) wants_tls: bool,
}

/// What a server says beside keeping the connection alive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Pong,
    Message(Incoming),
}

impl Link {
    pub(super) fn new(stream: Stream, greeting: Greeting, most: usize) -> Self {
        Self { stream, read: BytesMut::new(), most, subscriptions: 0, greeting }
    }

    /// Waits for the server's first words.
    pub(super) async fn greeting(&mut self) -> Result<Greeting, Broken> {
        loop {
            match parse(&mut self.read, self.most)? {
                Some(Line::Info(info)) => {
                    let most = info["max_payload"].as_u64().and_then(|most| most.try_into().ok());
                    self.greeting = Greeting {
                        most: most.unwrap_or(USUAL_BYTES),
                        headers: info["headers"].as_bool().unwrap_or(false),
                        wants_tls: info["tls_required"].as_bool().unwrap_or(false),
                    };
                    return Ok(self.greeting);
                }
                Some(_) => return Err(Broken::Protocol),
                None => self.fill().await?,
            }
        }
    }

    /// The stream, for something to be put in its place. Nothing of what came in the clear is taken
    /// over.
    pub(super) fn into_stream(self) -> Result<Stream, Broken> {
        if self.read.is_empty() { Ok(self.stream) } else { Err(Broken::Protocol) }
    }

    /// Logs in.
    pub(super) async fn log_in(&mut self, username: &str, password: &str) -> Result<(), Broken> {
        let mut connect = json!({
            "verbose": false,
            "pedantic": false,
            "tls_required": false,
            "lang": "rust",
            "version": env!("CARGO_PKG_VERSION"),
            "name": "dayfly",
            "protocol": 1,
            "echo": true,
            "headers": self.greeting.headers,
            "no_responders": self.greeting.headers,
        });
        match (username, password) {
            ("", "") => {}
            (token, "") => connect["auth_token"] = token.into(),
            (username, password) => {
                connect["user"] = username.into();
                connect["pass"] = password.into();
            }
        }
        self.write(format!("CONNECT {connect}\r\nPING\r\n").as_bytes()).await?;
        self.pong().await
    }

    /// Whether the server has not closed it. What it said meanwhile is kept.
    pub(crate) async fn is_fresh(&mut self) -> bool {
        loop {
            let Self { stream, read, .. } = self;
            let polled = std::future::poll_fn(|context| {
                Poll::Ready(pin!(stream.read_buf(read)).poll(context))
            });
            match polled.await {
                Poll::Pending => return true,
                Poll::Ready(Ok(read)) if read > 0 && self.read.len() <= LINE_BYTES => {}
                Poll::Ready(_) => return false,
            }
        }
    }

    /// Publishes a message.
    pub(crate) async fn publish(
        &mut self,
        subject: &str,
        reply: Option<&str>,
        headers: &[u8],
        data: &[u8],
    ) -> Result<(), Broken> {
        self.write(&publication(subject, reply, headers, data)).await
    }

    /// Waits until the server has done all that it was told.
    pub(crate) async fn settle(&mut self) -> Result<(), Broken> {
        self.write(b"PING\r\n").await?;
        self.pong().await
    }

    /// Subscribes to a subject for so many messages.
    pub(crate) async fn subscribe(&mut self, subject: &str, most: usize) -> Result<u64, Broken> {
        self.subscriptions += 1;
        let number = self.subscriptions;
        let lines = format!("SUB {subject} {number}\r\nUNSUB {number} {most}\r\n");
        self.write(lines.as_bytes()).await?;
        Ok(number)
    }

    async fn pong(&mut self) -> Result<(), Broken> {
        while self.next().await? != Said::Pong {}
        Ok(())
    }

    /// What the server says next.
    pub(crate) async fn next(&mut self) -> Result<Said, Broken> {
        loop {
            match parse(&mut self.read, self.most)? {
                None => self.fill().await?,
                Some(Line::Ping) => self.write(b"PONG\r\n").await?,
                Some(Line::Pong) => return Ok(Said::Pong),
                Some(Line::Message(message)) => return Ok(Said::Message(message)),
                Some(Line::Info(_) | Line::Fine) => {}
                Some(Line::TooLarge(..)) => return Err(Broken::Protocol),
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        written.await.map_err(|error| Broken::Closed(Some(error)))
    }

    async fn fill(&mut self) -> Result<(), Broken> {
        self.read.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.read).await {
            Ok(0) => Err(Broken::Closed(None)),
            Ok(_) => Ok(()),
            Err(error) => Err(Broken::Closed(Some(error))),
        }
    }
}

/// What publishes a message.
pub(super) fn publication(
    subject: &str,
    reply: Option<&str>,
    headers: &[u8],
    data: &[u8],
) -> Vec<u8> {
    let reply = reply.map(|reply| format!(" {reply}")).unwrap_or_default();
    let line = if headers.is_empty() {
        format!("PUB {subject}{reply} {}\r\n", data.len())
    } else {
        format!("HPUB {subject}{reply} {} {}\r\n", headers.len(), headers.len() + data.len())
    };
    [line.as_bytes(), headers, data, END].concat()
}
