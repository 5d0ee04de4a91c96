//! What wakes components: one file or folder a trigger, one list of them all.

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

use crate::dispatch::{ActivateError, Index};
use crate::events::{Opening, Source, Topology};
use crate::host::HostConfig;
use crate::{Outcome, ServeError, Shutdown};
pub(crate) use mqtt::broker as mqtt_broker;
pub(crate) use nats::server as nats_server;
pub(crate) use redis::server as redis_server;

/// One kind of trigger, as the rest of Dayfly sees it.
pub struct TriggerType {
    /// Its name behind `trigger.` in the manifest.
    pub name: &'static str,
    /// Makes the app's triggers of this kind ready, all of them together; `None` if it has none.
    pub(crate) start: Start,
}

/// What triggers are made ready with.
pub(crate) struct Setting<'a> {
    /// The app.
    pub(crate) app: &'a App,
    /// Its components.
    pub(crate) components: &'a Index<'a>,
    /// Where answers go.
    pub(crate) topology: &'a Arc<Topology>,
    /// What the host was told.
    pub(crate) config: &'a HostConfig,
}

type Start = fn(&Setting<'_>) -> Result<Option<Box<dyn Trigger>>, ActivateError>;

/// Every kind of trigger that answers by itself: what a new one adds is one line here.
pub const TRIGGERS: &[TriggerType] = &[http::TRIGGER, command::TRIGGER];

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
    TRIGGERS.iter().any(|trigger| trigger.name == name) || source_type(name).is_some()
}

/// An app's triggers of one kind, ready to wake its components.
pub(crate) trait Trigger: Send {
    /// What wakes which component, a line each, for people.
    fn describe(&self) -> Vec<String>;

    /// The URL that its routes are under, if it has any.
    fn url(&self) -> Option<String> {
        None
    }

    /// Wakes components until the shutdown is over, on threads of its own; the calling one waits.
    fn run(self: Box<Self>, shutdown: Shutdown) -> Result<Outcome, ServeError>;
}
