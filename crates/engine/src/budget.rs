//! What guests may use of the CPU: each for itself, and together with all that run because it called them.

use std::iter::successors;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The CPU time of a guest and of those that it calls, which spend their own budget and their caller's.
///
/// Who runs for a caller is ended when either is used up: a tree of calls costs no more than its root may.
#[derive(Debug)]
pub struct CpuBudget {
    limit: Duration,
    /// In nanoseconds; five hundred years fit in.
    spent: AtomicU64,
    caller: Option<Arc<CpuBudget>>,
}

impl CpuBudget {
    /// A budget for a guest, which was called by whoever has the other one.
    pub fn new(limit: Duration, caller: Option<Arc<CpuBudget>>) -> Arc<CpuBudget> {
        Arc::new(CpuBudget { limit, spent: AtomicU64::new(0), caller })
    }

    /// What it was made with.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// What the guest and all that it called have used so far.
    pub fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Relaxed))
    }

    /// This budget, its caller's, the one of whoever called that, and so on.
    fn chain(&self) -> impl Iterator<Item = &CpuBudget> {
        successors(Some(self), |budget| budget.caller.as_deref())
    }

    /// The first of the chain that is used up: this one, or that of a caller.
    pub fn used_up(&self) -> Option<&CpuBudget> {
        self.chain().find(|budget| budget.spent() >= budget.limit)
    }

    /// What is left for the guest.
    pub(crate) fn left(&self) -> Duration {
        let left = self.chain().map(|budget| budget.limit.saturating_sub(budget.spent()));
        left.min().unwrap_or_default()
    }

    pub(crate) fn spend(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        for budget in self.chain() {
            budget.spent.fetch_add(nanos, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn callees_spend_their_callers_budget() {
        let root = CpuBudget::new(millis(100), None);
        let first = CpuBudget::new(millis(80), Some(root.clone()));
        first.spend(millis(60));
        assert_eq!((root.spent(), first.left()), (millis(60), millis(20)));
        let second = CpuBudget::new(millis(80), Some(root.clone()));
        assert_eq!(second.left(), millis(40));
        let third = CpuBudget::new(millis(80), Some(second.clone()));
        third.spend(millis(39));
        assert!(third.used_up().is_none());
        third.spend(millis(1));
        // Not their own: the one that led to them all.
        for budget in [&third, &second, &first] {
            assert!(std::ptr::eq(budget.used_up().unwrap(), &*root));
        }
    }

    #[test]
    fn what_a_caller_uses_is_not_its_callees() {
        let root = CpuBudget::new(millis(100), None);
        let callee = CpuBudget::new(millis(50), Some(root.clone()));
        root.spend(millis(90));
        assert_eq!((callee.spent(), callee.left()), (Duration::ZERO, millis(10)));
    }
}
