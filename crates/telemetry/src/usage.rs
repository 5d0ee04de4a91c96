//! What one component of one release uses, as it is counted where guests run: some relaxed additions a
//! request. Whoever keeps it takes what came since he last did, so that every request is counted once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use dayfly_model::platform::{Durations, Usage};

use crate::metrics::Counter;
use crate::{Fault, Status};

/// What a component of a release used since it was last taken.
#[derive(Debug, Default)]
pub struct UsageCounters {
    requests: [Counter; 5],
    errors: Counter,
    events: Counter,
    events_failed: Counter,
    cold_starts: Counter,
    /// In nanoseconds.
    cpu: Counter,
    memory_peak: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
    /// In microseconds.
    longest: Counter,
    /// Made with the first request: most components have none for hours.
    durations: OnceLock<Box<[AtomicU32; Durations::BUCKETS]>>,
}

impl UsageCounters {
    /// Counts a request of a client's or a component's that ended after so long.
    pub fn request(&self, status: Status, fault: Option<Fault>, took: Duration) {
        self.answered(status, fault);
        self.took(took);
    }

    /// Counts a request that no component had a part in.
    pub fn answered(&self, status: Status, fault: Option<Fault>) {
        self.requests[status as usize].count();
        if fault.is_some_and(|fault| fault != Fault::Client) {
            self.errors.count();
        }
    }

    /// Counts an attempt to have an event handled, that ended after so long.
    pub fn event(&self, status: Status, fault: Option<Fault>, took: Duration) {
        self.events.count();
        if fault.is_some() || status != Status::Success {
            self.events_failed.count();
        }
        self.took(took);
    }

    fn took(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let buckets = self.durations.get_or_init(|| Box::new([const { AtomicU32::new(0) }; _]));
        buckets[Durations::bucket(us)].fetch_add(1, Relaxed);
        self.longest.raise(us);
    }

    /// Adds the CPU time that a guest used.
    pub fn cpu(&self, cpu: Duration) {
        self.cpu.add(u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Notes how much memory an instance had that ended.
    pub fn instance(&self, bytes: u64) {
        self.memory_peak.raise(bytes);
    }

    /// Counts a request or an event that waited until the component was loaded.
    pub fn cold_start(&self) {
        self.cold_starts.count();
    }

    /// Adds a piece of a request's body.
    pub fn taken_in(&self, bytes: usize) {
        self.bytes_in.add(bytes as u64);
    }

    /// Adds a piece of an answer's body.
    pub fn handed_over(&self, bytes: u64) {
        self.bytes_out.add(bytes);
    }

    /// What came since this was last asked; nothing is left of it here.
    pub fn take(&self) -> Usage {
        let mut durations = Durations::default();
        for (bucket, count) in self.durations.get().into_iter().flat_map(|it| it.iter().enumerate())
        {
            if count.load(Relaxed) > 0 {
                durations.count(bucket, count.swap(0, Relaxed).into());
            }
        }
        durations.raise_longest(self.longest.take());
        Usage {
            requests: std::array::from_fn(|class| self.requests[class].take()),
            errors: self.errors.take(),
            events: self.events.take(),
            events_failed: self.events_failed.take(),
            cold_starts: self.cold_starts.take(),
            cpu_ns: self.cpu.take(),
            memory_peak_bytes: self.memory_peak.take(),
            bytes_in: self.bytes_in.take(),
            bytes_out: self.bytes_out.take(),
            durations,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_is_taken_is_what_came_since() {
        let counters = UsageCounters::default();
        counters.request(Status::Success, None, Duration::from_micros(7));
        counters.request(Status::ServerError, Some(Fault::Guest), Duration::from_millis(3));
        counters.request(Status::ClientError, Some(Fault::Client), Duration::ZERO);
        counters.event(Status::Success, None, Duration::from_micros(1));
        counters.event(Status::ClientError, None, Duration::from_micros(1));
        counters.cpu(Duration::from_nanos(30));
        counters.instance(9);
        counters.instance(4);
        counters.taken_in(5);
        counters.handed_over(6);
        let taken = counters.take();
        assert_eq!(taken.requests, [0, 1, 0, 1, 1]);
        assert_eq!((taken.errors, taken.events, taken.events_failed), (1, 2, 1));
        assert_eq!((taken.cpu_ns, taken.memory_peak_bytes), (30, 9));
        assert_eq!((taken.bytes_in, taken.bytes_out), (5, 6));
        assert_eq!((taken.durations.len(), taken.durations.longest_us()), (5, 3000));
        assert!(counters.take().is_nothing());
    }

    #[test]
    fn nothing_is_lost_or_counted_twice_while_it_is_taken() {
        let counters = Arc::new(UsageCounters::default());
        let counting: Vec<_> = (0..4)
            .map(|_| {
                let counters = counters.clone();
                std::thread::spawn(move || {
                    for _ in 0..20_000 {
                        counters.request(Status::Success, None, Duration::from_micros(40));
                        counters.handed_over(3);
                    }
                })
            })
            .collect();
        let mut sum = Usage::default();
        while counting.iter().any(|it| !it.is_finished()) {
            sum.add(&counters.take());
        }
        counting.into_iter().for_each(|it| it.join().unwrap());
        sum.add(&counters.take());
        assert_eq!((sum.requests[1], sum.bytes_out), (80_000, 240_000));
        assert_eq!(sum.durations.len(), 80_000);
    }
}
