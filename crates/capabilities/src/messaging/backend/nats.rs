//! A NATS server: messages with headers, and requests with replies.

use std::time::Instant;

use dayfly_model::events::is_subject;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::message::{MESSAGE_BYTES, METADATA_BYTES};
use super::pool::{Pool, PoolError};
use super::{CONNECT, Content, Error, Message, TAKE, Wanted, complete, inbox, place};
use crate::dial::DialError;
use crate::nats::address::{Address, OpenError};
use crate::nats::headers::{self, NOBODY};
use crate::nats::link::{Link, Said};
use crate::nats::wire::{Broken, Incoming};
use crate::under_way::UnderWay;

/// The largest message with its headers, in bytes.
const WHOLE_BYTES: usize = MESSAGE_BYTES + METADATA_BYTES;

/// The name of the header that says what the data is.
const CONTENT_TYPE: &str = "Content-Type";

/// How many of the connections may wait for replies: the others are for those who send.
const WAITING: usize = 12;

/// A server.
pub(in super::super) struct Nats {
    address: Address,
    pool: Pool<Link>,
    waiting: Semaphore,
}

impl Nats {
    /// The server at an address; `None` if it is none.
    pub(super) fn new(url: &str) -> Option<Self> {
        let address = Address::parse(url)?;
        Some(Self { address, pool: Pool::default(), waiting: Semaphore::new(WAITING) })
    }

    async fn link(&self) -> Result<Link, Error> {
        while let Some(mut link) = self.pool.take() {
            if link.is_fresh().await {
                return Ok(link);
            }
        }
        let opened = timeout(CONNECT, self.address.open(WHOLE_BYTES)).await;
        opened.unwrap_or(Err(OpenError::Timeout)).map_err(|error| {
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

    pub(super) async fn connect(&self) -> Result<(), Error> {
        let _turn = self.pool.turn().await?;
        self.pool.keep(self.link().await?);
        Ok(())
    }

    pub(super) async fn send(&self, topic: &str, content: &Content) -> Result<(), Error> {
        check(topic)?;
        let _turn = self.pool.turn().await?;
        let mut link = self.link().await?;
        let headers = headers_of(content, &link)?;
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
        let headers = headers_of(content, &link)?;
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
                    if matches!(headers::status(&reply.headers), Some((NOBODY, _))) {
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
    match is_subject(topic) {
        true => Ok(()),
        false => {
            Err(Error::Topic("words joined by `.`, none of them empty, `*` or `>`, and no spaces"))
        }
    }
}

/// A message's headers as they are sent, with its place in a trace where the server carries any and the guest
/// says nothing of it; nothing if there are none.
fn headers_of(content: &Content, link: &Link) -> Result<Vec<u8>, Error> {
    let content_type = content.content_type.iter().map(|value| (CONTENT_TYPE, value.as_str()));
    let mut metadata = content.metadata.clone().unwrap_or_default();
    if link.greeting.headers {
        complete(&mut metadata, place());
    }
    let metadata = metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let headers = headers::write(content_type.chain(metadata)).ok_or(Error::Metadata)?;
    if !headers.is_empty() && !link.greeting.headers {
        return Err(Error::Metadata);
    }
    if headers.len() + content.data.len() > link.greeting.most {
        return Err(Error::TooLargeForServer(link.greeting.most));
    }
    Ok(headers)
}

/// A reply, and where replies to it go.
fn received(reply: Incoming, room: &UnderWay) -> Result<(Message, Option<String>), Error> {
    let mut content = Content { data: reply.data, ..Content::default() };
    for (key, value) in headers::read(&reply.headers) {
        if key.eq_ignore_ascii_case(CONTENT_TYPE) {
            content.content_type = Some(value);
        } else {
            content.metadata.get_or_insert_default().push((key, value));
        }
    }
    let mut message = Message::new(content, room.clone())?;
    message.topic = Some(reply.subject);
    Ok((message, reply.reply))
}
