//! Triggers other than HTTP: what they listen to, how their events are delivered, and where the
//! answers go.

use std::fmt;
use std::time::Duration;

use crate::app::ComponentId;
use crate::template::Template;

mod nats;
mod output;
mod schedule;

pub use nats::{NatsFrom, NatsSource, NatsStream, is_filter, is_subject, takes};
pub use output::{Output, OutputError, RedisPlace};
pub use schedule::{Schedule, ScheduleError};

/// A source of events that are not HTTP requests, and the component that they wake.
#[derive(Debug, Clone)]
pub struct EventTrigger {
    /// The component.
    pub component: ComponentId,
    /// What is listened to.
    pub source: EventSource,
    /// How its events are delivered.
    pub delivery: Delivery,
    /// Where the handler's answers go.
    pub output: Option<Output>,
}

/// What is listened to.
#[derive(Debug, Clone)]
pub enum EventSource {
    /// A Redis server.
    Redis(RedisSource),
    /// A broker of MQTT.
    Mqtt(MqttSource),
    /// A NATS server.
    Nats(NatsSource),
    /// A schedule.
    Cron(CronSource),
    /// A queue of the app's own, by its name.
    Queue(String),
}

impl EventSource {
    /// Its name behind `trigger.`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Redis(_) => "redis",
            Self::Mqtt(_) => "mqtt",
            Self::Nats(_) => "nats",
            Self::Cron(_) => "cron",
            Self::Queue(_) => "queue",
        }
    }
}

/// What is listened to at a Redis server.
#[derive(Debug, Clone)]
pub struct RedisSource {
    /// The server's address, `redis://…` or `rediss://…`.
    pub address: Template,
    /// Where messages come from.
    pub from: RedisFrom,
}

/// Where messages come from at a Redis server.
#[derive(Debug, Clone)]
pub enum RedisFrom {
    /// Whatever is published to a channel while it is listened to.
    Channel(Template),
    /// Whatever is published to channels of a pattern while they are listened to.
    Pattern(Template),
    /// A list, each message of which is handled before it is gone.
    Queue(Template),
    /// A stream, by a consumer group.
    Stream {
        /// Its key.
        key: Template,
        /// The group's name; the app's unless the manifest says another.
        group: Option<String>,
        /// Whether a group that is made new begins with what the stream holds already.
        from_start: bool,
    },
}

/// What is listened to at a broker of MQTT.
#[derive(Clone)]
pub struct MqttSource {
    /// The broker's address, `mqtt://…` or `mqtts://…`.
    pub address: Template,
    /// The user, where the address names none.
    pub username: Template,
    /// The password, where the address has none.
    pub password: Template,
    /// A topic, or a filter of topics.
    pub topic: Template,
    /// The quality of service: 0, 1 or 2.
    pub quality: u8,
    /// How long the connection may be silent, in seconds.
    pub keep_alive: u16,
}

impl fmt::Debug for MqttSource {
    /// Shows no password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, username, topic, quality, keep_alive, .. } = self;
        f.debug_struct("MqttSource")
            .field("address", address)
            .field("username", username)
            .field("topic", topic)
            .field("quality", quality)
            .field("keep_alive", keep_alive)
            .finish_non_exhaustive()
    }
}

/// When a handler is woken.
#[derive(Debug, Clone)]
pub struct CronSource {
    /// The schedule.
    pub schedule: Schedule,
    /// Each event comes up to this much later, at random.
    pub jitter: Duration,
    /// Whether one event makes up for those that were due while nothing ran.
    pub makes_up: bool,
    /// Whether a handler is woken though the last one still runs.
    pub overlaps: bool,
}

/// How events are delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// How many are handled at once.
    pub concurrency: u32,
    /// Which of them wait for one another.
    pub order: Order,
    /// How many are handed over together, if several are.
    pub batch: Option<Batch>,
    /// How often and how fast what failed is tried again.
    pub retry: Retry,
}

/// Which events of a trigger wait for one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// None.
    None,
    /// Each waits for the one before it.
    All,
    /// Each waits for those before it that have the same attribute.
    Attribute(String),
    /// Each waits for those before it that have the same value at a place of their data, which a JSON
    /// pointer tells (RFC 6901).
    Pointer(String),
}

/// How events are handed over together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// How many at most.
    pub most: u32,
    /// How long the first waits for others.
    pub wait: Duration,
}

/// How often and how fast what failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How often an event is delivered at most, the first time included.
    pub attempts: u32,
    /// The time before the second attempt; it doubles from then on.
    pub delay: Duration,
    /// The longest time between two attempts.
    pub max_delay: Duration,
}

impl Retry {
    /// How long to wait after so many attempts, before anything random is added.
    #[must_use]
    pub fn delay_after(&self, attempts: u32) -> Duration {
        let doubled = 2u32.checked_pow(attempts.saturating_sub(1));
        let delay = doubled.and_then(|factor| self.delay.checked_mul(factor));
        delay.map_or(self.max_delay, |delay| delay.min(self.max_delay))
    }
}

impl Default for Retry {
    fn default() -> Self {
        let (delay, max_delay) = (Duration::from_secs(1), Duration::from_mins(5));
        Self { attempts: 5, delay, max_delay }
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self { concurrency: 64, order: Order::None, batch: None, retry: Retry::default() }
    }
}

impl fmt::Display for RedisFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(name) => write!(f, "channel {name}"),
            Self::Pattern(pattern) => write!(f, "channels {pattern}"),
            Self::Queue(key) => write!(f, "queue {key}"),
            Self::Stream { key, .. } => write!(f, "stream {key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_ever_further_apart() {
        let retry = Retry::default();
        let seconds: Vec<u64> = (1..12).map(|it| retry.delay_after(it).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(retry.delay_after(u32::MAX), retry.max_delay);
    }
}
