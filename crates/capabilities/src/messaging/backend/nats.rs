//! A NATS server: messages with headers, and requests with replies.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Instant;

use dayfly_model::outbound::OutboundHosts;
use percent_encoding::percent_decode_str;
use rustls::pki_types::ServerName;
use thiserror::Error as ThisError;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::nats_wire::{Broken, Greeting, Incoming, Link, Said};
use super::pool::{Pool, PoolError};
use super::{CONNECT, Content, Error, Message, TAKE, Wanted, inbox};
use crate::dial::{DialError, Dialer};
use crate::endpoint::Endpoint;
use crate::stream::Stream;
use crate::tls::usual;
use crate::under_way::UnderWay;

/// The version that begins headers, and the status of a request that nobody is there for.
const HEADERS: &str = "NATS/1.0";
const NOBODY: &str = "503";

/// The name of the header that says what the data is.
const CONTENT_TYPE: &str = "Content-Type";

/// How many of the connections may wait for replies: the others are for those who send.
const WAITING: usize = 12;

/// A server.
pub(in super::super) struct Nats {
    dialer: Dialer,
    secure: bool,
    host: String,
    port: u16,
    username: String,
    password: String,
    pool: Pool<Link>,
    waiting: Semaphore,
}

/// Why there is no connection.
#[derive(Debug, ThisError)]
enum OpenError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("the server wants TLS: its address is to begin with `tls://`")]
    WantsTls,
    #[error("the TLS handshake failed")]
    Handshake(#[source] std::io::Error),
    #[error("it took too long")]
    Timeout,
}

impl Nats {
    /// The server at an address; `None` if it is none.
    pub(super) fn new(url: &str) -> Option<Self> {
        let Endpoint { url, host, secure, port } = Endpoint::parse(url, ["nats", "tls"])?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(Cow::into_owned).ok();
        let (username, password) =
            (decoded(url.username())?, decoded(url.password().unwrap_or_default())?);
        let port = port.unwrap_or(4222);
        let hosts = OutboundHosts::parse([super::origin("nats", &host, port)]).ok()?;
        let dialer = Dialer::of_operator(hosts);
        let (pool, waiting) = (Pool::default(), Semaphore::new(WAITING));
        Some(Self { dialer, secure, host, port, username, password, pool, waiting })
    }

    async fn link(&self) -> Result<Link, Error> {
        while let Some(mut link) = self.pool.take() {
            if link.is_fresh().await {
                return Ok(link);
            }
        }
        let opened = timeout(CONNECT, self.open()).await.unwrap_or(Err(OpenError::Timeout));
        opened.map_err(|error| {
            let reason = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, reason, "a NATS server is not reached");
            match error {
                OpenError::Timeout | OpenError::Dial(DialError::ConnectTimeout) => Error::Timeout,
                OpenError::Broken(Broken::Said(_)) => {
                    Error::Connection("the server refuses to be logged in to".to_owned())
                }
                _ => Error::Connection("the server is not reached".to_owned()),
            }
        })
    }

    async fn open(&self) -> Result<Link, OpenError> {
        let connection = self.dialer.connect("nats", &self.host, self.port).await?;
        let mut link = Link::new(Box::new(connection), Greeting::default());
        let greeting = link.greeting().await?;
        if self.secure {
            link = Link::new(self.secured(link.into_stream()?).await?, greeting);
        } else if greeting.wants_tls {
            return Err(OpenError::WantsTls);
        }
        link.log_in(&self.username, &self.password).await?;
        Ok(link)
    }

    async fn secured(&self, stream: Stream) -> Result<Stream, OpenError> {
        let name = ServerName::try_from(self.host.clone())
            .map_err(|error| OpenError::Handshake(std::io::Error::other(error)))?;
        let stream = TlsConnector::from(usual()).connect(name, stream).await;
        Ok(Box::new(stream.map_err(OpenError::Handshake)?))
    }

    pub(super) async fn connect(&self) -> Result<(), Error> {
        let _turn = self.pool.turn().await?;
        self.pool.keep(self.link().await?);
        Ok(())
    }

    pub(super) async fn send(&self, topic: &str, content: &Content) -> Result<(), Error> {
        check(topic)?;
        let _turn = self.pool.turn().await?;
        let mut link = self.link().await?;
        let headers = headers(content, &link)?;
        let sent = timeout(TAKE, async {
            link.publish(topic, None, &headers, &content.data).await?;
            link.settle().await
        });
        sent.await.map_err(|_| Error::Timeout)?.map_err(explain)?;
        self.pool.keep(link);
        Ok(())
    }

    pub(super) async fn request(
        &self,
        topic: &str,
        content: &Content,
        wanted: Wanted,
        room: &UnderWay,
    ) -> Result<Vec<(Message, Option<String>)>, Error> {
        check(topic)?;
        let until = Instant::now() + wanted.patience;
        let waiting = timeout(wanted.patience.min(TAKE), self.waiting.acquire()).await;
        let _waiting = waiting.map_err(|_| Error::from(PoolError::Busy))?;
        let _turn = self.pool.turn().await?;
        let mut link = self.link().await?;
        let headers = headers(content, &link)?;
        let word = inbox::word().ok_or_else(|| Error::Connection("no randomness".to_owned()))?;
        let inbox = format!("_INBOX.{word}");
        let asked = timeout(TAKE, async {
            let subscription = link.subscribe(&inbox, wanted.replies).await?;
            link.publish(topic, Some(&inbox), &headers, &content.data).await?;
            Ok(subscription)
        });
        let subscription = asked.await.map_err(|_| Error::Timeout)?.map_err(explain)?;
        let mut replies = Vec::new();
        while replies.len() < wanted.replies {
            let left = until.saturating_duration_since(Instant::now());
            // What is cut short here leaves the connection in the middle of something: it goes.
            match timeout(left, link.next()).await {
                Err(_) if replies.is_empty() => return Err(Error::Timeout),
                Err(_) => return Ok(replies),
                Ok(Ok(Said::Message(reply))) if reply.subscription == subscription => {
                    if is_nobody(&reply) {
                        return Err(Error::Nobody);
                    }
                    replies.push(received(reply, room)?);
                }
                Ok(Ok(_)) => {}
                Ok(Err(broken)) => return Err(explain(broken)),
            }
        }
        self.pool.keep(link);
        Ok(replies)
    }
}

/// What a guest is told; the log has the rest.
fn explain(broken: Broken) -> Error {
    tracing::warn!(error = %broken, "a NATS server failed");
    match broken {
        Broken::Said(said) if said.starts_with("Permissions Violation") => Error::Forbidden,
        Broken::Said(_) => Error::Connection("the server answered an error".to_owned()),
        _ => Error::Connection("the connection to the server broke off".to_owned()),
    }
}

/// Whether messages can be sent to a topic.
fn check(topic: &str) -> Result<(), Error> {
    let foreign = |c: char| c.is_whitespace() || c.is_control();
    let words = topic.split('.').all(|word| !matches!(word, "" | "*" | ">"));
    if words && !topic.contains(foreign) {
        return Ok(());
    }
    Err(Error::Topic("words joined by `.`, none of them empty, `*` or `>`, and no spaces"))
}

/// A message's headers as they are sent; nothing if there are none.
fn headers(content: &Content, link: &Link) -> Result<Vec<u8>, Error> {
    let mut headers = String::new();
    let content_type = content.content_type.iter().map(|value| (CONTENT_TYPE, value.as_str()));
    let metadata = content.metadata.iter().flatten();
    let metadata = metadata.map(|(key, value)| (key.as_str(), value.as_str()));
    for (key, value) in content_type.chain(metadata) {
        let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        if !is_key || value.contains(['\r', '\n', '\0']) || !link.greeting.headers {
            return Err(Error::Metadata);
        }
        // Writing to a string cannot fail.
        let _ = write!(headers, "{key}: {value}\r\n");
    }
    let headers = match headers.as_str() {
        "" => Vec::new(),
        headers => format!("{HEADERS}\r\n{headers}\r\n").into_bytes(),
    };
    if headers.len() + content.data.len() > link.greeting.most {
        return Err(Error::TooLargeForServer(link.greeting.most));
    }
    Ok(headers)
}

fn is_nobody(reply: &Incoming) -> bool {
    let first = reply.headers.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let status = std::str::from_utf8(first).unwrap_or_default().strip_prefix(HEADERS);
    status.is_some_and(|status| status.trim().split(' ').next() == Some(NOBODY))
}

/// A reply, and where replies to it go.
fn received(reply: Incoming, room: &UnderWay) -> Result<(Message, Option<String>), Error> {
    let mut content = Content { data: reply.data, ..Content::default() };
    let text = String::from_utf8_lossy(&reply.headers);
    for line in text.split("\r\n").skip(1) {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim().to_owned();
        if key.eq_ignore_ascii_case(CONTENT_TYPE) {
            content.content_type = Some(value);
        } else {
            content.metadata.get_or_insert_default().push((key.to_owned(), value));
        }
    }
    let mut message = Message::new(content, room.clone())?;
    message.topic = Some(reply.topic);
    Ok((message, reply.reply))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_words() {
        for good in ["a", "a.b", "orders.new-1", "a*b", "größe"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a.*", ">", "a b", "a\r\nPUB x 0", "a\tb"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_are_read() {
        let nats = Nats::new("nats://user:p%40ss@host:4333").unwrap();
        assert_eq!((nats.username.as_str(), nats.password.as_str()), ("user", "p@ss"));
        assert_eq!((nats.port, nats.secure), (4333, false));
        assert_eq!(Nats::new("tls://token@[::1]").unwrap().port, 4222);
        assert!(Nats::new("http://host").is_none());
    }
}
