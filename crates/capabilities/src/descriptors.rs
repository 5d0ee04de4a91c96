//! The descriptors that the guests of a process hold: files, sockets and connections of all of its
//! instances together. Each instance has bounds of its own; without this one, many that keep theirs
//! would leave the process no descriptor to accept a client by.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What all guests of a process may hold.
pub struct Descriptors {
    limit: u64,
    held: Mutex<u64>,
}

/// One component's share of them: three quarters of what the other components leave, so that there
/// is always something left for one more.
#[derive(Clone)]
pub struct Share {
    all: Arc<Descriptors>,
    held: Arc<AtomicU64>,
}

/// Leave to hold one; given back when dropped.
pub(crate) struct Descriptor(Share);

impl Descriptors {
    /// At most so many.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, held: Mutex::new(0) })
    }

    /// The share of one component. All of its instances need the same, or a clone of it.
    pub fn share(self: &Arc<Self>) -> Share {
        Share { all: self.clone(), held: Arc::default() }
    }

    fn held(&self) -> MutexGuard<'_, u64> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// For a guest that has its process for itself, such as that of a one-shot command.
    pub(crate) fn unbounded() -> Self {
        Descriptors::new(u64::MAX).share()
    }

    /// Leave to hold one more, if the share has room.
    pub(crate) fn take(&self) -> Option<Descriptor> {
        let mut all = self.all.held();
        // Only who has the lock changes it.
        let own = self.held.load(Relaxed);
        let left_by_others = self.all.limit - (*all - own);
        if own >= left_by_others - left_by_others / 4 {
            return None;
        }
        *all += 1;
        self.held.store(own + 1, Relaxed);
        Some(Descriptor(self.clone()))
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        let Share { all, held } = &self.0;
        *all.held() -= 1;
        held.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_of(share: &Share) -> Vec<Descriptor> {
        std::iter::from_fn(|| share.take()).collect()
    }

    #[test]
    fn each_leaves_a_quarter_to_the_others() {
        let all = Descriptors::new(1000);
        let (one, two, three) = (all.share(), all.share(), all.share());
        let held = [&one, &two, &three].map(all_of);
        assert_eq!(held.each_ref().map(Vec::len), [750, 188, 47]);
        assert!(one.clone().take().is_none(), "a clone is the same share");
        drop(held);
        assert_eq!(all_of(&three).len(), 750);
    }

    #[test]
    fn what_is_given_back_can_be_taken_by_another() {
        let all = Descriptors::new(8);
        let (one, two) = (all.share(), all.share());
        let mut held = all_of(&one);
        let others = all_of(&two);
        assert_eq!((held.len(), others.len()), (6, 2));
        assert!(two.take().is_none());
        held.clear();
        assert_eq!(all_of(&two).len(), 4, "six in all");
        drop(others);
        assert_eq!(*all.held(), 0);
    }

    #[test]
    fn few_are_shared_as_well_as_they_can_be() {
        assert_eq!(all_of(&Descriptors::new(1).share()).len(), 1);
        assert_eq!(all_of(&Descriptors::new(0).share()).len(), 0);
        assert!(Share::unbounded().take().is_some());
    }
}
