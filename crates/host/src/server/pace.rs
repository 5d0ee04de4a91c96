//! How fast a client has to be while it is waited for: whoever takes or sends a little just before
//! each deadline would else keep an instance for ever. Only the time counts in which the next step
//! is the client's; what a handler takes for itself is bounded elsewhere.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What is asked of clients that are waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// The time between two looks, in microseconds.
    tick: u64,
    /// How long a client may be waited for beyond the time that its bytes are worth, in microseconds.
    most: u64,
    /// How many bytes are worth a second; 0 means that any are worth all.
    rate: u64,
}

impl Pace {
    pub(super) fn new(tick: Duration, most: Duration, rate: u64) -> Self {
        Self { tick: micros(tick), most: micros(most), rate }
    }

    /// The time that bytes are worth.
    const fn worth(&self, bytes: u64) -> u64 {
        match bytes.saturating_mul(1_000_000).checked_div(self.rate) {
            Some(time) => time,
            None if bytes > 0 => u64::MAX,
            None => 0,
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How long a client was waited for, in one thing. Costs two loads where it never is.
#[derive(Debug, Default)]
pub(super) struct Wait {
    is_on: AtomicBool,
    /// The bytes that moved since the last look.
    moved: AtomicU64,
    /// How long it was waited for beyond the time that its bytes were worth, in microseconds. What
    /// is owed is forgiven as fast as it grew, while nobody waits.
    owed: AtomicU64,
}

impl Wait {
    /// Notes that the next step is the client's.
    pub(super) fn begin(&self) {
        self.is_on.store(true, Relaxed);
    }

    /// Notes that the client made it, and with how many bytes.
    pub(super) fn end(&self, bytes: usize) {
        let was_on = self.is_on.load(Relaxed);
        if was_on {
            self.is_on.store(false, Relaxed);
        }
        if was_on || self.owed() > 0 {
            self.moved.fetch_add(bytes as u64, Relaxed);
        }
    }

    /// Whether the next step is the client's.
    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// How far it is behind, in microseconds.
    pub(super) fn owed(&self) -> u64 {
        self.owed.load(Relaxed)
    }

    /// Looks at it, once a tick. Whether the client has used up its time.
    pub(super) fn look(&self, pace: &Pace) -> bool {
        let before = self.owed();
        let is_on = self.is_on();
        if before == 0 && !is_on {
            return false;
        }
        let due =
            if is_on { before.saturating_add(pace.tick) } else { before.saturating_sub(pace.tick) };
        let owed = due.saturating_sub(pace.worth(self.moved.swap(0, Relaxed)));
        self.owed.store(owed, Relaxed);
        is_on && owed > pace.most
    }
}

/// Those of several waits whose clients owe something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Late {
    pub(super) count: u32,
    /// What is owed at most, in microseconds.
    pub(super) most: u64,
}

impl Late {
    pub(super) fn of<'a>(waits: impl Iterator<Item = &'a Wait>) -> Self {
        let owed = waits.map(Wait::owed).filter(|owed| *owed > 0);
        let add = |late: Self, owed| Self { count: late.count + 1, most: late.most.max(owed) };
        owed.fold(Self::default(), add)
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self { count: self.count + other.count, most: self.most.max(other.most) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn looks_until_over(pace: &Pace, mut between: impl FnMut(&Wait)) -> Option<u32> {
        let wait = Wait::default();
        wait.begin();
        (1..1_000).find(|_| {
            between(&wait);
            wait.look(pace)
        })
    }

    #[test]
    fn nothing_at_all_ends_after_the_time() {
        let pace = Pace::new(SECOND, SECOND * 10, 100);
        assert_eq!(looks_until_over(&pace, |_| {}), Some(11));
    }

    #[test]
    fn a_little_at_a_time_ends_a_little_later() {
        let pace = Pace::new(SECOND, SECOND * 10, 100);
        let drip = |bytes| {
            move |wait: &Wait| {
                wait.end(bytes);
                wait.begin();
            }
        };
        assert_eq!(looks_until_over(&pace, drip(50)), Some(21));
        assert_eq!(looks_until_over(&pace, drip(1)), Some(11));
        assert_eq!(looks_until_over(&pace, drip(100)), None, "as fast as is asked");
    }

    #[test]
    fn large_pieces_pay_for_long_waits() {
        let pace = Pace::new(SECOND, SECOND * 10, 100);
        let mut looks = 0;
        let bursts = |wait: &Wait| {
            looks += 1;
            if looks % 9 == 0 {
                wait.end(900);
                wait.begin();
            }
        };
        assert_eq!(looks_until_over(&pace, bursts), None);
    }

    #[test]
    fn who_is_not_waited_for_owes_nothing() {
        let pace = Pace::new(SECOND, SECOND * 10, 100);
        let mut looks = 0;
        // Half of the time it is the handler's turn.
        let slow_handler = |wait: &Wait| {
            looks += 1;
            if looks % 2 == 0 { wait.end(1) } else { wait.begin() }
        };
        assert_eq!(looks_until_over(&pace, slow_handler), None);
    }

    #[test]
    fn without_a_rate_any_byte_will_do() {
        let pace = Pace::new(SECOND, SECOND * 10, 0);
        let mut looks = 0;
        let drip = |wait: &Wait| {
            looks += 1;
            if looks % 8 == 0 {
                wait.end(1);
                wait.begin();
            }
        };
        assert_eq!(looks_until_over(&pace, drip), None);
        assert_eq!(looks_until_over(&pace, |_| {}), Some(11));
    }
}
