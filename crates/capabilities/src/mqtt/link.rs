//! One connection to a broker, by version 3.1.1 of MQTT
//! (<https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/mqtt-v3.1.1.html>): it logs in and publishes, and
//! subscribes to nothing.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::v4::{ConnAck, Connect, ConnectReturnCode, Packet, PubRel, Publish};
use rumqttc::mqttbytes::{Error as CodecError, QoS};
use thiserror::Error;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

use crate::stream::{OpenError, Opener, Stream};

/// How long it may take to connect and to log in.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a broker may take to acknowledge a message.
const ANSWER: Duration = Duration::from_secs(10);

/// How long it may take to take leave of a broker.
const LEAVE: Duration = Duration::from_secs(1);

/// The longest message, in bytes.
pub(crate) const PAYLOAD_BYTES: usize = 4 << 20;

/// The longest packet that a broker may send to who subscribes to nothing, in bytes.
const PACKET_BYTES: usize = 64;

/// Why a message was not published, or no connection made.
#[derive(Debug, Clone, Error)]
pub(crate) enum Error {
    #[error("the broker is not granted")]
    NotGranted,
    #[error("as many connections as may be are open")]
    TooManyConnections,
    #[error("failed to connect to the broker: {0}")]
    Connect(String),
    #[error("the broker refuses the connection: {0}")]
    Refused(&'static str),
    #[error("the broker did not answer in time")]
    Timeout,
    #[error("the connection to the broker broke off")]
    Closed,
    #[error("the broker does not speak MQTT 3.1.1")]
    Protocol,
}

impl Error {
    /// Whether the guest was not granted what it asked for, or is over a limit.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::NotGranted | Self::TooManyConnections)
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        use crate::dial::DialError;
        match error {
            OpenError::Dial(DialError::NotGranted | DialError::AddressRefused) => Self::NotGranted,
            OpenError::Dial(DialError::Limit) => Self::TooManyConnections,
            OpenError::Dial(DialError::ConnectTimeout) | OpenError::Timeout => Self::Timeout,
            error => Self::Connect(error.to_string()),
        }
    }
}

impl From<io::Error> for Error {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// A broker and how to log in to it.
pub(crate) struct Login {
    pub(crate) secure: bool,
    /// A name or an address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) username: String,
    pub(crate) password: String,
    /// How long the connection may be silent, in seconds; 0 for as long as it likes.
    pub(crate) keep_alive: u16,
}

impl Login {
    /// The scheme that a grant has to name.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.secure { "mqtts" } else { "mqtt" }
    }
}

/// A connection that is logged in.
pub(crate) struct Link {
    stream: Stream,
    read: BytesMut,
    /// The number of the message that is under way; there is one at a time.
    number: u16,
    used: Instant,
    keep_alive: Duration,
}

impl Link {
    /// Connects and logs in, under this name of a client.
    pub(crate) async fn open(opener: &Opener, login: &Login, id: &str) -> Result<Self, Error> {
        let opening = async {
            let target = (login.scheme(), login.host.as_str(), login.port);
            let stream = opener.open(target, login.secure).await?;
            let keep_alive = match login.keep_alive {
                0 => Duration::MAX,
                seconds => Duration::from_secs(seconds.into()),
            };
            let used = Instant::now();
            let mut link = Self { stream, read: BytesMut::new(), number: 1, used, keep_alive };
            let mut connect = Connect::new(id);
            connect.keep_alive = login.keep_alive;
            if !login.username.is_empty() {
                connect.set_login(&login.username, &login.password);
            }
            link.send(Packet::Connect(connect)).await?;
            match link.receive().await? {
                Packet::ConnAck(ConnAck { code, .. }) => accepted(code).map(|()| link),
                _ => Err(Error::Protocol),
            }
        };
        timeout(CONNECT, opening).await.unwrap_or(Err(Error::Timeout))
    }

    /// Whether it is as good as new: the broker has not closed it, and has no reason to.
    pub(crate) async fn is_fresh(&mut self) -> bool {
        if self.used.elapsed() >= self.keep_alive {
            return false;
        }
        let mut byte = [0; 1];
        poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut byte);
            // There is nothing that a broker could have to say.
            let said = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
            Poll::Ready(said.is_pending())
        })
        .await
    }

    /// Publishes a message and waits until it is acknowledged, as far as its quality has the broker
    /// acknowledge it.
    pub(crate) async fn publish(
        &mut self,
        topic: &str,
        payload: Vec<u8>,
        quality: QoS,
    ) -> Result<(), Error> {
        timeout(ANSWER, self.exchange(topic, payload, quality)).await.unwrap_or(Err(Error::Timeout))
    }

    async fn exchange(&mut self, topic: &str, payload: Vec<u8>, quality: QoS) -> Result<(), Error> {
        self.number = self.number.checked_add(1).unwrap_or(1);
        let mut publish = Publish::from_bytes(topic, quality, Bytes::from(payload));
        if quality != QoS::AtMostOnce {
            publish.pkid = self.number;
        }
        self.send(Packet::Publish(publish)).await?;
        match quality {
            QoS::AtMostOnce => Ok(()),
            QoS::AtLeastOnce => match self.receive().await? {
                Packet::PubAck(ack) if ack.pkid == self.number => Ok(()),
                _ => Err(Error::Protocol),
            },
            QoS::ExactlyOnce => {
                match self.receive().await? {
                    Packet::PubRec(received) if received.pkid == self.number => {}
                    _ => return Err(Error::Protocol),
                }
                self.send(Packet::PubRel(PubRel::new(self.number))).await?;
                match self.receive().await? {
                    Packet::PubComp(complete) if complete.pkid == self.number => Ok(()),
                    _ => Err(Error::Protocol),
                }
            }
        }
    }

    async fn send(&mut self, packet: Packet) -> Result<(), Error> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, usize::MAX).map_err(|_| Error::Protocol)?;
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await?;
        self.used = Instant::now();
        Ok(())
    }

    async fn receive(&mut self) -> Result<Packet, Error> {
        loop {
            match Packet::read(&mut self.read, PACKET_BYTES) {
                Ok(packet) => return Ok(packet),
                Err(CodecError::InsufficientBytes(_)) => {}
                Err(_) => return Err(Error::Protocol),
            }
            self.read.reserve(PACKET_BYTES);
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(Error::Closed);
            }
        }
    }

    /// Takes leave of the broker, which otherwise takes the end for a failure.
    pub(crate) async fn close(mut self) {
        let leave = async {
            let _ = self.send(Packet::Disconnect).await;
            let _ = self.stream.shutdown().await;
        };
        let _ = timeout(LEAVE, leave).await;
    }
}

pub(super) fn accepted(code: ConnectReturnCode) -> Result<(), Error> {
    Err(Error::Refused(match code {
        ConnectReturnCode::Success => return Ok(()),
        ConnectReturnCode::RefusedProtocolVersion => "it does not speak MQTT 3.1.1",
        ConnectReturnCode::BadClientId => "it does not like the client's name",
        ConnectReturnCode::ServiceUnavailable => "it is not available",
        ConnectReturnCode::BadUserNamePassword => "the username or the password is wrong",
        ConnectReturnCode::NotAuthorized => "the username and the password do not suffice",
    }))
}
