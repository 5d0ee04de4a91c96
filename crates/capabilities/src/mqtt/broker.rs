//! A broker as the host itself uses it, for triggers and what they pass on: topics that are listened to,
//! and messages that are acknowledged when they were handled.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dayfly_model::outbound::OutboundHosts;
use percent_encoding::percent_decode_str;
use rumqttc::mqttbytes::v4::{
    ConnAck, Connect, Packet, PubAck, PubComp, PubRec, Subscribe, SubscribeReasonCode,
};
use rumqttc::mqttbytes::{Error as CodecError, QoS};
use thiserror::Error as ThisError;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::link::{Error, Link, Login, accepted};
use crate::dial::Dialer;
use crate::endpoint::Endpoint;
use crate::queue::MESSAGE_BYTES;
use crate::stream::{Opener, Stream};
use crate::tls::Clients;

/// How long it may take to connect, to log in and to subscribe.
const BEGIN: Duration = Duration::from_secs(10);

/// The longest packet that is taken, in bytes: a message and its topic.
const PACKET_BYTES: usize = MESSAGE_BYTES + (64 << 10) + 16;

/// The type of packet that a message is.
const PUBLISH: u8 = 3;

/// Where the topic and the number of a message are there at the latest, in bytes.
const HEAD_BYTES: usize = (64 << 10) + 16;

/// How many messages may come before a broker says that it has subscribed us.
const EARLY: usize = 1024;

/// How much room is made for what comes, at least, in bytes.
const READ_BYTES: usize = 16 << 10;

/// Why a broker did not do what it was asked for.
#[derive(Debug, Clone, ThisError)]
#[error("{0}")]
pub struct BrokerError(String);

impl From<Error> for BrokerError {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

/// How to log in, where the address does not say.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
}

/// A broker that the operator or the app's manifest names.
#[derive(Clone)]
pub struct Broker(Arc<Shared>);

struct Shared {
    login: Login,
    opener: Opener,
    /// By which messages are published, one after the other.
    link: Mutex<Option<Link>>,
}

/// A connection that listens.
pub struct Subscription {
    reader: ReadHalf<Stream>,
    read: BytesMut,
    acks: Acks,
    keep_alive: Duration,
    /// Whether the broker knew this client and what it has not acknowledged.
    is_resumed: bool,
    /// What came before the broker said that it has subscribed us.
    early: VecDeque<Received>,
    /// A message that is too large, and how much of it is to come.
    skipping: Option<(Received, usize)>,
}

/// Acknowledges messages of one connection.
#[derive(Clone)]
pub struct Acks(Arc<Mutex<WriteHalf<Stream>>>);

/// A message.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its topic.
    pub topic: String,
    /// What it carries.
    pub data: Bytes,
    /// Its number until it is acknowledged; 0 if it is not to be.
    pub number: u16,
    /// Whether it is larger than any handler takes; its data is left out then.
    pub is_too_large: bool,
    /// Whether it is acknowledged in two steps, as those of quality 2 are.
    pub is_exact: bool,
}

/// A quality of service: 0, 1 or 2.
fn quality(number: u8) -> QoS {
    match number {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

impl Broker {
    /// The broker at an address, `mqtt://…` or `mqtts://…`; nothing is connected yet. `keep_alive` is
    /// how long a connection may be silent, in seconds.
    ///
    /// # Errors
    /// If the text is no address. It may hold a secret, so it is not in the error.
    pub fn new(address: &str, credentials: Credentials, keep_alive: u16) -> Result<Self, String> {
        const FORM: &str = "not an address of the form `mqtt://USER:PASSWORD@HOST:PORT`";
        let endpoint = Endpoint::parse(address, ["mqtt", "mqtts"]).ok_or(FORM)?;
        let Endpoint { url, host, secure, port } = endpoint;
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(std::borrow::Cow::into_owned).map_err(|_| FORM)
        };
        let or = |text: String, other: String| if text.is_empty() { other } else { text };
        let Credentials { username, password } = credentials;
        let login = Login {
            secure,
            port: port.unwrap_or(if secure { 8883 } else { 1883 }),
            username: or(decoded(url.username())?, username),
            password: or(decoded(url.password().unwrap_or_default())?, password),
            keep_alive: keep_alive.max(1),
            host,
        };
        let brackets = if login.host.contains(':') { ("[", "]") } else { ("", "") };
        let pattern = format!(
            "{}://{}{}{}:{}",
            login.scheme(),
            brackets.0,
            login.host,
            brackets.1,
            login.port
        );
        let hosts = OutboundHosts::parse([pattern]).map_err(|_| FORM)?;
        let opener = Opener::new(Dialer::of_operator(hosts), Clients::default());
        Ok(Self(Arc::new(Shared { login, opener, link: Mutex::default() })))
    }

    /// Its host and port, for people.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.0.login.host, self.0.login.port)
    }

    /// Publishes a message; the broker has it when this returns.
    ///
    /// # Errors
    /// If the broker does not take it.
    pub async fn publish(&self, topic: &str, data: &[u8]) -> Result<(), BrokerError> {
        let mut held = self.0.link.lock().await;
        let mut link = held.take();
        if let Some(last) = &mut link
            && !last.is_fresh().await
        {
            link = None;
        }
        let mut link = match link {
            Some(link) => link,
            None => {
                let name = format!("dayfly{}", &uuid::Uuid::new_v4().simple().to_string()[..16]);
                Link::open(&self.0.opener, &self.0.login, &name).await?
            }
        };
        link.publish(topic, data.to_vec(), QoS::AtLeastOnce).await?;
        // Only now: a message that broke off leaves a half of itself behind.
        *held = Some(link);
        Ok(())
    }

    /// Listens to the topics of a filter, as the client of a name, which is for that filter and quality
    /// alone; `true` if it has subscribed before. The broker keeps what a client of that name has not acknowledged, and what comes while it
    /// is away, if the quality is above 0.
    ///
    /// # Errors
    /// If the broker does not let us.
    pub async fn subscribe(
        &self,
        name: (&str, bool),
        filter: &str,
        quality_of_service: u8,
    ) -> Result<Subscription, BrokerError> {
        let begun = self.begin(name, filter, quality(quality_of_service));
        Ok(timeout(BEGIN, begun).await.unwrap_or(Err(Error::Timeout))?)
    }

    async fn begin(
        &self,
        (name, known): (&str, bool),
        filter: &str,
        qos: QoS,
    ) -> Result<Subscription, Error> {
        let Shared { login, opener, .. } = &*self.0;
        let target = (login.scheme(), login.host.as_str(), login.port);
        let stream = opener.open(target, login.secure).await?;
        let (reader, writer) = tokio::io::split(stream);
        let mut subscription = Subscription {
            reader,
            read: BytesMut::new(),
            acks: Acks(Arc::new(Mutex::new(writer))),
            keep_alive: Duration::from_secs(login.keep_alive.into()),
            is_resumed: false,
            early: VecDeque::new(),
            skipping: None,
        };
        let mut connect = Connect::new(name);
        connect.clean_session = qos == QoS::AtMostOnce;
        connect.keep_alive = login.keep_alive;
        if !login.username.is_empty() {
            connect.set_login(&login.username, &login.password);
        }
        subscription.acks.send(Packet::Connect(connect)).await?;
        match subscription.incoming().await? {
            Incoming::Packet(Packet::ConnAck(ConnAck { code, session_present })) => {
                accepted(code)?;
                subscription.is_resumed = session_present;
            }
            _ => return Err(Error::Protocol),
        }
        // The broker knows what we listen to, and would send all that is retained again.
        if subscription.is_resumed && known {
            return Ok(subscription);
        }
        let mut subscribe = Subscribe::new(filter, qos);
        subscribe.pkid = 1;
        subscription.acks.send(Packet::Subscribe(subscribe)).await?;
        // What was kept for us may come before that is answered.
        loop {
            match subscription.incoming().await? {
                Incoming::Packet(Packet::SubAck(ack)) => match ack.return_codes.first() {
                    Some(SubscribeReasonCode::Success(_)) => return Ok(subscription),
                    _ => return Err(Error::Refused("it does not let us listen to that topic")),
                },
                incoming => {
                    let received = subscription.received(incoming).await?;
                    subscription.early.extend(received);
                    if subscription.early.len() > EARLY {
                        return Err(Error::Protocol);
                    }
                }
            }
        }
    }
}

impl Subscription {
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

    /// The next message. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// If the connection broke off.
    pub async fn next(&mut self) -> Result<Received, BrokerError> {
        if let Some(early) = self.early.pop_front() {
            return Ok(early);
        }
        let mut asked = false;
        loop {
            match timeout(self.keep_alive / 2, self.incoming()).await {
                Ok(incoming) => {
                    asked = false;
                    if let Some(received) = self.received(incoming?).await? {
                        return Ok(received);
                    }
                }
                Err(_) if asked => return Err(Error::Timeout.into()),
                Err(_) => {
                    self.acks.send(Packet::PingReq).await?;
                    asked = true;
                }
            }
        }
    }

    /// What comes next means: a message, or something to be answered at once.
    async fn received(&mut self, incoming: Incoming) -> Result<Option<Received>, Error> {
        let packet = match incoming {
            Incoming::TooLarge(message) => return Ok(Some(message)),
            Incoming::Packet(packet) => packet,
        };
        match packet {
            Packet::Publish(publish) => Ok(Some(Received {
                topic: publish.topic,
                data: publish.payload,
                number: publish.pkid,
                is_too_large: false,
                is_exact: publish.qos == QoS::ExactlyOnce,
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
    async fn incoming(&mut self) -> Result<Incoming, Error> {
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
enum Incoming {
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
    let qos = quality(first >> 1 & 3);
    let message = Received {
        topic: String::from_utf8_lossy(topic).into_owned(),
        data: Bytes::new(),
        number: if qos == QoS::AtMostOnce { 0 } else { number },
        is_too_large: true,
        is_exact: qos == QoS::ExactlyOnce,
    };
    Some((message, 1 + digits + length))
}

impl Acks {
    /// Tells the broker that a message was handled.
    ///
    /// # Errors
    /// If the connection broke off.
    pub async fn acknowledge(&self, message: &Received) -> Result<(), BrokerError> {
        let ack = match message.is_exact {
            true => Packet::PubRec(PubRec::new(message.number)),
            false => Packet::PubAck(PubAck::new(message.number)),
        };
        Ok(self.send(ack).await?)
    }

    /// Takes leave of the broker.
    pub async fn leave(&self) {
        // It may be gone already.
        let _ = self.send(Packet::Disconnect).await;
    }

    async fn send(&self, packet: Packet) -> Result<(), Error> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, usize::MAX).map_err(|_| Error::Protocol)?;
        let mut writer = self.0.lock().await;
        writer.write_all(&bytes).await?;
        writer.flush().await?;
        Ok(())
    }
}
