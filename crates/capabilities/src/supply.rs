//! What the guests of a process have of something that all of them use up: descriptors (files, sockets and
//! connections), and bytes that the host holds whole for them. Each instance has bounds of its own; without
//! these, many that keep theirs would leave the process no descriptor to accept a client by, and no memory.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// What all guests of a process may hold.
pub struct Supply {
    limit: u64,
    held: Mutex<u64>,
    /// Told each time that a part of it is given back.
    given_back: Notify,
}

/// One component's share of them: three quarters of what the other components leave, so that there
/// is always something left for one more. Of a tenant's components that is a part of the tenant's share,
/// which is three quarters of what the other tenants leave.
#[derive(Clone)]
pub struct Share {
    all: Arc<Supply>,
    held: Arc<AtomicU64>,
    tenant: Option<TenantShare>,
}

/// What the components of one tenant hold together.
#[derive(Clone, Default)]
pub struct TenantShare(Arc<AtomicU64>);

/// Leave to hold so much of it; given back when dropped.
pub struct Part {
    share: Share,
    count: u64,
}

impl Supply {
    /// At most so much.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, held: Mutex::new(0), given_back: Notify::new() })
    }

    /// The share of one component. All of its instances need the same, or a clone of it.
    pub fn share(self: &Arc<Self>) -> Share {
        Share { all: self.clone(), held: Arc::default(), tenant: None }
    }

    /// The same of a tenant's component.
    pub fn share_of(self: &Arc<Self>, tenant: &TenantShare) -> Share {
        Share { tenant: Some(tenant.clone()), ..self.share() }
    }

    fn held(&self) -> MutexGuard<'_, u64> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// For a guest that has its process for itself, such as that of a one-shot command.
    pub(crate) fn unbounded() -> Self {
        Supply::new(u64::MAX).share()
    }

    /// Leave to hold one more, if the share has room.
    pub(crate) fn take(&self) -> Option<Part> {
        self.take_many(1)
    }

    /// Leave to hold so many more, if the share has room.
    pub fn take_many(&self, count: u64) -> Option<Part> {
        let mut all = self.all.held();
        // Only who has the lock changes it.
        let (mut limit, mut others) = (self.all.limit, *all);
        if let Some(TenantShare(held)) = &self.tenant {
            let own = held.load(Relaxed);
            limit = most(limit, others - own);
            if own.checked_add(count)? > limit {
                return None;
            }
            others = own;
        }
        let own = self.held.load(Relaxed);
        let more = own.checked_add(count)?;
        if more > most(limit, others - own) {
            return None;
        }
        *all += count;
        self.held.store(more, Relaxed);
        if let Some(TenantShare(held)) = &self.tenant {
            held.fetch_add(count, Relaxed);
        }
        Some(Part { share: self.clone(), count })
    }

    /// The same as soon as there is room, if that is within `patience`.
    pub(crate) async fn wait_for(&self, count: u64, patience: Duration) -> Option<Part> {
        let waiting = async {
            loop {
                // What is given back from here on is heard of.
                let given_back = self.all.given_back.notified();
                if let Some(part) = self.take_many(count) {
                    return part;
                }
                given_back.await;
            }
        };
        timeout(patience, waiting).await.ok()
    }
}

/// Three quarters of what others leave, one at least if there is any.
fn most(limit: u64, others: u64) -> u64 {
    let left = limit.saturating_sub(others);
    left - left / 4
}

impl Part {
    /// How much it is.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Adds what was taken beside it, of the same share.
    pub(crate) fn add(&mut self, mut more: Self) {
        self.count += std::mem::take(&mut more.count);
    }

    /// Gives back what is more than `count`.
    pub(crate) fn shrink(&mut self, count: u64) {
        self.share.give_back(self.count.saturating_sub(count));
        self.count = self.count.min(count);
    }
}

impl Share {
    fn give_back(&self, count: u64) {
        let mut all = self.all.held();
        *all -= count;
        self.held.fetch_sub(count, Relaxed);
        if let Some(TenantShare(held)) = &self.tenant {
            held.fetch_sub(count, Relaxed);
        }
        drop(all);
        self.all.given_back.notify_waiters();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.share.give_back(self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_of(share: &Share) -> Vec<Part> {
        std::iter::from_fn(|| share.take()).collect()
    }

    #[test]
    fn each_leaves_a_quarter_to_the_others() {
        let all = Supply::new(1000);
        let (one, two, three) = (all.share(), all.share(), all.share());
        let held = [&one, &two, &three].map(all_of);
        assert_eq!(held.each_ref().map(Vec::len), [750, 188, 47]);
        assert!(one.clone().take().is_none(), "a clone is the same share");
        drop(held);
        assert_eq!(all_of(&three).len(), 750);
    }

    #[test]
    fn a_tenant_has_no_more_for_having_many_components() {
        let all = Supply::new(1000);
        let (many, few) = (TenantShare::default(), TenantShare::default());
        let shares: Vec<_> = (0..20).map(|_| all.share_of(&many)).collect();
        let held: Vec<_> = shares.iter().flat_map(all_of).collect();
        assert!((740..=750).contains(&held.len()), "{}", held.len());
        assert_eq!(
            all_of(&all.share_of(&few)).len(),
            141,
            "three quarters of three quarters of 250"
        );
        drop(held);
        assert_eq!(all_of(&all.share_of(&few)).len(), 563);
        assert_eq!((*all.held(), many.0.load(Relaxed)), (0, 0));
    }

    #[test]
    fn what_is_given_back_can_be_taken_by_another() {
        let all = Supply::new(8);
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
        assert_eq!(all_of(&Supply::new(1).share()).len(), 1);
        assert_eq!(all_of(&Supply::new(0).share()).len(), 0);
        assert!(Share::unbounded().take().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_what_is_given_back() {
        let patience = Duration::from_secs(1);
        let all = Supply::new(100);
        let (one, two) = (all.share(), all.share());
        let mut held = one.take_many(75).unwrap();
        assert!(one.take_many(1).is_none() && two.take_many(20).is_none());
        assert!(two.wait_for(30, patience).await.is_none());
        let shrinks = async {
            tokio::time::sleep(patience / 2).await;
            held.shrink(60);
        };
        let (waited, ()) = tokio::join!(two.wait_for(30, patience), shrinks);
        assert!(waited.is_some());
        drop((held, waited));
        assert_eq!(*all.held(), 0);
        assert!(one.take_many(u64::MAX).is_none());
    }
}
