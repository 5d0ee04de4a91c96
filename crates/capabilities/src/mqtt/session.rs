//! What a guest's connection does, in whichever version of the interface it asks.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use dayfly_telemetry::Capability;
use dayfly_telemetry::trace::Kind;
use rumqttc::mqttbytes::QoS;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::link::{Error, Link, Login};
use super::outgoing::Outgoing;
use super::version::Version;
use crate::Grants;
use crate::under_way::{Busy, UnderWay};

/// The longest text in a packet, in bytes.
pub(super) const TEXT_BYTES: usize = u16::MAX as usize;

/// Why a message was not published.
#[derive(Debug, thiserror::Error)]
pub(super) enum PublishError {
    #[error("a message may have {0} bytes")]
    TooLong(usize),
    #[error("a topic has 1 to {TEXT_BYTES} bytes and none of the characters `#`, `+` and NUL")]
    Topic,
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    Link(#[from] Error),
}

/// A guest's connection. Messages are published one after the other; after a failure, and where
/// it was silent for longer than it may be, the next is published on a new one.
pub(super) struct Session {
    grants: Arc<Grants>,
    login: Login,
    /// Unique among the clients of a broker, which ends the older of two that are not.
    id: String,
    under_way: UnderWay,
    link: Mutex<Option<Link>>,
}

impl Session {
    pub(super) async fn open(grants: Arc<Grants>, login: Login) -> Result<Self, Error> {
        // Every broker has to take 23 letters and digits.
        let id = format!("dayfly{:016x}", RandomState::new().hash_one(()));
        let link = Link::open(&grants.mqtt.opener, &login, (&id, Version::Three)).await?;
        let under_way = grants.mqtt.under_way();
        Ok(Self { grants, login, id, under_way, link: Mutex::new(Some(link)) })
    }

    pub(super) async fn publish(
        &self,
        topic: &str,
        payload: Vec<u8>,
        quality: QoS,
    ) -> Result<(), PublishError> {
        let mut call = self.grants.call(Capability::Mqtt, "publish");
        if let Some(span) = call.span() {
            span.rename("publish");
            span.set_kind(Kind::Producer);
            span.text("messaging.operation.name", "publish");
            span.text("messaging.operation.type", "send");
        }
        let call = call.at(&self.login.host, self.login.port);
        let is_refusal = |error: &PublishError| match error {
            PublishError::TooLong(_) | PublishError::Busy(_) => true,
            PublishError::Topic => false,
            PublishError::Link(error) => error.is_refusal(),
        };
        call.end_with(self.send(topic, payload, quality).await, is_refusal)
    }

    async fn send(&self, topic: &str, payload: Vec<u8>, quality: QoS) -> Result<(), PublishError> {
        if topic.is_empty() || topic.len() > TEXT_BYTES || topic.contains(['#', '+', '\0']) {
            return Err(PublishError::Topic);
        }
        let most = self.grants.mqtt.payload_bytes;
        if payload.len() > most {
            return Err(PublishError::TooLong(most));
        }
        let _held = self.under_way.take(payload.len())?;
        let mut kept = self.link.lock().await;
        // It is put back only if all went well: a message that broke off, or whose guest went,
        // leaves a half of itself behind.
        let mut link = match kept.take() {
            Some(mut link) => match link.is_fresh().await {
                true => link,
                false => self.another().await?,
            },
            None => self.another().await?,
        };
        let message = Outgoing { data: payload.into(), ..Outgoing::default() };
        link.publish((topic, quality), &message).await?;
        *kept = Some(link);
        Ok(())
    }

    async fn another(&self) -> Result<Link, Error> {
        Link::open(&self.grants.mqtt.opener, &self.login, (&self.id, Version::Three)).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(link) = self.link.get_mut().take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(link.close());
        }
    }
}
