//! What wakes components: one file or folder a trigger. Requests and commands are answered as they come;
//! events are brought to handlers one by one, and one list has all kinds of their sources.

mod command;
mod consumer;
mod cron;
pub(crate) mod http;
mod mqtt;
mod nats;
mod queue;
mod reconnect;
mod redis;

use std::sync::Arc;

use dayfly_model::{App, EventSource};
use dayfly_telemetry::{Telemetry, UsageCounters};

use crate::dispatch::{ActivateError, Index};
use crate::events::{Opening, Source, Sources, Topology};
pub(crate) use command::Commands;
pub(crate) use consumer::Consumers;
pub(crate) use http::Router;
pub(crate) use http::headers::host as host_of;
pub(crate) use mqtt::broker as mqtt_broker;
pub(crate) use nats::server as nats_server;
pub(crate) use redis::server as redis_server;

/// What an app's triggers are made ready with.
pub(crate) struct Setting<'a> {
    /// The app.
    pub(crate) app: &'a App,
    /// Its components.
    pub(crate) components: &'a Index<'a>,
    /// Where answers go.
    pub(crate) topology: &'a Arc<Topology>,
    /// What is exported, if anything.
    pub(crate) telemetry: Option<&'a Arc<Telemetry>>,
    /// The sources of the app's events.
    pub(crate) sources: &'a Arc<Sources>,
    /// Which of the node's activations this is.
    pub(crate) activation: u64,
    /// Where its routes are reached, as far as that is one place.
    pub(crate) url: Option<&'a str>,
    /// Where requests are counted that no component gets, if they are.
    pub(crate) usage: Option<&'a Arc<UsageCounters>>,
}

/// One kind of trigger whose events are brought to handlers one by one (`events`).
pub(crate) struct SourceType {
    /// Its name behind `trigger.` in the manifest.
    pub(crate) name: &'static str,
    /// Opens the source of one trigger.
    pub(crate) open: Open,
}

type Open = fn(&str, &EventSource, &Opening<'_>) -> Result<Box<dyn Source>, ActivateError>;

/// Every kind of trigger whose events are brought to handlers: what a new one adds is one line here.
const SOURCES: &[SourceType] =
    &[redis::SOURCE, mqtt::SOURCE, nats::SOURCE, cron::SOURCE, queue::SOURCE];

/// The kind of trigger of that name, if its events are brought to handlers.
pub(crate) fn source_type(name: &str) -> Option<&'static SourceType> {
    SOURCES.iter().find(|source| source.name == name)
}

/// Whether this build serves the trigger of that name.
pub fn serves(name: &str) -> bool {
    name == http::NAME || name == command::NAME || source_type(name).is_some()
}
