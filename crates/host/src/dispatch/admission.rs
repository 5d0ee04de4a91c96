//! Admission: how many instances run at once, of one component and in all. What cannot run yet
//! waits its turn in a bounded line; what finds the line full is turned away.
//!
//! A call between components holds its caller's place while it waits for another one. So that callers
//! cannot take all there are, the node's places are divided by depth where an app makes such calls, and
//! so that they cannot wait for one another for long, calls have little patience (decision 9).

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dayfly_capabilities::{Account, Paced};
use dayfly_model::platform::Quota;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::places::{self, Tenant};

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a call between components waits.
const PATIENCE_OF_CALLS: Duration = Duration::from_secs(1);

/// After how long who is refused should try again.
const AGAIN: Duration = Duration::from_secs(1);

/// How many depths have places of their own; what is deeper shares those of the last.
const DEPTHS: usize = 5;

/// How many requests may wait, for each that may run.
const WAITING_PER_RUNNING: u32 = 4;

/// The bound that all components of a node of one owner share.
pub(super) struct Node {
    /// By depth: those of requests from outside first. At least one.
    running: Vec<Arc<Semaphore>>,
    instances: u32,
    outside: u32,
}

impl Node {
    /// At most `instances` at once.
    pub(super) fn new(instances: u32) -> Arc<Self> {
        Self::divided(vec![instances])
    }

    /// At most `instances` at once, of components that call one another: half of them answer
    /// requests from outside, and half of what is left is for each depth of calls.
    pub(super) fn of_callers(instances: u32) -> Arc<Self> {
        Self::divided(by_depth(instances))
    }

    fn divided(shares: Vec<u32>) -> Arc<Self> {
        let running = |share: &u32| Arc::new(Semaphore::new(*share as usize));
        Arc::new(Self {
            running: shares.iter().map(running).collect(),
            instances: shares.iter().sum(),
            outside: shares.first().copied().unwrap_or(0),
        })
    }

    /// How many places there are.
    pub(super) const fn instances(&self) -> u32 {
        self.instances
    }

    /// How many places there are for requests from outside.
    pub(super) const fn outside(&self) -> u32 {
        self.outside
    }

    /// The places of a depth.
    fn at(&self, depth: u32) -> &Arc<Semaphore> {
        &self.running[(depth as usize).min(self.running.len() - 1)]
    }
}

/// The places of each depth, where components call one another.
pub(super) fn by_depth(instances: u32) -> Vec<u32> {
    let mut left = instances;
    let mut shares = Vec::with_capacity(DEPTHS);
    for depth in 1..=DEPTHS {
        let share = if depth == DEPTHS { left } else { left.div_ceil(2) };
        left -= share;
        // One at each depth, or there could never be a call; the pool itself says no otherwise.
        shares.push(share.max(1));
    }
    shares
}

/// Where components have their places.
#[derive(Clone)]
pub(super) enum Ground {
    /// On a node of one owner.
    Own(Arc<Node>),
    /// On one that tenants share.
    Shared(Arc<Tenant>),
}

/// The bounds of one component: its own, and the node's.
///
/// Only the first in a component's line for the node stands in the node's own, so that turns go
/// around among the components, however many requests one of them has.
pub(super) struct Admission {
    running: Arc<Semaphore>,
    /// How many may run, and how many places are still to be taken away.
    places: AtomicU32,
    surplus: AtomicU32,
    line: Line,
    ground: Ground,
    node_line: Line,
    calls_line: Line,
    first: Semaphore,
    slow: Paced,
    patience: Duration,
}

/// Leave to run; given back when dropped.
pub(super) struct Permit {
    _own: OwnedSemaphorePermit,
    node: Place,
}

enum Place {
    Own(#[allow(dead_code, reason = "it is held")] OwnedSemaphorePermit),
    Shared(places::Place),
}

impl Permit {
    /// Whose instance runs by it, where there are tenants.
    pub(super) fn account(&self) -> Option<&Arc<Account>> {
        match &self.node {
            Place::Own(_) => None,
            Place::Shared(place) => Some(place.account()),
        }
    }
}

/// A line is full, or the wait was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The component's.
    Component,
    /// The node's.
    Node,
    /// The tenant has as many of the node's places as are its own, with those that nobody else needs.
    Share,
    /// The tenant has as many instances as its quota says.
    Concurrency,
}

impl Admission {
    /// At most `running` of the component at once, on a ground of so many places.
    pub(super) fn new(running: u32, (ground, instances): (Ground, u32)) -> Self {
        Self {
            running: Arc::new(Semaphore::new(running as usize)),
            places: AtomicU32::new(running),
            surplus: AtomicU32::new(0),
            line: Line::new(running),
            node_line: Line::new(instances),
            calls_line: Line::new(instances),
            ground,
            first: Semaphore::new(1),
            slow: Paced::default(),
            patience: PATIENCE,
        }
    }

    /// Waits for leave to run behind so many calls between components, first come, first served.
    /// `component` is for the log.
    pub(super) async fn enter(&self, component: &str, depth: u32) -> Result<Permit, Full> {
        let mut own = self.own_place(component, depth).await?;
        while self.is_surplus() {
            own.forget();
            own = self.own_place(component, depth).await?;
        }
        let node = match &self.ground {
            Ground::Own(node) => Place::Own(self.own_node(node, component, depth).await?),
            Ground::Shared(tenant) => Place::Shared(self.shared(tenant, component, depth).await?),
        };
        Ok(Permit { _own: own, node })
    }

    async fn own_node(
        &self,
        node: &Node,
        component: &str,
        depth: u32,
    ) -> Result<OwnedSemaphorePermit, Full> {
        let places = node.at(depth);
        if let Ok(permit) = places.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let turn = async {
            // Calls wait for nobody that came from outside.
            let _first = if depth == 0 { Some(self.first.acquire().await?) } else { None };
            places.clone().acquire_owned().await
        };
        self.line_for_node(depth).wait(self.patience(depth), turn).await.map_err(|requests| {
            warn(component, "`--max-instances`", requests);
            Full::Node
        })
    }

    async fn shared(
        &self,
        tenant: &Arc<Tenant>,
        component: &str,
        depth: u32,
    ) -> Result<places::Place, Full> {
        if let Some(place) = tenant.try_take(depth) {
            return Ok(place);
        }
        let waiting = Waiting::count(&tenant.waiting);
        let line = self.line_for_node(depth);
        let turn = async {
            let _first = if depth == 0 { Some(self.first.acquire().await?) } else { None };
            Ok(tenant.take(depth).await)
        };
        let place = match waiting.before < tenant.most_waiting(WAITING_PER_RUNNING) {
            true => line.wait(self.patience(depth), turn).await,
            false => Err(line.refusals.note()),
        };
        place.map_err(|requests| {
            let full = tenant.refusal(depth);
            match full {
                Full::Concurrency => {
                    let _ = tenant.account().over(Quota::Concurrency, AGAIN);
                }
                Full::Share => warn(component, "the tenant's share of `--max-instances`", requests),
                Full::Component | Full::Node => warn(component, "`--max-instances`", requests),
            }
            full
        })
    }

    fn line_for_node(&self, depth: u32) -> &Line {
        if depth == 0 { &self.node_line } else { &self.calls_line }
    }
}

impl Admission {
    fn patience(&self, depth: u32) -> Duration {
        if depth == 0 { self.patience } else { self.patience.min(PATIENCE_OF_CALLS) }
    }

    async fn own_place(&self, component: &str, depth: u32) -> Result<OwnedSemaphorePermit, Full> {
        match self.running.clone().try_acquire_owned() {
            Ok(permit) => Ok(permit),
            Err(_) => {
                let turn = self.running.clone().acquire_owned();
                let turn = self.line.wait(self.patience(depth), turn).await;
                turn.map_err(|requests| {
                    warn(component, "`limits.concurrency`", requests);
                    Full::Component
                })
            }
        }
    }

    /// Lets no more than so many run from now on; those that run already may end.
    pub(super) fn shrink(&self, to: u32) {
        let to = to.max(1);
        let surplus = self.places.fetch_min(to, Ordering::Relaxed).saturating_sub(to);
        let free = self.running.forget_permits(surplus as usize);
        let held = surplus.saturating_sub(u32::try_from(free).unwrap_or(u32::MAX));
        self.surplus.fetch_add(held, Ordering::Relaxed);
    }

    /// Whether a place that was just taken is one too many.
    fn is_surplus(&self) -> bool {
        let less = |surplus: u32| surplus.checked_sub(1);
        self.surplus.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// How many of its instances run.
    pub(super) fn running(&self) -> u32 {
        let places = self.places.load(Ordering::Relaxed);
        let places = places.saturating_add(self.surplus.load(Ordering::Relaxed));
        let free = u32::try_from(self.running.available_permits()).unwrap_or(u32::MAX);
        places.saturating_sub(free)
    }

    /// How many of its requests wait in a line.
    pub(super) fn waiting(&self) -> u32 {
        let lines = [&self.line, &self.node_line];
        lines.map(|line| line.waiting.load(Ordering::Relaxed)).into_iter().sum()
    }

    /// Counts a request that was refused because its component's were waiting too long.
    pub(super) fn warn_of_slowness(&self, component: &str) {
        warn(component, "`--max-lag`", self.slow.note());
    }
}

fn warn(component: &str, limit: &str, requests: Option<u32>) {
    if let Some(requests) = requests {
        tracing::warn!(component, limit, requests, "too busy: requests are refused");
    }
}

/// Those who wait.
struct Line {
    waiting: AtomicU32,
    longest: u32,
    refusals: Paced,
}

impl Line {
    fn new(running: u32) -> Self {
        let longest = running.saturating_mul(WAITING_PER_RUNNING);
        Self { waiting: AtomicU32::new(0), longest, refusals: Paced::default() }
    }

    /// Waits for a turn, if there is room to. Fails with how many failed, if that is to be logged.
    async fn wait<T>(
        &self,
        patience: Duration,
        turn: impl Future<Output = Result<T, AcquireError>>,
    ) -> Result<T, Option<u32>> {
        // Dropping it leaves the line: a client that hung up does not keep its place.
        let waiting = Waiting::count(&self.waiting);
        if waiting.before >= self.longest {
            return Err(self.refusals.note());
        }
        match timeout(patience, turn).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(self.refusals.note()),
        }
    }
}

/// One who waits.
struct Waiting<'a> {
    waiting: &'a AtomicU32,
    before: u32,
}

impl<'a> Waiting<'a> {
    fn count(waiting: &'a AtomicU32) -> Self {
        Self { waiting, before: waiting.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(node: &Arc<Node>) -> (Ground, u32) {
        (Ground::Own(node.clone()), node.instances)
    }

    type Entering = tokio::task::JoinHandle<Result<Permit, Full>>;

    async fn wait(admission: &Arc<Admission>, times: u32) -> Vec<Entering> {
        let enter = |_| {
            let admission = admission.clone();
            tokio::spawn(async move { admission.enter("a", 0).await })
        };
        let waiting = (0..times).map(enter).collect();
        tokio::task::yield_now().await;
        waiting
    }

    #[tokio::test]
    async fn a_full_line_turns_away_and_a_free_place_lets_in() {
        let own = Admission::new(1, on(&Node::new(100)));
        let node = Admission::new(100, on(&Node::new(1)));
        for (admission, full) in [(own, Full::Component), (node, Full::Node)] {
            let admission = Arc::new(admission);
            let first = admission.enter("a", 0).await.unwrap();
            let waiting = wait(&admission, WAITING_PER_RUNNING).await;
            assert_eq!(admission.enter("a", 0).await.err(), Some(full));
            drop(first);
            for waiter in waiting {
                drop(waiter.await.unwrap().unwrap());
            }
            assert_eq!(admission.line.waiting.load(Ordering::Relaxed), 0);
            assert_eq!(admission.node_line.waiting.load(Ordering::Relaxed), 0);
        }
    }

    #[tokio::test]
    async fn a_wait_has_an_end_and_leaving_frees_the_place() {
        let patience = Duration::from_millis(20);
        let admission = Admission { patience, ..Admission::new(1, on(&Node::new(1))) };
        let _held = admission.enter("a", 0).await.unwrap();
        assert_eq!(admission.enter("a", 0).await.err(), Some(Full::Component));
        assert!(timeout(Duration::from_millis(1), admission.enter("a", 0)).await.is_err());
        assert_eq!(admission.line.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn places_are_taken_away_once_they_are_given_back() {
        let admission = Admission {
            patience: Duration::from_millis(20),
            ..Admission::new(4, on(&Node::new(9)))
        };
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(admission.enter("a", 0).await.unwrap());
        }
        admission.shrink(2);
        assert_eq!(admission.enter("a", 0).await.err(), Some(Full::Component));
        held.pop();
        assert_eq!(admission.enter("a", 0).await.err(), Some(Full::Component), "two still run");
        held.pop();
        held.push(admission.enter("a", 0).await.unwrap());
        assert_eq!(admission.enter("a", 0).await.err(), Some(Full::Component));
        drop(held);
        let _two = (admission.enter("a", 0).await.unwrap(), admission.enter("a", 0).await.unwrap());
        assert_eq!(admission.enter("a", 0).await.err(), Some(Full::Component));
    }

    #[tokio::test]
    async fn turns_go_around_among_the_components() {
        let node = Node::new(20);
        let (many, few) = (Admission::new(200, on(&node)), Admission::new(200, on(&node)));
        let (many, few) = (Arc::new(many), Arc::new(few));
        let mut running = Vec::new();
        for _ in 0..20 {
            running.push(many.enter("a", 0).await.unwrap());
        }
        let many = wait(&many, 80).await;
        let few = wait(&few, 2).await;
        for _ in 0..4 {
            running.pop();
            // The first of a line, then the one behind it.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        assert!(few.iter().all(Entering::is_finished), "two of four turns");
        assert_eq!(many.iter().filter(|waiter| waiter.is_finished()).count(), 2);
    }

    #[tokio::test]
    async fn callers_leave_room_for_whom_they_call() {
        let node = Node::of_callers(32);
        assert_eq!(node.instances, 32);
        let patience = Duration::from_millis(20);
        let caller = Admission { patience, ..Admission::new(100, on(&node)) };
        let callee = Admission { patience, ..Admission::new(100, on(&node)) };
        let mut held = Vec::new();
        for (depth, places) in [16, 8, 4, 2, 2].into_iter().enumerate() {
            let depth = u32::try_from(depth).unwrap();
            for _ in 0..places {
                held.push(caller.enter("a", depth).await.unwrap());
            }
            assert_eq!(caller.enter("a", depth).await.err(), Some(Full::Node));
            assert_eq!(callee.enter("b", depth).await.err(), Some(Full::Node));
        }
        held.pop();
        drop(callee.enter("b", 100).await.unwrap());
    }

    #[tokio::test]
    async fn a_small_node_has_a_place_at_each_depth() {
        let node = Node::of_callers(1);
        let admission = Admission::new(10, on(&node));
        let mut held = Vec::new();
        for depth in 0..DEPTHS {
            held.push(admission.enter("a", u32::try_from(depth).unwrap()).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_component_that_calls_itself_at_its_bound_is_told_soon() {
        let admission = Arc::new(Admission::new(1, on(&Node::of_callers(100))));
        let _held = admission.enter("a", 0).await.unwrap();
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        assert_eq!(admission.enter("a", 1).await.err(), Some(Full::Component));
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}
