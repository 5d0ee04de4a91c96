//! The metrics of one component.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::histogram::seconds;
use super::{Counter, Families, Histogram, Value, names};
use crate::{Capability, Fault, Lines, Outcome};

/// The class of a response's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Status {
    /// There was no response: the client left before.
    #[default]
    None,
    /// 2xx.
    Success,
    /// 3xx.
    Redirection,
    /// 4xx.
    ClientError,
    /// 5xx.
    ServerError,
}

impl Status {
    const ALL: [Self; 5] =
        [Self::None, Self::Success, Self::Redirection, Self::ClientError, Self::ServerError];

    /// The class of a status; what is none of a final response is taken for a success.
    pub const fn of(status: u16) -> Self {
        match status {
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
            _ => Self::Success,
        }
    }

    /// The word for it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
        }
    }
}

/// Where a component's code came from when it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// From the artifact cache.
    Cached,
    /// From the compiler.
    Compiled,
}

impl Origin {
    const ALL: [Self; 2] = [Self::Cached, Self::Compiled];

    const fn label(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Compiled => "compiled",
        }
    }
}

/// Requests by status and fault; without a fault comes first.
pub(super) type Requests = [[Counter; Fault::ALL.len() + 1]; Status::ALL.len()];

/// The metrics of one component, however its triggers call it. They outlive its code in memory.
#[derive(Debug)]
pub struct ComponentMetrics {
    component: Arc<str>,
    requests: Requests,
    duration: Histogram,
    /// Of its instances' guests, in nanoseconds.
    cpu: Counter,
    instances: Counter,
    memory_peak: Counter,
    cold_starts: Counter,
    loads: [Load; Origin::ALL.len()],
    /// Made with the first call: most components make none.
    calls: OnceLock<Box<Calls>>,
    lines: Lines,
}

#[derive(Debug, Default)]
struct Load {
    count: Counter,
    nanos: Counter,
}

type Calls = [[Counter; Outcome::ALL.len()]; Capability::ALL.len()];

impl ComponentMetrics {
    /// Those of a component of which there is nothing to tell yet.
    pub fn new(component: impl Into<Arc<str>>) -> Self {
        Self {
            component: component.into(),
            requests: Default::default(),
            duration: Histogram::default(),
            cpu: Counter::new(),
            instances: Counter::new(),
            memory_peak: Counter::new(),
            cold_starts: Counter::new(),
            loads: Default::default(),
            calls: OnceLock::new(),
            lines: Lines::default(),
        }
    }

    /// Lines of the log about what it failed at.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// The component's id.
    pub fn component(&self) -> &Arc<str> {
        &self.component
    }

    /// Counts a request that ended after so long.
    #[inline]
    pub fn request(&self, status: Status, fault: Option<Fault>, took: Duration) {
        request(&self.requests, status, fault);
        self.duration.observe(took);
    }

    /// Adds the CPU time that a guest used for an event.
    #[inline]
    pub fn cpu(&self, cpu: Duration) {
        self.cpu.add(u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts an instance that ended, and notes how much memory it had.
    #[inline]
    pub fn instance(&self, bytes: u64) {
        self.instances.count();
        self.memory_peak.raise(bytes);
    }

    /// Counts a request that waited until the component was loaded.
    pub fn cold_start(&self) {
        self.cold_starts.count();
    }

    /// Counts that the component was loaded in so long.
    pub fn loaded(&self, origin: Origin, took: Duration) {
        let load = &self.loads[origin as usize];
        load.count.count();
        load.nanos.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts a call of a capability.
    pub fn call(&self, capability: Capability, outcome: Outcome) {
        let calls = self.calls.get_or_init(Box::default);
        calls[capability as usize][outcome as usize].count();
    }

    /// Whether there is anything to tell.
    pub fn is_touched(&self) -> bool {
        let seen = self.loads.iter().any(|load| load.count.get() > 0);
        seen || self.requests.iter().flatten().any(|count| count.get() > 0)
    }

    /// Adds samples to families.
    pub fn collect(&self, families: &mut Families) {
        let component = &*self.component;
        collect_requests(component, &self.requests, families);
        let mut add = |metric, value| families.add(metric, &[("component", component)], value);
        add(&names::REQUEST_DURATION, Value::Histogram(Box::new(self.duration.observed())));
        add(&names::CPU, Value::Float(seconds(self.cpu.get())));
        add(&names::INSTANCES_ENDED, Value::Integer(self.instances.get()));
        add(&names::MEMORY_PEAK, Value::Integer(self.memory_peak.get()));
        add(&names::COLD_STARTS, Value::Integer(self.cold_starts.get()));
        for origin in Origin::ALL {
            let load = &self.loads[origin as usize];
            let labels = [("component", component), ("origin", origin.label())];
            let (count, sum) = (load.count.get(), seconds(load.nanos.get()));
            families.add(&names::LOAD, &labels, Value::Summary { count, sum });
        }
        for (capability, outcomes) in
            Capability::ALL.iter().zip(self.calls.get().into_iter().flat_map(|calls| calls.iter()))
        {
            if outcomes.iter().all(|count| count.get() == 0) {
                continue;
            }
            for (outcome, count) in Outcome::ALL.iter().zip(outcomes) {
                let labels = [
                    ("component", component),
                    ("capability", capability.label()),
                    ("outcome", outcome.label()),
                ];
                families.add(&names::CAPABILITY_CALLS, &labels, Value::Integer(count.get()));
            }
        }
    }
}

#[inline]
pub(super) fn request(requests: &Requests, status: Status, fault: Option<Fault>) {
    let fault = fault.map_or(0, |fault| fault as usize + 1);
    requests[status as usize][fault].count();
}

/// The pairs of status and fault that a component can come to in its usual life: they are told from
/// the start, so that the first of each is seen as an increase.
const USUAL: [(Status, Option<Fault>); 8] = [
    (Status::Success, None),
    (Status::ClientError, None),
    (Status::ServerError, None),
    (Status::ClientError, Some(Fault::Client)),
    (Status::ServerError, Some(Fault::Guest)),
    (Status::ClientError, Some(Fault::Tenant)),
    (Status::ServerError, Some(Fault::Operator)),
    (Status::ServerError, Some(Fault::Platform)),
];

pub(super) fn collect_requests(component: &str, requests: &Requests, families: &mut Families) {
    let faults = || std::iter::once(None).chain(Fault::ALL.map(Some));
    for (status, by_fault) in Status::ALL.iter().zip(requests) {
        for (fault, count) in faults().zip(by_fault) {
            let count = count.get();
            if count == 0 && !USUAL.contains(&(*status, fault)) {
                continue;
            }
            let labels = [
                ("component", component),
                ("status", status.label()),
                ("fault", fault.map_or("none", Fault::label)),
            ];
            families.add(&names::REQUESTS, &labels, Value::Integer(count));
        }
    }
}
