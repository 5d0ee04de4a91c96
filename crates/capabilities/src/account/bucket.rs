//! How often something may be done in a second: a bucket that fills with time, of one second's worth. No
//! core waits for another one.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

const SECOND_NS: u64 = 1_000_000_000;

/// Leave to do something so often in a second.
pub(super) struct Bucket {
    began: Instant,
    per_second: AtomicU32,
    /// When it is full again, in nanoseconds since it began; a second from now if it is empty.
    full_ns: AtomicU64,
}

impl Bucket {
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = AtomicU32::new(per_second);
        Self { began: Instant::now(), per_second, full_ns: AtomicU64::new(0) }
    }

    pub(super) fn change(&self, per_second: u32) {
        self.per_second.store(per_second, Relaxed);
    }

    /// Takes one, or tells after how long there is one.
    pub(super) fn take(&self) -> Result<(), Duration> {
        self.take_at(self.began.elapsed())
    }

    fn take_at(&self, now: Duration) -> Result<(), Duration> {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let per_second = self.per_second.load(Relaxed);
        if per_second == 0 {
            // It may be changed meanwhile.
            return Err(Duration::from_secs(1));
        }
        let cost = (SECOND_NS / u64::from(per_second)).max(1);
        let most = now.saturating_add(SECOND_NS);
        let after = |full: u64| full.max(now).saturating_add(cost);
        let room = |full: u64| Some(after(full)).filter(|next| *next <= most);
        match self.full_ns.fetch_update(Relaxed, Relaxed, room) {
            Ok(_) => Ok(()),
            Err(full) => Err(Duration::from_nanos(after(full) - most)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &Bucket, ms: u64, times: u32) -> usize {
        let now = Duration::from_millis(ms);
        (0..times).filter(|_| bucket.take_at(now).is_ok()).count()
    }

    #[test]
    fn a_second_s_worth_at_once_and_then_as_time_goes() {
        let bucket = Bucket::new(10);
        assert_eq!(taken(&bucket, 5000, 50), 10);
        assert_eq!(taken(&bucket, 5300, 50), 3);
        let wait = bucket.take_at(Duration::from_millis(5350)).unwrap_err();
        assert_eq!(wait, Duration::from_millis(50));
        assert_eq!(taken(&bucket, 90_000, 50), 10, "a long rest fills it no further");
    }

    #[test]
    fn a_change_holds_at_once() {
        let bucket = Bucket::new(1);
        assert_eq!(taken(&bucket, 1000, 5), 1);
        bucket.change(1000);
        assert_eq!(taken(&bucket, 1001, 5000), 1, "what is owed is owed");
        assert_eq!(taken(&bucket, 2001, 5000), 1000);
        bucket.change(0);
        assert_eq!(bucket.take_at(Duration::from_secs(90)), Err(Duration::from_secs(1)));
    }
}
