//! What is counted of one trigger.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use dayfly_telemetry::Source;
use dayfly_telemetry::metrics::{self, Counter, Families, Value};

/// How an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Its handler succeeded, and the answer was passed on.
    Done,
    /// It was given up, and is a dead letter.
    Dead,
    /// It is to be given back to its source: this process ends.
    Back,
    /// Its handler failed, and its source is to bring it again after so long.
    Later(Duration),
}

impl Settled {
    /// What the ways are called, by their numbers.
    const LABELS: [&str; 4] = ["handled", "dead", "given_back", "postponed"];

    /// Whether its source is to forget it.
    pub(crate) const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Dead)
    }

    const fn number(self) -> usize {
        match self {
            Self::Done => 0,
            Self::Dead => 1,
            Self::Back => 2,
            Self::Later(_) => 3,
        }
    }
}

/// The metrics of one trigger.
#[derive(Debug)]
pub(crate) struct TriggerMetrics {
    trigger: Arc<str>,
    settled: [Counter; Settled::LABELS.len()],
    failed: Counter,
    under_way: AtomicU64,
    connected: AtomicBool,
}

impl TriggerMetrics {
    pub(super) fn new(trigger: Arc<str>) -> Self {
        Self {
            trigger,
            settled: Default::default(),
            failed: Counter::new(),
            under_way: AtomicU64::new(0),
            connected: AtomicBool::new(true),
        }
    }

    pub(super) fn began(&self) {
        self.under_way.fetch_add(1, Relaxed);
    }

    pub(super) fn settled(&self, how: Settled) {
        self.settled[how.number()].add(1);
        self.under_way.fetch_sub(1, Relaxed);
    }

    /// An event ended that nobody settled.
    pub(super) fn dropped(&self) {
        self.under_way.fetch_sub(1, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.add(1);
    }

    /// How many events are under way.
    pub(crate) fn under_way(&self) -> u64 {
        self.under_way.load(Relaxed)
    }

    /// The trigger's id.
    pub(crate) fn trigger(&self) -> &str {
        &self.trigger
    }

    /// Whether the source can be reached, as far as is known.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// Notes whether the source can be reached; whether that is news.
    pub(crate) fn set_connected(&self, connected: bool) -> bool {
        self.connected.swap(connected, Relaxed) != connected
    }
}

impl Source for TriggerMetrics {
    fn collect(&self, families: &mut Families) {
        let trigger = ("trigger", &*self.trigger);
        for (settled, label) in self.settled.iter().zip(Settled::LABELS) {
            let labels = [trigger, ("outcome", label)];
            families.add(&metrics::EVENTS, &labels, Value::Integer(settled.get()));
        }
        let labels = [trigger];
        families.add(&metrics::EVENTS_FAILED, &labels, Value::Integer(self.failed.get()));
        families.add(&metrics::EVENTS_UNDER_WAY, &labels, Value::Integer(self.under_way()));
        let connected = u64::from(self.is_connected());
        families.add(&metrics::TRIGGER_CONNECTED, &labels, Value::Integer(connected));
    }
}
