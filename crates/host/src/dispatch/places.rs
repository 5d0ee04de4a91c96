//! The places of a node in which instances run, shared out among tenants. Each takes up to its share, by
//! its weight among those of all tenants that have apps here; beyond it, a tenant takes a place only while
//! more places are free than it has, so that whoever comes next finds some. The last ones are kept for tenants
//! that have none: for each of them its first. A place that becomes free is for whoever waits and has the
//! fewest for its weight.
//!
//! Nobody's instance is ended for another's sake: where many tenants take what they can at once, one that
//! comes then has one place, and waits for more until some of theirs end.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dayfly_capabilities::{Account, TenantShare};
use dayfly_model::platform::Quotas;
use slab::Slab;
use tokio::sync::oneshot;

use super::admission::Full;

/// How old the sum of all weights may be: adding up those of thousands takes its time.
const SUMMED: Duration = Duration::from_millis(100);

/// Which part of all places is kept, at most, for tenants that have none.
const KEPT: u32 = 8;

/// The places of a node.
pub(super) struct Places {
    instances: u32,
    outside: u32,
    state: Mutex<State>,
}

struct State {
    /// By the depth of calls: those of requests from outside first.
    pools: Vec<Pool>,
    tenants: Slab<Holding>,
    /// The sum of all tenants' weights, and when it was made; nothing where it does not hold any more.
    weights: (u64, Option<Instant>),
}

/// The places of one depth.
struct Pool {
    all: u32,
    free: u32,
    /// How many tenants hold any.
    holders: u32,
    /// Tenants of whom somebody waits for one.
    waiting: Vec<usize>,
}

/// What a tenant has.
struct Holding {
    account: Arc<Account>,
    /// Instances that run, at whatever depth.
    running: u32,
    depths: Vec<Depth>,
}

#[derive(Default)]
struct Depth {
    held: u32,
    line: VecDeque<oneshot::Sender<()>>,
}

/// A tenant of a node.
pub(super) struct Tenant {
    account: Arc<Account>,
    places: Arc<Places>,
    index: usize,
    /// How many of its requests wait for a place.
    pub(super) waiting: AtomicU32,
    /// What its components hold open, and whole.
    pub(super) descriptors: TenantShare,
    pub(super) whole: TenantShare,
}

/// A place; given back when dropped.
pub(super) struct Place {
    tenant: Arc<Tenant>,
    depth: usize,
}

impl Places {
    /// So many places at each depth.
    pub(super) fn new(shares: &[u32]) -> Arc<Self> {
        let pool = |all: &u32| Pool { all: *all, free: *all, holders: 0, waiting: Vec::new() };
        let pools = shares.iter().map(pool).collect();
        let state = State { pools, tenants: Slab::new(), weights: (0, None) };
        let (instances, outside) = (shares.iter().sum(), shares.first().copied().unwrap_or(0));
        Arc::new(Self { instances, outside, state: Mutex::new(state) })
    }

    /// How many there are.
    pub(super) const fn instances(&self) -> u32 {
        self.instances
    }

    /// How many there are for requests from outside.
    pub(super) const fn outside(&self) -> u32 {
        self.outside
    }

    /// Lets a tenant have places.
    pub(super) fn tenant(self: &Arc<Self>, account: Arc<Account>) -> Arc<Tenant> {
        let mut state = self.state();
        let depths = state.pools.iter().map(|_| Depth::default()).collect();
        let holding = Holding { account: account.clone(), running: 0, depths };
        let index = state.tenants.insert(holding);
        state.weights.1 = None;
        drop(state);
        let (waiting, descriptors, whole) = Default::default();
        Arc::new(Tenant { account, places: self.clone(), index, waiting, descriptors, whole })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Why a tenant may not take a place now, if it may not.
    fn refusal(&mut self, index: usize, depth: usize) -> Option<Full> {
        let (pool, tenant) = (&self.pools[depth], &self.tenants[index]);
        if tenant.running >= tenant.account.concurrency() {
            return Some(Full::Concurrency);
        }
        let held = u64::from(tenant.depths[depth].held);
        let weight = u64::from(tenant.account.weight());
        let (all, mut free) = (u64::from(pool.all), u64::from(pool.free));
        if held > 0 && free <= self.kept(depth) {
            free = 0;
        }
        if held < free * weight / u64::from(Quotas::WEIGHT) {
            return None;
        }
        let is_within_share = held < (all * weight / self.weights().max(1)).max(1);
        match (free, is_within_share) {
            (0, true) => Some(Full::Node),
            (_, true) => None,
            (_, false) => Some(Full::Share),
        }
    }

    /// How many places of a depth are for tenants that have none there.
    fn kept(&self, depth: usize) -> u64 {
        let pool = &self.pools[depth];
        let without = (self.tenants.len() as u64).saturating_sub(pool.holders.into());
        without.min((pool.all / KEPT).into())
    }

    fn weights(&mut self) -> u64 {
        let (sum, when) = self.weights;
        if when.is_some_and(|when| when.elapsed() < SUMMED) {
            return sum;
        }
        let sum = self.tenants.iter().map(|(_, it)| u64::from(it.account.weight())).sum();
        self.weights = (sum, Some(Instant::now()));
        sum
    }

    fn take(&mut self, index: usize, depth: usize) {
        let (pool, tenant) = (&mut self.pools[depth], &mut self.tenants[index]);
        pool.free -= 1;
        pool.holders += u32::from(tenant.depths[depth].held == 0);
        tenant.running += 1;
        tenant.depths[depth].held += 1;
    }

    fn give_back(&mut self, index: usize, depth: usize) {
        let (pool, tenant) = (&mut self.pools[depth], &mut self.tenants[index]);
        pool.free += 1;
        tenant.running -= 1;
        tenant.depths[depth].held -= 1;
        pool.holders -= u32::from(tenant.depths[depth].held == 0);
        // Another depth may have waited for one instance less of the tenant's.
        for depth in 0..self.pools.len() {
            self.let_in(depth);
        }
    }

    /// Gives places of a depth to those that wait and may have one.
    fn let_in(&mut self, depth: usize) {
        while let Some(index) = self.next(depth) {
            let line = &mut self.tenants[index].depths[depth].line;
            let next = line.pop_front();
            if line.is_empty() {
                self.pools[depth].waiting.retain(|waiting| *waiting != index);
            }
            // Whoever is gone meanwhile takes none.
            if next.is_some_and(|next| next.send(()).is_ok()) {
                self.take(index, depth);
            }
        }
    }

    /// Of the tenants that wait at a depth and may have a place, the one with the fewest for its weight.
    fn next(&mut self, depth: usize) -> Option<usize> {
        if self.pools[depth].free == 0 || self.pools[depth].waiting.is_empty() {
            return None;
        }
        let mut waiting = self.pools[depth].waiting.clone();
        waiting.retain(|index| self.refusal(*index, depth).is_none());
        waiting.into_iter().min_by_key(|index| {
            let tenant = &self.tenants[*index];
            // In parts of a place, of which there are fewer than fit.
            (u64::from(tenant.depths[depth].held) << 16) / u64::from(tenant.account.weight())
        })
    }
}

impl Tenant {
    /// What the tenant may take.
    pub(super) const fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// How many requests may wait for a place, for each instance that may run.
    pub(super) fn most_waiting(&self, per_running: u32) -> u32 {
        self.account.concurrency().min(self.places.outside).max(1).saturating_mul(per_running)
    }

    /// A place at a depth of calls, if the tenant may have one now.
    pub(super) fn try_take(self: &Arc<Self>, depth: u32) -> Option<Place> {
        let mut state = self.places.state();
        let depth = (depth as usize).min(state.pools.len() - 1);
        // Its account may have been changed since they began to wait.
        if !state.tenants[self.index].depths[depth].line.is_empty() {
            state.let_in(depth);
        }
        if state.refusal(self.index, depth).is_some() {
            return None;
        }
        state.take(self.index, depth);
        Some(Place { tenant: self.clone(), depth })
    }

    /// Waits for a place at a depth of calls, first come, first served among the tenant's.
    pub(super) async fn take(self: &Arc<Self>, depth: u32) -> Place {
        let mut waiting = self.wait(depth);
        // Nobody drops what gives the place but with it.
        let _ = (&mut waiting.given).await;
        waiting.has_taken = true;
        Place { tenant: self.clone(), depth: waiting.depth }
    }

    fn wait(self: &Arc<Self>, depth: u32) -> Waiting {
        let (give, given) = oneshot::channel();
        let mut state = self.places.state();
        let depth = (depth as usize).min(state.pools.len() - 1);
        let line = &mut state.tenants[self.index].depths[depth].line;
        line.push_back(give);
        if line.len() == 1 {
            state.pools[depth].waiting.push(self.index);
        }
        // A place may have become free since there was none.
        state.let_in(depth);
        Waiting { tenant: self.clone(), depth, given, has_taken: false }
    }

    /// Why the tenant has no place now.
    pub(super) fn refusal(&self, depth: u32) -> Full {
        let mut state = self.places.state();
        let depth = (depth as usize).min(state.pools.len() - 1);
        state.refusal(self.index, depth).unwrap_or(Full::Share)
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        // Whoever waits or has a place keeps it from being dropped.
        let mut state = self.places.state();
        state.tenants.remove(self.index);
        state.weights.1 = None;
        // What was kept for it is the others'.
        for depth in 0..state.pools.len() {
            state.let_in(depth);
        }
    }
}

/// Somebody who waits for a place.
struct Waiting {
    tenant: Arc<Tenant>,
    depth: usize,
    given: oneshot::Receiver<()>,
    has_taken: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.has_taken {
            return;
        }
        let mut state = self.tenant.places.state();
        let (index, depth) = (self.tenant.index, self.depth);
        self.given.close();
        if self.given.try_recv().is_ok() {
            return state.give_back(index, depth);
        }
        let line = &mut state.tenants[index].depths[depth].line;
        line.retain(|waiting| !waiting.is_closed());
        if line.is_empty() {
            state.pools[depth].waiting.retain(|waiting| *waiting != index);
        }
    }
}

impl Place {
    /// Whose instance runs in it.
    pub(super) fn account(&self) -> &Arc<Account> {
        &self.tenant.account
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tenant.places.state().give_back(self.tenant.index, self.depth);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(places: &Arc<Places>, weight: u32, concurrency: u32) -> Arc<Tenant> {
        let quotas = Quotas { weight, concurrency, ..Quotas::default() };
        places.tenant(Account::new("a", &quotas))
    }

    fn all(tenant: &Arc<Tenant>) -> Vec<Place> {
        std::iter::from_fn(|| tenant.try_take(0)).collect()
    }

    #[test]
    fn one_alone_has_all_and_several_leave_one_another_some() {
        let places = Places::new(&[1000, 100]);
        let first = tenant(&places, 100, 5000);
        assert_eq!(all(&first).len(), 1000);
        let others: Vec<_> = (0..9).map(|_| tenant(&places, 100, 5000)).collect();
        let mut held = vec![all(&first)];
        held.extend(others[..3].iter().map(all));
        // A share is 100 of ten tenants'.
        assert_eq!(held.iter().map(Vec::len).collect::<Vec<_>>(), [500, 250, 125, 100]);
        assert_eq!(first.refusal(0), Full::Share);
        held.push(all(&others[4]));
        assert_eq!(
            held[4].len(),
            20,
            "what is left of its share, but for one for each of the others"
        );
        assert_eq!(others[4].refusal(0), Full::Node);
        for other in [3, 5, 6, 7, 8] {
            held.push(all(&others[other]));
            assert_eq!(held.last().unwrap().len(), 1, "its first");
        }
        assert_eq!(others[8].refusal(0), Full::Node);
        assert!(first.try_take(1).is_some(), "another depth is another matter");
        // Of what comes back, whoever has nothing has the first.
        drop(held.pop());
        assert!(others[7].try_take(0).is_none());
        assert_eq!(all(&others[8]).len(), 1);
    }

    #[test]
    fn no_more_than_a_part_is_kept_for_those_that_have_none() {
        let places = Places::new(&[80]);
        let tenants: Vec<_> = (0..100).map(|_| tenant(&places, 100, 5000)).collect();
        let held: Vec<_> = tenants.iter().map(all).collect();
        let counts: Vec<_> = held.iter().map(Vec::len).collect();
        assert_eq!(counts[..4], [40, 20, 10, 1], "a share is less than one place");
        assert_eq!(counts.iter().sum::<usize>(), 80);
        assert_eq!(counts.iter().filter(|count| **count > 0).count(), 13);
        assert_eq!(places.state().pools[0].holders, 13);
        drop(held);
        assert_eq!(places.state().pools[0].holders, 0);
    }

    #[tokio::test]
    async fn what_was_kept_for_a_tenant_that_goes_is_for_who_waits() {
        let places = Places::new(&[8]);
        let (stays, goes) = (tenant(&places, 300, 5000), tenant(&places, 1, 5000));
        let held = all(&stays);
        assert_eq!(held.len(), 7, "its share, which leaves one");
        assert_eq!(stays.refusal(0), Full::Share);
        drop(goes);
        let more = stays.take(0).await;
        drop((more, held));
        assert_eq!(places.state().pools[0].free, 8);
    }

    #[test]
    fn the_heavier_has_more() {
        let places = Places::new(&[100]);
        let (light, heavy) = (tenant(&places, 50, 5000), tenant(&places, 150, 5000));
        let held = all(&light);
        assert_eq!(held.len(), 33, "half as many as are free");
        let mut more = all(&heavy);
        assert_eq!(more.len(), 67, "its share is 75");
        assert_eq!(heavy.refusal(0), Full::Node);
        drop(held);
        more.extend(all(&heavy));
        assert_eq!(more.len(), 75);
        assert_eq!(heavy.refusal(0), Full::Share);
        assert_eq!(all(&light).len(), 25);
    }

    #[test]
    fn a_quota_of_instances_holds_at_all_depths_together() {
        let places = Places::new(&[10, 10]);
        let tenant = tenant(&places, 100, 3);
        let held: Vec<_> = [0, 1, 7].map(|depth| tenant.try_take(depth)).into_iter().collect();
        assert!(held.iter().all(Option::is_some));
        assert!(tenant.try_take(0).is_none() && tenant.try_take(1).is_none());
        assert_eq!(tenant.refusal(0), Full::Concurrency);
        tenant.account.change(&Quotas { concurrency: 4, ..Quotas::default() });
        assert!(tenant.try_take(0).is_some());
        drop(held);
        assert_eq!(all(&tenant).len(), 4);
    }

    #[tokio::test]
    async fn what_becomes_free_is_for_whoever_has_the_fewest() {
        let places = Places::new(&[8]);
        let (many, few) = (tenant(&places, 100, 5000), tenant(&places, 100, 5000));
        let mut held: Vec<_> = all(&many);
        assert_eq!(held.len(), 4);
        let few_held = all(&few);
        assert_eq!(few_held.len(), 4);
        let wait = |tenant: &Arc<Tenant>| {
            let tenant = tenant.clone();
            tokio::spawn(async move { tenant.take(0).await })
        };
        drop(few_held);
        // Nobody waits: two of those that are free are beyond the share of who has four.
        let waiting: Vec<_> = (0..20).map(|_| wait(&many)).collect();
        tokio::task::yield_now().await;
        assert!(!waiting.iter().any(tokio::task::JoinHandle::is_finished));
        let place = few.try_take(0).expect("one below its share has a place at once");
        held.pop();
        tokio::task::yield_now().await;
        assert_eq!(waiting.iter().filter(|it| it.is_finished()).count(), 1);
        drop(place);
        for it in waiting {
            it.abort();
            let _ = it.await;
        }
        assert!(places.state().pools[0].waiting.is_empty());
        assert_eq!(places.state().pools[0].free, 5);
        drop(held);
        assert_eq!(places.state().pools[0].free, 8);
        drop((many, few));
        assert!(places.state().tenants.is_empty());
    }

    #[tokio::test]
    async fn a_place_that_is_given_to_one_who_is_gone_is_not_lost() {
        let places = Places::new(&[1]);
        let tenant = tenant(&places, 100, 5000);
        let held = tenant.try_take(0).unwrap();
        let (gone, waiting) = (tenant.wait(0), tenant.wait(0));
        drop(held);
        // Given, and not yet taken.
        drop(gone);
        assert_eq!(places.state().pools[0].free, 0, "the next one has it");
        drop(waiting);
        assert_eq!(places.state().pools[0].free, 1);
    }
}
