//! How long what is ready waits for a core. Requests that a core cannot keep up with lie in the
//! runtime's queue, where no bound counts them: each would still be served, but later and later,
//! at last for clients that have given up. So a core whose queue is too long refuses requests,
//! which takes a fraction of the time of serving them, until it is short again.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use dayfly_capabilities::Paced;
use tokio::sync::Notify;

/// The time after which a measurement says nothing any more.
const FRESH: Duration = Duration::from_millis(100);

/// The time between two pulses, each of which costs as much as a small task.
const INTERVAL: Duration = Duration::from_millis(5);

/// The lag of one core, measured while requests come: a *pulse* goes through the runtime's queue
/// as any task that has become ready.
pub(super) struct Lag {
    began: Instant,
    bound_us: u64,
    /// When the pulse that is under way was sent; 0 while none is.
    sent_us: AtomicU64,
    /// What the last pulse took, and when it came.
    last_us: AtomicU64,
    came_us: AtomicU64,
    refusals: Paced,
    pulse: Notify,
}

impl Lag {
    pub(super) fn new(bound: Duration) -> Self {
        Self {
            // So that no moment of serving is 0, and the first request sends a pulse.
            began: Instant::now() - INTERVAL - Duration::from_micros(1),
            bound_us: micros(bound),
            sent_us: AtomicU64::new(0),
            last_us: AtomicU64::new(0),
            came_us: AtomicU64::new(0),
            refusals: Paced::default(),
            pulse: Notify::new(),
        }
    }

    fn now_us(&self) -> u64 {
        micros(self.began.elapsed())
    }

    /// Whether a request that has come is to be refused.
    pub(super) fn is_too_long(&self) -> bool {
        let now = self.now_us();
        let sent = self.sent_us.load(Relaxed);
        let age = now.saturating_sub(self.came_us.load(Relaxed));
        let waited = match sent {
            0 if age > micros(INTERVAL) => {
                self.sent_us.store(now, Relaxed);
                self.pulse.notify_one();
                0
            }
            0 => 0,
            sent => now.saturating_sub(sent),
        };
        let last = if age < micros(FRESH) { self.last_us.load(Relaxed) } else { 0 };
        let too_long = waited.max(last) > self.bound_us;
        if too_long && let Some(requests) = self.refusals.note() {
            let wait_ms = waited.max(last) / 1000;
            tracing::warn!(requests, wait_ms, "too busy: requests are refused with 503");
        }
        too_long
    }

    /// Receives the pulses, for as long as the core serves.
    pub(super) async fn keep_measured(&self) {
        loop {
            self.pulse.notified().await;
            let now = self.now_us();
            self.last_us.store(now.saturating_sub(self.sent_us.swap(0, Relaxed)), Relaxed);
            self.came_us.store(now, Relaxed);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_core_that_is_busy_for_long_refuses() {
        let lag = Lag::new(Duration::from_millis(20));
        let measured = async {
            tokio::task::yield_now().await;
            assert!(!lag.is_too_long(), "the first one");
            std::thread::sleep(Duration::from_millis(30));
            assert!(lag.is_too_long(), "behind what took so long");
            tokio::task::yield_now().await;
            assert!(lag.is_too_long(), "the measurement is fresh");
            std::thread::sleep(INTERVAL * 2);
            assert!(lag.is_too_long(), "and there is no newer one");
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            assert!(!lag.is_too_long(), "nothing is in the queue now");
        };
        tokio::select! {
            biased;
            () = lag.keep_measured() => {}
            () = measured => {}
        }
    }
}
