//! One connection to a broker, by version 5 of MQTT or 3.1.1
//! (<https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/mqtt-v3.1.1.html>): it logs in and publishes, and
//! subscribes to nothing.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use thiserror::Error;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

use super::Version;
use super::incoming::{self, Connected, Next, Packet, Terms};
use super::outgoing::{self, Outgoing};
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
const PACKET_BYTES: usize = 4 << 10;

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
    #[error("the broker does not speak MQTT")]
    Protocol,
    #[error("the broker does not speak MQTT 5")]
    Version,
    #[error("the broker does not take messages so large")]
    TooLarge,
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
    version: Version,
    terms: Terms,
    /// The number of the message that is under way; there is one at a time.
    number: u16,
    used: Instant,
    keep_alive: Duration,
}

impl Link {
    /// Connects and logs in, under this name of a client.
    pub(crate) async fn open(
        opener: &Opener,
        login: &Login,
        (id, version): (&str, Version),
    ) -> Result<Self, Error> {
        let opening = async {
            let target = (login.scheme(), login.host.as_str(), login.port);
            let stream = opener.open(target, login.secure).await?;
            let (read, terms) = (BytesMut::new(), Terms::default());
            let (used, keep_alive) = (Instant::now(), Duration::MAX);
            let mut link = Self { stream, read, version, terms, number: 1, used, keep_alive };
            link.send(&outgoing::connect(version, login, (id, false))?).await?;
            let Packet::Connected(connected) = link.receive().await? else {
                return Err(Error::Protocol);
            };
            link.terms = accepted(version, &connected)?;
            link.keep_alive = match link.terms.keep_alive.unwrap_or(login.keep_alive) {
                0 => Duration::MAX,
                seconds => Duration::from_secs(seconds.into()),
            };
            Ok(link)
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
        (topic, quality): (&str, QoS),
        message: &Outgoing<'_>,
    ) -> Result<(), Error> {
        let exchange = self.exchange((topic, quality), message);
        timeout(ANSWER, exchange).await.unwrap_or(Err(Error::Timeout))
    }

    async fn exchange(
        &mut self,
        (topic, quality): (&str, QoS),
        message: &Outgoing<'_>,
    ) -> Result<(), Error> {
        const REFUSED: Error = Error::Refused("it does not take the message");
        self.number = self.number.checked_add(1).unwrap_or(1);
        let number = self.number;
        let quality = at_most(quality, self.terms.quality);
        let packet = outgoing::publish(self.version, number, (topic, quality), message)?;
        if packet.len() > self.terms.packet_bytes {
            return Err(Error::TooLarge);
        }
        self.send(&packet).await?;
        match quality {
            QoS::AtMostOnce => Ok(()),
            QoS::AtLeastOnce => match self.receive().await? {
                Packet::Taken(taken, is_taken) if taken == number => {
                    is_taken.then_some(()).ok_or(REFUSED)
                }
                _ => Err(Error::Protocol),
            },
            QoS::ExactlyOnce => {
                match self.receive().await? {
                    Packet::Received(taken, true) if taken == number => {}
                    Packet::Received(taken, false) if taken == number => return Err(REFUSED),
                    _ => return Err(Error::Protocol),
                }
                self.send(&outgoing::release(number)).await?;
                match self.receive().await? {
                    Packet::Complete(taken) if taken == number => Ok(()),
                    _ => Err(Error::Protocol),
                }
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        self.used = Instant::now();
        Ok(())
    }

    async fn receive(&mut self) -> Result<Packet, Error> {
        loop {
            match incoming::next(&mut self.read, PACKET_BYTES)? {
                Next::Frame(frame) => match frame.packet(self.version)? {
                    Packet::Leaving => return Err(Error::Closed),
                    packet => return Ok(packet),
                },
                Next::Part(_) => {}
                Next::TooLong => return Err(Error::Protocol),
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
            let _ = self.send(outgoing::LEAVE).await;
            let _ = self.stream.shutdown().await;
        };
        let _ = timeout(LEAVE, leave).await;
    }
}

/// What a broker that has let a client in wants of it. The codes of the two versions are different ones.
pub(super) fn accepted(version: Version, connected: &Connected) -> Result<Terms, Error> {
    Err(match (version, connected.code) {
        (Version::Three, 0) => return Ok(Terms::default()),
        // Without them it is an answer of 3.1.1.
        (Version::Five, 0) => return connected.terms.ok_or(Error::Version),
        (Version::Five, 1 | 0x84) => Error::Version,
        (Version::Three, 1) => Error::Refused("it does not speak MQTT 3.1.1"),
        (_, 2 | 0x85) => Error::Refused("it does not like the client's name"),
        (_, 3 | 0x88 | 0x89) => Error::Refused("it is not available"),
        (_, 4 | 0x86) => Error::Refused("the username or the password is wrong"),
        (_, 5 | 0x87) => Error::Refused("the username and the password do not suffice"),
        (Version::Five, 0x80..) => Error::Refused("it does not let us in"),
        _ => Error::Protocol,
    })
}

fn at_most(quality: QoS, most: u8) -> QoS {
    match most {
        0 => QoS::AtMostOnce,
        1 if quality == QoS::ExactlyOnce => QoS::AtLeastOnce,
        _ => quality,
    }
}
