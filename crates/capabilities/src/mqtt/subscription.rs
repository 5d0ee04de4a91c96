//! A connection to a broker that listens: messages as they come, those that are too large without their
//! data, and what waits to be written.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, ReadHalf};
use tokio::time::timeout;

use super::Version;
use super::acks::Acks;
use super::broker::{BrokerError, Receipt};
use super::incoming::{self, Message, Next, PUBLISH, Packet, length};
use super::link::Error;
use super::outgoing::{PING, complete};
use crate::queue::MESSAGE_BYTES;
use crate::stream::Stream;

/// The longest packet that is taken, in bytes: a message, its topic, and as much again of properties.
const PACKET_BYTES: usize = MESSAGE_BYTES + (128 << 10) + 16;

/// Where the topic and the number of a message are there at the latest, in bytes.
const HEAD_BYTES: usize = (64 << 10) + 16;

/// How much room is made for what comes, at least, in bytes.
const READ_BYTES: usize = 16 << 10;

/// A connection that listens.
pub struct Subscription {
    reader: ReadHalf<Stream>,
    read: BytesMut,
    pub(super) acks: Acks,
    version: Version,
    pub(super) keep_alive: Duration,
    /// Whether the broker knew this client and what it has not acknowledged.
    pub(super) is_resumed: bool,
    /// What came before the broker said that it has subscribed us.
    pub(super) early: VecDeque<Received>,
    /// A message that is too large, and how much of it is to come.
    skipping: Option<(Received, usize)>,
}

/// A message.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its topic.
    pub topic: String,
    /// What it carries.
    pub data: Bytes,
    /// Its media type, if it says that.
    pub content_type: Option<String>,
    /// What else it says of itself, in no order: so many things at most, and none of them long.
    pub attributes: Vec<(String, String)>,
    /// How it is acknowledged, if it is to be.
    pub receipt: Option<Receipt>,
    /// Whether it is larger than any handler takes; its data is left out then.
    pub is_too_large: bool,
}

impl Subscription {
    pub(super) fn new(
        reader: ReadHalf<Stream>,
        acks: Acks,
        (version, keep_alive): (Version, Duration),
    ) -> Self {
        Self {
            reader,
            read: BytesMut::new(),
            acks,
            version,
            keep_alive,
            is_resumed: false,
            early: VecDeque::new(),
            skipping: None,
        }
    }

    /// Whether the broker knew this client, so that messages keep their numbers.
    #[must_use]
    pub const fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Acknowledges this connection's messages.
    #[must_use]
    pub fn acks(&self) -> Acks {
        self.acks.clone()
    }

    /// The next message; what was acknowledged meanwhile is written. Nothing is lost if the future is
    /// dropped.
    ///
    /// # Errors
    /// If the connection broke off.
    pub async fn next(&mut self) -> Result<Received, BrokerError> {
        if let Some(early) = self.early.pop_front() {
            return Ok(early);
        }
        let acks = self.acks.clone();
        let mut asked = false;
        loop {
            let incoming = tokio::select! {
                incoming = timeout(self.keep_alive / 2, self.incoming()) => incoming,
                () = acks.called() => {
                    let written = timeout(self.keep_alive, acks.flush()).await;
                    written.unwrap_or_else(|_| Err(Error::Timeout.into()))?;
                    continue;
                }
            };
            match incoming {
                Ok(incoming) => {
                    asked = false;
                    if let Some(received) = self.received(incoming?).await? {
                        return Ok(received);
                    }
                }
                Err(_) if asked => return Err(Error::Timeout.into()),
                Err(_) => {
                    acks.send(PING).await?;
                    asked = true;
                }
            }
        }
    }

    /// What comes next means: a message, or something to be answered at once.
    pub(super) async fn received(&mut self, incoming: Incoming) -> Result<Option<Received>, Error> {
        let packet = match incoming {
            Incoming::TooLarge(message) => return Ok(Some(message)),
            Incoming::Packet(packet) => packet,
        };
        match packet {
            Packet::Message(message) => Ok(Some(message.into())),
            Packet::Release(number) => {
                self.acks.send(&complete(number)).await?;
                Ok(None)
            }
            Packet::Pong => Ok(None),
            Packet::Leaving => Err(Error::Closed),
            _ => Err(Error::Protocol),
        }
    }

    /// What comes next. Nothing is lost if the future is dropped.
    pub(super) async fn incoming(&mut self) -> Result<Incoming, Error> {
        loop {
            if self.skipping.is_none() {
                self.skipping = too_large(&self.read)?;
            }
            if let Some((message, left)) = &mut self.skipping {
                let now = self.read.len().min(*left);
                let _ = self.read.split_to(now);
                *left -= now;
                if *left == 0 {
                    let message = message.clone();
                    self.skipping = None;
                    return Ok(Incoming::TooLarge(message));
                }
                self.read.reserve(READ_BYTES);
            } else {
                match incoming::next(&mut self.read, PACKET_BYTES)? {
                    Next::Frame(frame) => {
                        return Ok(Incoming::Packet(frame.packet(self.version)?));
                    }
                    Next::Part(missing) => {
                        self.read.reserve(missing.clamp(READ_BYTES, PACKET_BYTES));
                    }
                    // Where its topic and number are not there yet.
                    Next::TooLong if self.read.len() < HEAD_BYTES => self.read.reserve(READ_BYTES),
                    Next::TooLong => return Err(Error::Protocol),
                }
            }
            if self.reader.read_buf(&mut self.read).await.map_err(|_| Error::Closed)? == 0 {
                return Err(Error::Closed);
            }
        }
    }
}

/// What a broker sends.
pub(super) enum Incoming {
    Packet(Packet),
    /// A message that is too large, without its data.
    TooLarge(Received),
}

/// The message that begins here, if it is too large and its topic and number are there, and how long
/// it is, in bytes.
fn too_large(read: &[u8]) -> Result<Option<(Received, usize)>, Error> {
    let Some((body, head)) = length(read)? else { return Ok(None) };
    if read[0] >> 4 != PUBLISH || body <= PACKET_BYTES {
        return Ok(None);
    }
    let message = heading(read[0], &read[head..]).map(|message| (message, head + body));
    Ok(message)
}

/// A message of which the topic and the number are there.
fn heading(first: u8, body: &[u8]) -> Option<Received> {
    let topic_bytes = usize::from(u16::from_be_bytes(*body.first_chunk()?));
    let topic = body.get(2..2 + topic_bytes)?;
    let number = u16::from_be_bytes(*body.get(2 + topic_bytes..)?.first_chunk()?);
    Some(Received {
        topic: String::from_utf8_lossy(topic).into_owned(),
        data: Bytes::new(),
        content_type: None,
        attributes: Vec::new(),
        receipt: Receipt::of(first >> 1 & 3, number),
        is_too_large: true,
    })
}

impl From<Message> for Received {
    fn from(message: Message) -> Self {
        let Message { topic, quality, number, content_type, attributes, data } = message;
        let is_too_large = data.len() > MESSAGE_BYTES;
        let data = if is_too_large { Bytes::new() } else { data };
        let receipt = Receipt::of(quality, number);
        Self { topic, data, content_type, attributes, receipt, is_too_large }
    }
}

impl Receipt {
    /// How a message of a quality is acknowledged, if it is.
    fn of(quality: u8, number: u16) -> Option<Self> {
        (quality > 0).then_some(Self { number, is_exact: quality > 1 })
    }
}
