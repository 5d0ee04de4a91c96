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
/// is always something left for one more. Of a tenant's components that is a part of the tenant's share,
/// which is three quarters of what the other tenants leave.
#[derive(Clone)]
pub struct Share {
    all: Arc<Descriptors>,
    held: Arc<AtomicU64>,
    tenant: Option<TenantShare>,
}

/// What the components of one tenant hold together.
#[derive(Clone, Default)]
pub struct TenantShare(Arc<AtomicU64>);

/// Leave to hold one; given back when dropped.
pub(crate) struct Descriptor(Share);

impl Descriptors {
    /// At most so many.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, held: Mutex::new(0) })
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
        Descriptors::new(u64::MAX).share()
    }

    /// Leave to hold one more, if the share has room.
    pub(crate) fn take(&self) -> Option<Descriptor> {
        let mut all = self.all.held();
        // Only who has the lock changes it.
        let (mut limit, mut others) = (self.all.limit, *all);
        if let Some(TenantShare(held)) = &self.tenant {
            let own = held.load(Relaxed);
            limit = most(limit, others - own);
            if own >= limit {
                return None;
            }
            others = own;
        }
        let own = self.held.load(Relaxed);
        if own >= most(limit, others - own) {
            return None;
        }
        *all += 1;
        self.held.store(own + 1, Relaxed);
        if let Some(TenantShare(held)) = &self.tenant {
            held.fetch_add(1, Relaxed);
        }
        Some(Descriptor(self.clone()))
    }
}

/// Three quarters of what others leave, one at least if there is any.
fn most(limit: u64, others: u64) -> u64 {
    let left = limit.saturating_sub(others);
    left - left / 4
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        let Share { all, held, tenant } = &self.0;
        let mut all = all.held();
        *all -= 1;
        held.fetch_sub(1, Relaxed);
        if let Some(TenantShare(held)) = tenant {
            held.fetch_sub(1, Relaxed);
        }
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
    fn a_tenant_has_no_more_for_having_many_components() {
        let all = Descriptors::new(1000);
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
