//! Lines of the log that somebody could cause as often as they like: one at once, then at most one a
//! second, with how many there were. Nothing is locked, for all cores may count.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

/// How long after a line the next one may come.
const PAUSE: Duration = Duration::from_secs(1);

/// Counts what one kind of line is about.
#[derive(Debug)]
pub struct Paced {
    began: Instant,
    count: AtomicU32,
    next_ms: AtomicU64,
}

impl Default for Paced {
    fn default() -> Self {
        Self { began: Instant::now(), count: AtomicU32::new(0), next_ms: AtomicU64::new(0) }
    }
}

impl Paced {
    /// Counts one more; gives how many there were since the last line, this one included, if it is
    /// time for another.
    pub fn note(&self) -> Option<u32> {
        self.note_after(self.began.elapsed())
    }

    fn note_after(&self, time: Duration) -> Option<u32> {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Relaxed);
        let (now, next) = (ms(time), self.next_ms.load(Relaxed));
        let later = now.saturating_add(ms(PAUSE));
        let due =
            now >= next && self.next_ms.compare_exchange(next, later, Relaxed, Relaxed).is_ok();
        due.then(|| self.count.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_counts_those_before_it() {
        let paced = Paced::default();
        let note = |ms| paced.note_after(Duration::from_millis(ms));
        assert_eq!(note(0), Some(1));
        assert_eq!((1..=999).filter_map(note).count(), 0);
        assert_eq!(note(1000), Some(1000));
        assert_eq!(note(5000), Some(1));
    }
}
