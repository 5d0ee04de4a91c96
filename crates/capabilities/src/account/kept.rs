//! What a tenant's apps keep: what was measured, and what they have written since. Whatever is overwritten
//! or removed counts until it is measured again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Bytes on the disk.
#[derive(Default)]
pub(super) struct Kept {
    most: AtomicU64,
    measured: AtomicU64,
    /// Written since the last measurement began, and before that but since the one before.
    since: AtomicU64,
    before: AtomicU64,
    /// Whether it was ever measured.
    is_known: AtomicBool,
}

impl Kept {
    pub(super) fn bound(&self, most: u64) {
        self.most.store(most, Relaxed);
    }

    /// Counts what is about to be written, if there is room; what finds none has it measured again.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let here = self.measured.load(Relaxed).saturating_add(self.before.load(Relaxed));
        let most = self.most.load(Relaxed);
        let sum =
            |since: u64| since.checked_add(bytes).filter(|sum| here.saturating_add(*sum) <= most);
        let has_room = self.since.fetch_update(Relaxed, Relaxed, sum).is_ok();
        if !has_room {
            self.is_known.store(false, Relaxed);
        }
        has_room
    }

    /// Counts what was written.
    pub(super) fn add(&self, bytes: u64) {
        let sum = |since: u64| Some(since.saturating_add(bytes));
        let _ = self.since.fetch_update(Relaxed, Relaxed, sum);
    }

    /// How much may be written yet; where that is nothing it is measured again.
    pub(super) fn room(&self) -> u64 {
        let counted = [&self.measured, &self.before, &self.since].map(|it| it.load(Relaxed));
        let counted = counted.into_iter().fold(0, u64::saturating_add);
        let room = self.most.load(Relaxed).saturating_sub(counted);
        if room == 0 {
            self.is_known.store(false, Relaxed);
        }
        room
    }

    /// Whether anything was written since it was measured.
    pub(super) fn begin(&self) -> bool {
        let written = self.since.swap(0, Relaxed);
        self.before.fetch_add(written, Relaxed);
        let was_known = self.is_known.swap(true, Relaxed);
        !was_known || written > 0
    }

    /// As it was measured last.
    pub(super) fn measured(&self) -> u64 {
        self.measured.load(Relaxed)
    }

    /// Goes on from what was measured before, until it is measured again.
    pub(super) fn restore(&self, bytes: u64) {
        self.measured.store(bytes, Relaxed);
    }

    pub(super) fn end(&self, bytes: u64) {
        self.measured.store(bytes, Relaxed);
        self.before.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_counts_until_it_is_measured() {
        let kept = Kept::default();
        kept.bound(100);
        assert!(kept.begin(), "nothing is known at first");
        kept.end(50);
        assert!(!kept.begin(), "nothing was written since");
        assert!(kept.take(30) && kept.take(20) && !kept.take(1));
        assert!(kept.begin());
        assert!(!kept.take(1), "what was written while it is measured counts twice at most");
        kept.end(60);
        assert!(kept.take(40) && !kept.take(1));
        assert!(kept.begin());
        kept.end(10);
        kept.bound(10);
        assert!(!kept.take(1));
        assert!(kept.begin(), "somebody asks in vain");
        kept.bound(30);
        kept.add(15);
        assert_eq!(kept.room(), 5);
        let again = Kept::default();
        again.bound(100);
        again.restore(kept.measured());
        assert!(again.room() == 90 && again.begin(), "it is known at once, and measured");
    }
}
