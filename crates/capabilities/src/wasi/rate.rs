//! How much a component may log in a second, all its instances together: a bucket that fills with
//! time. What finds it empty is dropped and counted, and the count is logged when there is room.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::limited::LogBudget;

/// So many bytes a second and no more.
pub(crate) struct Rate {
    bytes_per_second: f64,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    room: f64,
    filled: Instant,
    dropped: u64,
}

impl Rate {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        let bytes_per_second = bytes_per_second as f64;
        let bucket = Bucket { room: bytes_per_second, filled: Instant::now(), dropped: 0 };
        Self { bytes_per_second, bucket: Mutex::new(bucket) }
    }

    /// Whether a line of so many bytes has room, and how many were dropped before it.
    fn take_at(&self, bytes: usize, now: Instant) -> Option<u64> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let filled = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.room = (bucket.room + filled * self.bytes_per_second).min(self.bytes_per_second);
        bucket.filled = now;
        // An empty line costs as much as its time stamp at least.
        let cost = bytes.max(16) as f64;
        // A line longer than a second's worth has room when the bucket is full.
        if bucket.room < cost.min(self.bytes_per_second) {
            bucket.dropped += 1;
            return None;
        }
        bucket.room -= cost;
        Some(std::mem::take(&mut bucket.dropped))
    }
}

impl LogBudget for Rate {
    fn take(&self, bytes: usize) -> (bool, Option<String>) {
        let dropped = self.take_at(bytes, Instant::now());
        let said = dropped.filter(|dropped| *dropped > 0).map(|dropped| {
            format!("[{dropped} lines dropped: the component logs too much a second]")
        });
        (dropped.is_some(), said)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_too_much_is_dropped_and_counted() {
        let log = Rate::new(1000);
        let start = Instant::now();
        assert_eq!((0..15).filter(|_| log.take_at(100, start).is_some()).count(), 10);
        let later = start + Duration::from_millis(250);
        assert_eq!(log.take_at(100, later), Some(5), "those before it were dropped");
        assert_eq!(log.take_at(100, later), Some(0));
        assert_eq!(log.take_at(100, later), None);
        // A long rest fills it no further than one second's worth.
        let rested = later + Duration::from_secs(60);
        assert_eq!((0..15).filter(|_| log.take_at(100, rested).is_some()).count(), 10);
    }

    #[test]
    fn a_line_longer_than_a_second_s_worth_is_not_lost_for_ever() {
        let log = Rate::new(100);
        let start = Instant::now();
        assert_eq!(log.take_at(5000, start), Some(0));
        assert_eq!(log.take_at(5000, start + Duration::from_secs(10)), None);
        assert_eq!(log.take_at(5000, start + Duration::from_secs(70)), Some(1));
    }
}
