//! How much a component may log in a second, all its instances together: a bucket that fills with
//! time. What finds it empty is dropped and counted, and the count is logged when there is room.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::lines::{Level, LogSink, OutputKind};

/// A log that takes so many bytes a second and no more.
pub(crate) struct RateLimited {
    sink: Arc<dyn LogSink>,
    bytes_per_second: f64,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    room: f64,
    filled: Instant,
    dropped: u64,
}

impl RateLimited {
    pub(crate) fn new(sink: Arc<dyn LogSink>, bytes_per_second: u64) -> Self {
        let bytes_per_second = bytes_per_second as f64;
        let bucket = Bucket { room: bytes_per_second, filled: Instant::now(), dropped: 0 };
        Self { sink, bytes_per_second, bucket: Mutex::new(bucket) }
    }

    /// Whether a line of so many bytes has room, and how many were dropped before it.
    fn take(&self, bytes: usize, now: Instant) -> Option<u64> {
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

    /// Whether so many bytes may be logged; what was dropped before is told first.
    fn admits(&self, kind: OutputKind, bytes: usize) -> bool {
        let Some(dropped) = self.take(bytes, Instant::now()) else { return false };
        if dropped > 0 {
            let said = format!("[{dropped} lines dropped: the component logs too much a second]");
            self.sink.line(kind, &said);
        }
        true
    }
}

impl LogSink for RateLimited {
    fn line(&self, kind: OutputKind, line: &str) {
        if self.admits(kind, line.len()) {
            self.sink.line(kind, line);
        }
    }

    fn message(&self, level: Level, context: &str, message: &str) {
        if self.admits(OutputKind::Stderr, context.len() + message.len()) {
            self.sink.message(level, context, message);
        }
    }

    fn host(&self, line: &str) {
        if self.admits(OutputKind::Stderr, line.len()) {
            self.sink.host(line);
        }
    }

    fn failure(&self, level: Level, line: &str) {
        if self.admits(OutputKind::Stderr, line.len()) {
            self.sink.failure(level, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Nowhere;

    impl LogSink for Nowhere {
        fn line(&self, _: OutputKind, _: &str) {}
    }

    #[test]
    fn what_is_too_much_is_dropped_and_counted() {
        let log = RateLimited::new(Arc::new(Nowhere), 1000);
        let start = Instant::now();
        assert_eq!((0..15).filter(|_| log.take(100, start).is_some()).count(), 10);
        let later = start + Duration::from_millis(250);
        assert_eq!(log.take(100, later), Some(5), "those before it were dropped");
        assert_eq!(log.take(100, later), Some(0));
        assert_eq!(log.take(100, later), None);
        // A long rest fills it no further than one second's worth.
        let rested = later + Duration::from_secs(60);
        assert_eq!((0..15).filter(|_| log.take(100, rested).is_some()).count(), 10);
    }

    #[test]
    fn a_line_longer_than_a_second_s_worth_is_not_lost_for_ever() {
        let log = RateLimited::new(Arc::new(Nowhere), 100);
        let start = Instant::now();
        assert_eq!(log.take(5000, start), Some(0));
        assert_eq!(log.take(5000, start + Duration::from_secs(10)), None);
        assert_eq!(log.take(5000, start + Duration::from_secs(70)), Some(1));
    }
}
