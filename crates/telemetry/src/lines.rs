//! Lines of the host's log about what one component's guests failed at, which guests and clients could
//! cause as often as they like: so many a second, and with the first of a later second how many there
//! were beside. Nothing is locked, for all cores may count.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

/// How many lines a second there may be.
const MOST: u32 = 20;

/// Counts one component's lines.
#[derive(Debug)]
pub struct Lines {
    began: Instant,
    /// The second that is counted in, from one.
    second: AtomicU64,
    count: AtomicU32,
}

impl Default for Lines {
    fn default() -> Self {
        Self { began: Instant::now(), second: AtomicU64::new(0), count: AtomicU32::new(0) }
    }
}

impl Lines {
    /// Lets `say` log a failure if there is room for a line; it is given how many there was none for
    /// before, if any.
    pub fn note(&self, say: impl FnOnce(Option<u32>)) {
        if let Some(unsaid) = self.note_after(self.began.elapsed()) {
            say(Some(unsaid).filter(|unsaid| *unsaid > 0));
        }
    }

    fn note_after(&self, time: Duration) -> Option<u32> {
        let (second, last) = (time.as_secs() + 1, self.second.load(Relaxed));
        let begins =
            second > last && self.second.compare_exchange(last, second, Relaxed, Relaxed).is_ok();
        if begins {
            return Some(self.count.swap(1, Relaxed).saturating_sub(MOST));
        }
        (self.count.fetch_add(1, Relaxed) < MOST).then_some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_lines_a_second_and_then_how_many_were_left_out() {
        let lines = Lines::default();
        let note = |ms| lines.note_after(Duration::from_millis(ms));
        assert_eq!((0..100).filter_map(note).collect::<Vec<_>>(), [0; MOST as usize]);
        assert_eq!(note(1500), Some(80));
        assert_eq!(note(1501), Some(0));
        assert_eq!(note(9000), Some(0));
    }
}
