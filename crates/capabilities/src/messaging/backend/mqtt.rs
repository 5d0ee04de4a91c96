//! An MQTT broker: messages are published once at least. By version 5 they carry their metadata as a user's
//! properties, by 3.1.1 the data alone.

use dayfly_model::outbound::OutboundHosts;
use percent_encoding::percent_decode_str;
use rumqttc::mqttbytes::QoS;

use super::pool::Pool;
use super::{Content, Error, complete, inbox, place};
use crate::dial::Dialer;
use crate::endpoint::Endpoint;
use crate::mqtt::link::{self, Link, Login};
use crate::mqtt::outgoing::Outgoing;
use crate::mqtt::version::Spoken;
use crate::stream::Opener;
use crate::tls::Clients;

/// How long a connection may be silent, in seconds: longer than it is kept.
const KEEP_ALIVE: u16 = 60;

/// A broker.
pub(in super::super) struct Mqtt {
    login: Login,
    opener: Opener,
    spoken: Spoken,
    pool: Pool<Link>,
}

impl Mqtt {
    /// The broker at an address; `None` if it is none.
    pub(super) fn new(url: &str) -> Option<Self> {
        let Endpoint { url, host, secure, port } = Endpoint::parse(url, ["mqtt", "mqtts"])?;
        let decoded = |text: &str| {
            percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned).ok()
        };
        let login = Login {
            secure,
            port: port.unwrap_or(if secure { 8883 } else { 1883 }),
            username: decoded(url.username())?,
            password: decoded(url.password().unwrap_or_default())?,
            keep_alive: KEEP_ALIVE,
            host,
        };
        let pattern = super::origin(login.scheme(), &login.host, login.port);
        let hosts = OutboundHosts::parse([pattern]).ok()?;
        let opener = Opener::new(Dialer::of_operator(hosts), Clients::default());
        Some(Self { login, opener, spoken: Spoken::default(), pool: Pool::default() })
    }

    async fn link(&self) -> Result<Link, Error> {
        while let Some(mut link) = self.pool.take() {
            if link.is_fresh().await {
                return Ok(link);
            }
        }
        let name = inbox::word().ok_or_else(|| Error::Connection("no randomness".to_owned()))?;
        // Every broker has to take 23 letters and digits.
        let name = format!("dayfly{}", &name[..16]);
        let Self { opener, login, spoken, .. } = self;
        let opened = spoken.agree(|version| Link::open(opener, login, (&name, version)));
        opened.await.map_err(explain)
    }

    pub(super) async fn connect(&self) -> Result<(), Error> {
        let _turn = self.pool.turn().await?;
        self.pool.keep(self.link().await?);
        Ok(())
    }

    pub(super) async fn send(&self, topic: &str, content: &Content) -> Result<(), Error> {
        if topic.contains(['#', '+', '\0']) {
            return Err(Error::Topic("none of `#`, `+` and NUL"));
        }
        let _turn = self.pool.turn().await?;
        let mut link = self.link().await?;
        let mut attributes = content.metadata.clone().unwrap_or_default();
        complete(&mut attributes, place());
        let content_type = content.content_type.as_deref();
        let message = Outgoing { data: content.data.clone(), content_type, attributes };
        let sent = link.publish((topic, QoS::AtLeastOnce), &message).await;
        sent.map_err(explain)?;
        // Only now: a message that broke off leaves a half of itself behind.
        self.pool.keep(link);
        Ok(())
    }
}

/// What a guest is told; the log has the rest.
fn explain(error: link::Error) -> Error {
    tracing::warn!(%error, "an MQTT broker failed");
    match error {
        link::Error::Timeout => Error::Timeout,
        link::Error::Refused(_) => {
            Error::Connection("the server refuses to be logged in to".to_owned())
        }
        _ => Error::Connection("the server is not reached".to_owned()),
    }
}
