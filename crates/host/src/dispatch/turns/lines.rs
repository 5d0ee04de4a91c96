//! Those who wait on one core, by tenant. Next is one of the tenant that has had the least CPU time for its
//! weight; within it, turns go around among components, and those that compute for long have theirs one
//! after the other. A tenant that comes, or comes again, begins where the others are: what it did not use
//! is gone.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use dayfly_capabilities::Account;
use dayfly_model::platform::Quotas;

use super::STANDSTILL;

/// What a turn costs at least, so that those who use next to nothing take turns, too.
const LEAST: Duration = Duration::from_micros(1);

/// Whose turns a guest takes, and how much of the core that is to be, beside others.
#[derive(Debug, Clone, Copy)]
pub(in crate::dispatch) struct Share {
    /// A number that no other tenant of the process has.
    tenant: usize,
    /// What it is now: it says nothing of whose it is.
    weight: u32,
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        self.tenant == other.tenant
    }
}

impl Eq for Share {}

impl Hash for Share {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tenant.hash(state);
    }
}

impl Share {
    /// Of whoever has the node alone.
    pub(in crate::dispatch) const WHOLE: Self = Self { tenant: 0, weight: Quotas::WEIGHT };

    pub(in crate::dispatch) fn of(account: &Arc<Account>) -> Self {
        Self { tenant: Arc::as_ptr(account).addr(), weight: account.weight() }
    }

    /// How much beside others.
    pub(in crate::dispatch) fn weight(&self) -> u64 {
        self.weight.into()
    }
}

/// Those who wait on one core.
#[derive(Default)]
pub(super) struct Lines {
    tenants: Vec<Tenant>,
    /// What the tenant had had whose turn was last; whoever comes begins there.
    reached: u64,
}

struct Tenant {
    share: Share,
    /// What it has had for its weight: nanoseconds of one with the usual weight.
    had: u64,
    /// Those that wait to begin, by component, in the order in which components get their turns.
    fresh: VecDeque<Line>,
    long: VecDeque<Arc<Waiter>>,
}

/// The requests of one component that wait to begin.
struct Line {
    component: usize,
    waiters: VecDeque<Arc<Waiter>>,
    /// When the last of them began, and the time between two of them, averaged.
    began: Option<Instant>,
    interval: Duration,
}

/// A guest that waits, or has its turn.
pub(super) struct Waiter {
    since: Instant,
    /// Whom to wake, and when it was polled last.
    polled: Mutex<(Waker, Instant)>,
    pub(super) may_run: AtomicBool,
    /// Whether it stands in one of the lines.
    pub(super) in_line: AtomicBool,
}

impl Lines {
    /// Whether anybody waits to begin.
    pub(super) fn has_fresh(&self) -> bool {
        self.tenants.iter().any(|tenant| !tenant.fresh.is_empty())
    }

    /// How long one that joins a component's line now will wait, as far as can be told.
    pub(super) fn wait(&self, share: Share, component: usize) -> Duration {
        let tenant = self.tenants.iter().find(|it| it.share == share);
        let line = tenant.and_then(|it| it.fresh.iter().find(|line| line.component == component));
        line.map_or(Duration::ZERO, Line::wait)
    }

    pub(super) fn push_fresh(&mut self, share: Share, component: usize, waiter: &Arc<Waiter>) {
        let fresh = &mut self.of(share).fresh;
        let index = fresh.iter().position(|line| line.component == component);
        let index = index.unwrap_or_else(|| {
            fresh.push_back(Line::new(component));
            fresh.len() - 1
        });
        fresh[index].push(waiter);
    }

    pub(super) fn push_long(&mut self, share: Share, waiter: &Arc<Waiter>) {
        self.of(share).long.push_back(waiter.clone());
    }

    /// Counts what a guest has had of the core.
    pub(super) fn charge(&mut self, share: Share, cpu: Duration) {
        let ns = u64::try_from(cpu.max(LEAST).as_nanos()).unwrap_or(u64::MAX);
        let tenant = self.of(share);
        let had = ns.saturating_mul(Quotas::WEIGHT.into()) / u64::from(share.weight.max(1));
        tenant.had = tenant.had.saturating_add(had);
    }

    /// Whoever begins next, taken out of its line.
    pub(super) fn next_fresh(&mut self) -> Option<Arc<Waiter>> {
        let tenant = self.next(|tenant| !tenant.fresh.is_empty())?;
        let mut line = tenant.fresh.pop_front()?;
        let next = line.pop();
        if !line.waiters.is_empty() {
            tenant.fresh.push_back(line);
        }
        next
    }

    /// Whoever is next among those that compute for long. The inattentive leave the line; they join
    /// it again when they are polled.
    pub(super) fn next_long(&mut self) -> Option<Arc<Waiter>> {
        loop {
            let next = self.next(|tenant| !tenant.long.is_empty())?.long.pop_front()?;
            next.in_line.store(false, Relaxed);
            if next.is_attentive() {
                return Some(next);
            }
        }
    }

    /// Takes a waiter out of its line.
    pub(super) fn remove(&mut self, waiter: &Arc<Waiter>) {
        let others = |other: &Arc<Waiter>| !Arc::ptr_eq(other, waiter);
        for tenant in &mut self.tenants {
            tenant.long.retain(others);
            for line in &mut tenant.fresh {
                line.waiters.retain(others);
            }
            tenant.fresh.retain(|line| !line.waiters.is_empty());
        }
    }

    /// Whether nobody waits.
    #[cfg(test)]
    pub(super) fn are_empty(&self) -> bool {
        self.tenants.iter().all(Tenant::is_empty)
    }

    fn of(&mut self, share: Share) -> &mut Tenant {
        let index = self.tenants.iter().position(|it| it.share == share);
        let index = index.unwrap_or_else(|| {
            let (fresh, long) = Default::default();
            self.tenants.push(Tenant { share, had: self.reached, fresh, long });
            self.tenants.len() - 1
        });
        let tenant = &mut self.tenants[index];
        tenant.share = share;
        if tenant.is_empty() {
            tenant.had = tenant.had.max(self.reached);
        }
        tenant
    }

    /// Of the tenants that wait, the one that has had least.
    fn next(&mut self, waits: impl Fn(&Tenant) -> bool) -> Option<&mut Tenant> {
        let reached = self.reached;
        // Those of whom there is nothing to remember.
        self.tenants.retain(|tenant| !tenant.is_empty() || tenant.had > reached);
        let waiting = self.tenants.iter_mut().filter(|tenant| waits(tenant));
        let next = waiting.min_by_key(|tenant| tenant.had)?;
        self.reached = self.reached.max(next.had);
        Some(next)
    }
}

impl Tenant {
    fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.long.is_empty()
    }
}

impl Line {
    fn new(component: usize) -> Self {
        Self { component, waiters: VecDeque::new(), began: None, interval: Duration::ZERO }
    }

    /// How long one that joins now will wait, as far as can be told.
    fn wait(&self) -> Duration {
        let first = self.waiters.front().map_or(Duration::ZERO, |first| first.since.elapsed());
        let before = u32::try_from(self.waiters.len()).unwrap_or(u32::MAX);
        first.max(self.interval.saturating_mul(before))
    }

    fn push(&mut self, waiter: &Arc<Waiter>) {
        waiter.in_line.store(true, Relaxed);
        self.waiters.push_back(waiter.clone());
    }

    fn pop(&mut self) -> Option<Arc<Waiter>> {
        let next = self.waiters.pop_front()?;
        next.in_line.store(false, Relaxed);
        let now = Instant::now();
        if let Some(before) = self.began.replace(now) {
            let interval = now.duration_since(before);
            self.interval = match self.interval {
                Duration::ZERO => interval,
                average => (average * 15 + interval) / 16,
            };
        }
        Some(next)
    }
}

impl Waiter {
    pub(super) fn new(waker: &Waker) -> Arc<Self> {
        let since = Instant::now();
        let polled = Mutex::new((waker.clone(), since));
        let (may_run, in_line) = Default::default();
        Arc::new(Self { since, polled, may_run, in_line })
    }

    /// Whom to wake, and when it was polled last.
    pub(super) fn last_poll(&self) -> MutexGuard<'_, (Waker, Instant)> {
        self.polled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake(&self) {
        self.last_poll().0.wake_by_ref();
    }

    /// Whether it would take a turn: those that nobody polls, because their clients do not read,
    /// would not. There may be thousands of them.
    fn is_attentive(&self) -> bool {
        self.last_poll().1.elapsed() < STANDSTILL * 2
    }
}
