//! One connection to a NATS server (<https://docs.nats.io/reference/reference-protocols/nats-protocol>).
//! It belongs to one call at a time.

use std::future::Future as _;
use std::io;
use std::pin::pin;
use std::task::Poll;

use bytes::{Buf as _, Bytes, BytesMut};
use serde_json::{Value, json};
use thiserror::Error as ThisError;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::message::{MESSAGE_BYTES, METADATA_BYTES};
use crate::stream::Stream;

/// The longest line that a server may send, in bytes: what it says of itself.
const LINE_BYTES: usize = 64 << 10;

/// The largest message with its headers, in bytes.
const WHOLE_BYTES: usize = MESSAGE_BYTES + METADATA_BYTES;

/// What is read at once, at least, in bytes.
const READ_BYTES: usize = 8 << 10;

/// What ends a line.
const END: &[u8] = b"\r\n";

/// Why a connection is of no use any more.
#[derive(Debug, ThisError)]
pub(super) enum Broken {
    #[error("the connection broke off")]
    Closed(#[source] Option<io::Error>),
    #[error("the server does not speak NATS")]
    Protocol,
    /// Which says nothing of how it was logged in to.
    #[error("the server says: {0}")]
    Said(String),
}

/// A connection.
pub(super) struct Link {
    stream: Stream,
    read: BytesMut,
    subscriptions: u64,
    pub(super) greeting: Greeting,
}

/// What a server says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Greeting {
    /// The largest message that it takes, in bytes.
    pub(super) most: usize,
    /// Whether it takes headers.
    pub(super) headers: bool,
    pub(super) wants_tls: bool,
}

/// What a server says beside keeping the connection alive.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Pong,
    Message(Incoming),
}

/// A message of a subscription.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Incoming {
    pub(super) subscription: u64,
    pub(super) topic: String,
    pub(super) reply: Option<String>,
    pub(super) headers: Bytes,
    pub(super) data: Bytes,
}

/// Whatever a server sends.
enum Line {
    Info(Value),
    Ping,
    Fine,
    Said(Said),
}

impl Link {
    pub(super) fn new(stream: Stream, greeting: Greeting) -> Self {
        Self { stream, read: BytesMut::new(), subscriptions: 0, greeting }
    }

    /// Waits for the server's first words.
    pub(super) async fn greeting(&mut self) -> Result<Greeting, Broken> {
        loop {
            match self.parse()? {
                Some(Line::Info(info)) => {
                    let most = info["max_payload"].as_u64().and_then(|most| most.try_into().ok());
                    self.greeting = Greeting {
                        most: most.unwrap_or(MESSAGE_BYTES),
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
    pub(super) async fn is_fresh(&mut self) -> bool {
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
    pub(super) async fn publish(
        &mut self,
        topic: &str,
        reply: Option<&str>,
        headers: &[u8],
        data: &[u8],
    ) -> Result<(), Broken> {
        let reply = reply.map(|reply| format!(" {reply}")).unwrap_or_default();
        let line = if headers.is_empty() {
            format!("PUB {topic}{reply} {}\r\n", data.len())
        } else {
            format!("HPUB {topic}{reply} {} {}\r\n", headers.len(), headers.len() + data.len())
        };
        self.write(&[line.as_bytes(), headers, data, END].concat()).await
    }

    /// Waits until the server has done all that it was told.
    pub(super) async fn settle(&mut self) -> Result<(), Broken> {
        self.write(b"PING\r\n").await?;
        self.pong().await
    }

    /// Subscribes to a topic for so many messages.
    pub(super) async fn subscribe(&mut self, topic: &str, most: usize) -> Result<u64, Broken> {
        self.subscriptions += 1;
        let number = self.subscriptions;
        let lines = format!("SUB {topic} {number}\r\nUNSUB {number} {most}\r\n");
        self.write(lines.as_bytes()).await?;
        Ok(number)
    }

    async fn pong(&mut self) -> Result<(), Broken> {
        while self.next().await? != Said::Pong {}
        Ok(())
    }

    /// What the server says next.
    pub(super) async fn next(&mut self) -> Result<Said, Broken> {
        loop {
            match self.parse()? {
                None => self.fill().await?,
                Some(Line::Ping) => self.write(b"PONG\r\n").await?,
                Some(Line::Said(said)) => return Ok(said),
                Some(Line::Info(_) | Line::Fine) => {}
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

    fn parse(&mut self) -> Result<Option<Line>, Broken> {
        parse(&mut self.read)
    }
}

/// Reads what a server sends, in pieces of so many bytes.
#[cfg(fuzzing)]
pub fn fuzz(sent: &[u8], piece: usize) -> usize {
    let mut read = BytesMut::new();
    let mut lines = 0;
    for piece in sent.chunks(piece.max(1)) {
        read.extend_from_slice(piece);
        loop {
            match parse(&mut read) {
                Ok(Some(_)) => lines += 1,
                Ok(None) => break,
                Err(_) => return lines,
            }
        }
    }
    lines
}

/// Takes what comes first, if all of it is there.
fn parse(read: &mut BytesMut) -> Result<Option<Line>, Broken> {
    let Some(end) = read.windows(END.len()).position(|two| two == END) else {
        return if read.len() > LINE_BYTES { Err(Broken::Protocol) } else { Ok(None) };
    };
    let line = std::str::from_utf8(&read[..end]).map_err(|_| Broken::Protocol)?;
    let (verb, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let said = match verb.to_ascii_uppercase().as_str() {
        "MSG" => return message(read, end, false),
        "HMSG" => return message(read, end, true),
        "INFO" => Line::Info(serde_json::from_str(rest).map_err(|_| Broken::Protocol)?),
        "PING" => Line::Ping,
        "PONG" => Line::Said(Said::Pong),
        "+OK" => Line::Fine,
        "-ERR" => return Err(Broken::Said(rest.trim().trim_matches('\'').to_owned())),
        _ => return Err(Broken::Protocol),
    };
    read.advance(end + END.len());
    Ok(Some(said))
}

/// Takes a message, of which the first line ends at `end`.
fn message(read: &mut BytesMut, end: usize, has_headers: bool) -> Result<Option<Line>, Broken> {
    let line = std::str::from_utf8(&read[..end]).map_err(|_| Broken::Protocol)?;
    let words: Vec<&str> = line.split_ascii_whitespace().skip(1).collect();
    let number = |word: &str| word.parse::<usize>().map_err(|_| Broken::Protocol);
    let (rest, header_bytes, bytes) = match (words.as_slice(), has_headers) {
        ([rest @ .., bytes], false) => (rest, 0, number(bytes)?),
        ([rest @ .., headers, bytes], true) => (rest, number(headers)?, number(bytes)?),
        _ => return Err(Broken::Protocol),
    };
    let (topic, subscription, reply) = match rest {
        [topic, subscription] => (topic, subscription, None),
        [topic, subscription, reply] => (topic, subscription, Some((*reply).to_owned())),
        _ => return Err(Broken::Protocol),
    };
    let subscription = subscription.parse().map_err(|_| Broken::Protocol)?;
    if header_bytes > bytes.min(LINE_BYTES) || bytes > WHOLE_BYTES {
        return Err(Broken::Protocol);
    }
    let topic = (*topic).to_owned();
    if read.len() < end + bytes + 2 * END.len() {
        return Ok(None);
    }
    read.advance(end + END.len());
    let mut data = read.split_to(bytes).freeze();
    if !read.starts_with(END) {
        return Err(Broken::Protocol);
    }
    read.advance(END.len());
    let headers = data.split_to(header_bytes);
    Ok(Some(Line::Said(Said::Message(Incoming { subscription, topic, reply, headers, data }))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8]) -> Result<Option<Said>, Broken> {
        let mut read = BytesMut::from(bytes);
        let line = parse(&mut read)?;
        assert!(line.is_none() || read.is_empty());
        Ok(line.and_then(|line| match line {
            Line::Said(said) => Some(said),
            _ => None,
        }))
    }

    #[test]
    fn messages_are_read() {
        let Ok(Some(Said::Message(plain))) = said(b"MSG a.b 7 _INBOX.x 5\r\nhello\r\n") else {
            panic!("no message");
        };
        assert_eq!((plain.subscription, plain.topic.as_str()), (7, "a.b"));
        assert_eq!((plain.reply.as_deref(), &plain.data[..]), (Some("_INBOX.x"), &b"hello"[..]));
        let text = b"HMSG a 1 19 20\r\nNATS/1.0\r\nA: bc\r\n\r\nx\r\n";
        let Ok(Some(Said::Message(headed))) = said(text) else { panic!("no message") };
        assert_eq!(
            (&headed.headers[..], &headed.data[..]),
            (&b"NATS/1.0\r\nA: bc\r\n\r\n"[..], &b"x"[..])
        );
        assert_eq!(said(b"pong\r\n").unwrap(), Some(Said::Pong));
    }

    #[test]
    fn what_is_not_whole_is_waited_for() {
        for part in [&b""[..], b"MSG a 1 5", b"MSG a 1 5\r\n", b"MSG a 1 5\r\nhello", b"PON"] {
            assert!(matches!(said(part), Ok(None)), "{part:?}");
        }
    }

    #[test]
    fn nonsense_ends_it() {
        for text in [
            "HTTP/1.1 200 OK\r\n",
            "MSG a 1\r\n",
            "MSG a x 1\r\n",
            "MSG a 1 b c d 1\r\n",
            "HMSG a 1 9 1\r\n",
            "MSG a 1 99999999\r\n",
            "MSG a 1 1\r\nab\r\n",
            "INFO {\r\n",
        ] {
            assert!(matches!(said(text.as_bytes()), Err(Broken::Protocol)), "{text}");
        }
        let endless = "x".repeat(LINE_BYTES + 1);
        assert!(matches!(said(endless.as_bytes()), Err(Broken::Protocol)));
        let Err(Broken::Said(text)) = said(b"-ERR 'Authorization Violation'\r\n") else {
            panic!("no error");
        };
        assert_eq!(text, "Authorization Violation");
    }
}
