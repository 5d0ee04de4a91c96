//! A connection to a broker that listens: messages as they come, those that are too large without their
//! data, and what waits to be written.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::v4::{Packet, PubComp};
use rumqttc::mqttbytes::{Error as CodecError, QoS};
use tokio::io::{AsyncReadExt as _, ReadHalf};
use tokio::time::timeout;

use super::acks::Acks;
use super::broker::{BrokerError, Receipt, quality};
use super::link::Error;
use crate::queue::MESSAGE_BYTES;
use crate::stream::Stream;

/// The longest packet that is taken, in bytes: a message and its topic.
const PACKET_BYTES: usize = MESSAGE_BYTES + (64 << 10) + 16;

/// The type of packet that a message is.
const PUBLISH: u8 = 3;

/// Where the topic and the number of a message are there at the latest, in bytes.
const HEAD_BYTES: usize = (64 << 10) + 16;

/// How much room is made for what comes, at least, in bytes.
const READ_BYTES: usize = 16 << 10;

/// A connection that listens.
pub struct Subscription {
    reader: ReadHalf<Stream>,
    read: BytesMut,
    pub(super) acks: Acks,
    keep_alive: Duration,
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
    /// How it is acknowledged, if it is to be.
    pub receipt: Option<Receipt>,
    /// Whether it is larger than any handler takes; its data is left out then.
    pub is_too_large: bool,
}

impl Subscription {
    pub(super) fn new(reader: ReadHalf<Stream>, acks: Acks, keep_alive: Duration) -> Self {
        Self {
            reader,
            read: BytesMut::new(),
            acks,
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
                    acks.send(Packet::PingReq).await?;
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
            Packet::Publish(publish) => Ok(Some(Received {
                topic: publish.topic,
                data: publish.payload,
                receipt: Receipt::of(publish.qos, publish.pkid),
                is_too_large: false,
            })),
            Packet::PubRel(release) => {
                self.acks.send(Packet::PubComp(PubComp::new(release.pkid))).await?;
                Ok(None)
            }
            Packet::PingResp => Ok(None),
            _ => Err(Error::Protocol),
        }
    }

    /// What comes next. Nothing is lost if the future is dropped.
    pub(super) async fn incoming(&mut self) -> Result<Incoming, Error> {
        loop {
            if self.skipping.is_none() {
                self.skipping = too_large(&self.read);
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
                match Packet::read(&mut self.read, PACKET_BYTES) {
                    Ok(packet) => return Ok(Incoming::Packet(packet)),
                    Err(CodecError::InsufficientBytes(missing)) => {
                        self.read.reserve(missing.clamp(READ_BYTES, PACKET_BYTES));
                    }
                    // Where its topic and number are not there yet.
                    Err(CodecError::PayloadSizeLimitExceeded(_))
                        if self.read.len() < HEAD_BYTES =>
                    {
                        self.read.reserve(READ_BYTES);
                    }
                    Err(_) => return Err(Error::Protocol),
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
fn too_large(read: &[u8]) -> Option<(Received, usize)> {
    let (first, rest) = read.split_first()?;
    let digits = 1 + rest.iter().take(4).position(|byte| byte & 0x80 == 0)?;
    let digit = |(at, byte): (usize, &u8)| usize::from(byte & 0x7f) << (7 * at);
    let length: usize = rest[..digits].iter().enumerate().map(digit).sum();
    if first >> 4 != PUBLISH || length <= PACKET_BYTES {
        return None;
    }
    let body = rest.get(digits..)?;
    let topic_bytes = usize::from(u16::from_be_bytes(*body.first_chunk()?));
    let topic = body.get(2..2 + topic_bytes)?;
    let number = u16::from_be_bytes(*body.get(2 + topic_bytes..)?.first_chunk()?);
    let message = Received {
        topic: String::from_utf8_lossy(topic).into_owned(),
        data: Bytes::new(),
        receipt: Receipt::of(quality(first >> 1 & 3), number),
        is_too_large: true,
    };
    Some((message, 1 + digits + length))
}

impl Receipt {
    /// How a message of a quality is acknowledged, if it is.
    fn of(quality: QoS, number: u16) -> Option<Self> {
        let is_exact = quality == QoS::ExactlyOnce;
        (quality != QoS::AtMostOnce).then_some(Self { number, is_exact })
    }
}
