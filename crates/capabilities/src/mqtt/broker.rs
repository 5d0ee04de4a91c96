//! A broker as the host itself uses it, for triggers and what they pass on: topics that are listened to,
//! and messages that are acknowledged when they were handled.

use std::sync::Arc;
use std::time::Duration;

use dayfly_model::outbound::OutboundHosts;
use dayfly_model::runtime_config::OutboundNetworking;
use percent_encoding::percent_decode_str;
use rumqttc::mqttbytes::QoS;
use thiserror::Error as ThisError;
use tokio::sync::Mutex;
use tokio::time::timeout;

pub use super::acks::Acks;
use super::incoming::Packet;
use super::link::{Error, Link, Login, accepted};
pub use super::outgoing::Outgoing;
use super::outgoing::{connect, subscribe};
use super::subscription::Incoming;
pub use super::subscription::{Received, Subscription};
use super::version::{Spoken, Version};
use crate::dial::Dialer;
use crate::endpoint::Endpoint;
use crate::queue::MESSAGE_BYTES;
use crate::stream::Opener;
use crate::tls::Clients;

/// How long it may take to connect, to log in and to subscribe.
const BEGIN: Duration = Duration::from_secs(10);

/// How many messages may come before a broker says that it has subscribed us, and how many bytes of them.
const EARLY: usize = 1024;
const EARLY_BYTES: usize = 16 * MESSAGE_BYTES;

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
    spoken: Spoken,
    /// By which messages are published, one after the other.
    link: Mutex<Option<Link>>,
}

/// How a message is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its number until it is.
    pub number: u16,
    /// Whether that takes two steps, as those of quality 2 do.
    pub is_exact: bool,
}

/// A quality of service: 0, 1 or 2.
pub(super) fn quality(number: u8) -> QoS {
    match number {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

impl Broker {
    /// The broker at an address, `mqtt://…` or `mqtts://…`, unless nobody reaches that; nothing is
    /// connected yet. `keep_alive` is how long a connection may be silent, in seconds.
    ///
    /// # Errors
    /// If the text is no address. It may hold a secret, so it is not in the error.
    pub fn new(
        address: &str,
        credentials: Credentials,
        keep_alive: u16,
        networking: &OutboundNetworking,
    ) -> Result<Self, String> {
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
        let dialer = Dialer::of_operator(hosts).outside(networking);
        let opener = Opener::new(dialer, Clients::default());
        let (spoken, link) = Default::default();
        Ok(Self(Arc::new(Shared { login, opener, spoken, link })))
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
    pub async fn publish(&self, topic: &str, message: &Outgoing<'_>) -> Result<(), BrokerError> {
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
                let Shared { opener, login, spoken, .. } = &*self.0;
                let name = format!("dayfly{}", &uuid::Uuid::new_v4().simple().to_string()[..16]);
                spoken.agree(|version| Link::open(opener, login, (&name, version))).await?
            }
        };
        link.publish((topic, QoS::AtLeastOnce), message).await?;
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
        let wanted = (filter, quality(quality_of_service));
        let begun = self.0.spoken.agree(|version| self.begin(version, name, wanted));
        Ok(timeout(BEGIN, begun).await.unwrap_or(Err(Error::Timeout))?)
    }

    async fn begin(
        &self,
        version: Version,
        (name, known): (&str, bool),
        (filter, quality): (&str, QoS),
    ) -> Result<Subscription, Error> {
        let Shared { login, opener, .. } = &*self.0;
        let target = (login.scheme(), login.host.as_str(), login.port);
        let stream = opener.open(target, login.secure).await?;
        let (reader, writer) = tokio::io::split(stream);
        let keep_alive = Duration::from_secs(login.keep_alive.into());
        let mut subscription = Subscription::new(reader, Acks::new(writer), (version, keep_alive));
        let is_kept = quality != QoS::AtMostOnce;
        subscription.acks.send(&connect(version, login, (name, is_kept))?).await?;
        match subscription.incoming().await? {
            Incoming::Packet(Packet::Connected(connected)) => {
                let terms = accepted(version, &connected)?;
                if let Some(seconds) = terms.keep_alive.filter(|seconds| *seconds > 0) {
                    subscription.keep_alive = Duration::from_secs(seconds.into());
                }
                subscription.is_resumed = connected.is_resumed;
            }
            _ => return Err(Error::Protocol),
        }
        // The broker knows what we listen to, and would send all that is retained again.
        if subscription.is_resumed && known {
            return Ok(subscription);
        }
        subscription.acks.send(&subscribe(version, 1, (filter, quality))?).await?;
        // What was kept for us may come before that is answered.
        let mut early_bytes = 0;
        loop {
            match subscription.incoming().await? {
                Incoming::Packet(Packet::Subscribed(true)) => return Ok(subscription),
                Incoming::Packet(Packet::Subscribed(false)) => {
                    return Err(Error::Refused("it does not let us listen to that topic"));
                }
                incoming => {
                    let received = subscription.received(incoming).await?;
                    early_bytes += received.as_ref().map_or(0, |message| message.data.len());
                    subscription.early.extend(received);
                    if subscription.early.len() > EARLY || early_bytes > EARLY_BYTES {
                        return Err(Error::Protocol);
                    }
                }
            }
        }
    }
}
