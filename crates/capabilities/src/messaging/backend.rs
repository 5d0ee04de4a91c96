//! What is behind a client: a NATS, Redis or MQTT server, or the app's own queues.

mod inbox;
mod mqtt;
mod nats;
pub(super) mod pool;
mod queue;
mod redis;

use std::sync::Arc;
use std::time::Duration;

use dayfly_model::runtime_config::{Messaging, MessagingKind};
use dayfly_telemetry::trace;
use http::HeaderMap;

use super::error::Error;
use super::message::{Content, Message};
use crate::queue::{HOPS, Store};
use crate::under_way::UnderWay;
use mqtt::Mqtt;
use nats::Nats;
use queue::Queue;
use redis::Redis;

/// How long a server may take to be reached and to let one in.
const CONNECT: Duration = Duration::from_secs(10);

/// How long it may take to take a message.
const TAKE: Duration = Duration::from_secs(10);

/// A server, not connected yet.
pub(super) enum Backend {
    Nats(Nats),
    Redis(Redis),
    Mqtt(Mqtt),
    Queue(Queue),
}

/// How many replies a request waits for, and how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) replies: usize,
    pub(super) patience: Duration,
}

impl Backend {
    /// The server that a configuration names; `None` if it names none.
    /// `is_noted` says whether the app may hear what it sends to a channel of Redis.
    pub(super) fn new(configured: &Messaging, queues: &Arc<Store>, is_noted: bool) -> Option<Self> {
        let url = &configured.url.0;
        Some(match configured.kind {
            MessagingKind::Nats => Self::Nats(Nats::new(url)?),
            MessagingKind::Redis => Self::Redis(Redis::new(url, is_noted)?),
            MessagingKind::Mqtt => Self::Mqtt(Mqtt::new(url)?),
            MessagingKind::Queue => Self::Queue(Queue::new(queues.clone())),
        })
    }

    /// Sees to it that the server is there.
    pub(super) async fn connect(&self) -> Result<(), Error> {
        match self {
            Self::Nats(nats) => nats.connect().await,
            Self::Redis(redis) => redis.connect().await,
            Self::Mqtt(mqtt) => mqtt.connect().await,
            Self::Queue(_) => Ok(()),
        }
    }

    /// What the count of the steps behind a message is called where it goes, if metadata go there.
    pub(super) const fn hops(&self) -> &'static str {
        match self {
            Self::Nats(_) => "ce-dayflyhops",
            Self::Queue(_) | Self::Redis(_) | Self::Mqtt(_) => HOPS,
        }
    }

    /// Sends a message, and waits until the server has it.
    pub(super) async fn send(&self, topic: &str, content: &Content) -> Result<(), Error> {
        match self {
            Self::Nats(nats) => nats.send(topic, content).await,
            Self::Redis(redis) => redis.send(topic, content).await,
            Self::Mqtt(mqtt) => mqtt.send(topic, content).await,
            Self::Queue(queue) => queue.send(topic, content).await,
        }
    }

    /// Sends a message, and waits for replies to it, which `room` is there for. The second of each
    /// is where replies to the reply go.
    pub(super) async fn request(
        &self,
        topic: &str,
        content: &Content,
        wanted: Wanted,
        room: &UnderWay,
    ) -> Result<Vec<(Message, Option<String>)>, Error> {
        match self {
            Self::Nats(nats) => nats.request(topic, content, wanted, room).await,
            Self::Redis(_) => Err(Error::NoRequests("Redis")),
            Self::Mqtt(_) => Err(Error::NoRequests("MQTT")),
            Self::Queue(_) => Err(Error::NoRequests("a queue")),
        }
    }
}

/// Where in a trace a message is sent, as attributes of it.
fn place() -> Vec<(String, String)> {
    let mut headers = HeaderMap::new();
    if let Some(context) = trace::current() {
        context.inject(&mut headers);
    }
    let place = headers.iter().filter_map(|(name, value)| Some((name, value.to_str().ok()?)));
    place.map(|(name, value)| (name.as_str().to_owned(), value.to_owned())).collect()
}

/// Adds attributes that are not there yet.
fn complete(attributes: &mut Vec<(String, String)>, with: Vec<(String, String)>) {
    for (name, value) in with {
        if !attributes.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            attributes.push((name, value));
        }
    }
}

/// The pattern that grants a server.
fn origin(scheme: &str, host: &str, port: u16) -> String {
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    format!("{scheme}://{open}{host}{close}:{port}")
}
