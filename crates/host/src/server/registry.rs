//! The connections of one core: counted, bounded, swept, and told to end.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slab::Slab;
use tokio::sync::Notify;

use super::activity::{Activity, Clock, Order, Patience, Stage};
use super::socket::Socket;

/// How many connections are swept before what is ready has its turn: some ten microseconds.
const SWEPT_AT_ONCE: usize = 64;

/// The connections of one core. Its lock is taken when connections come and go and by the sweep,
/// always on the same core.
pub(super) struct Registry {
    pub(super) clock: Arc<Clock>,
    connections: Mutex<Slab<Arc<Activity>>>,
    /// What all connections, those that come included, are told.
    order: AtomicU8,
    max: usize,
    /// Told when the first connection came.
    came: Notify,
    /// Told when one left.
    left: Notify,
}

impl Registry {
    pub(super) fn new(max: usize) -> Self {
        Self {
            clock: Arc::default(),
            connections: Mutex::default(),
            order: AtomicU8::new(Order::Serve as u8),
            max: max.max(1),
            came: Notify::new(),
            left: Notify::new(),
        }
    }

    fn connections(&self) -> MutexGuard<'_, Slab<Arc<Activity>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in, until the entry is dropped.
    pub(super) fn enter(self: &Arc<Self>, socket: Socket, stage: Stage) -> Entry {
        let activity = Arc::new(Activity::new(self.clock.clone(), socket, stage));
        match self.order.load(Relaxed) {
            order if order == Order::Serve as u8 => {}
            order if order == Order::Leave as u8 => activity.order(Order::Leave),
            _ => activity.order(Order::Drain),
        }
        let mut connections = self.connections();
        let key = connections.insert(activity.clone());
        if connections.len() == 1 {
            self.came.notify_one();
        }
        drop(connections);
        Entry { registry: self.clone(), key, activity }
    }

    /// Waits until there is room for a connection that has come, making some if it can.
    pub(super) async fn room(&self) {
        while self.connections().len() >= self.max {
            let left = self.left.notified();
            if !self.evict() {
                tracing::debug!(
                    max = self.max,
                    "no connection can be done without, new ones have to wait"
                );
            }
            // Whether one is idle changes without a word, so look again before long.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(100), left).await;
        }
    }

    /// Closes the connections that can best be done without: those that are idle longest, then
    /// those that never come to their request, then those that wait for the slowest clients. Some
    /// at a time, for the look at all is what costs.
    pub(super) fn evict(&self) -> bool {
        let connections = self.connections();
        let mut candidates: Vec<_> = connections
            .iter()
            .filter_map(|(_, activity)| Some((activity.dispensable()?, activity)))
            .collect();
        let some = (connections.len() / 128).max(1);
        candidates.sort_unstable_by_key(|(key, _)| std::cmp::Reverse(*key));
        candidates.truncate(some);
        for (_, activity) in &candidates {
            activity.order(Order::Drop);
        }
        !candidates.is_empty()
    }

    /// Tells all connections, and those that come from now on, to end after their next answer.
    pub(super) fn leave(&self) {
        self.tell(Order::Leave);
    }

    /// Tells all connections, and those that come from now on, to finish what runs and end.
    pub(super) fn drain(&self) {
        self.tell(Order::Drain);
    }

    fn tell(&self, order: Order) {
        self.order.store(order as u8, Relaxed);
        for (_, activity) in self.connections().iter() {
            activity.order(order);
        }
    }

    /// The requests that run on all connections.
    pub(super) fn requests(&self) -> usize {
        self.connections().iter().map(|(_, activity)| activity.requests() as usize).sum()
    }

    /// Waits until no connection is left.
    pub(super) async fn emptied(&self) {
        loop {
            let left = self.left.notified();
            if self.connections().is_empty() {
                return;
            }
            left.await;
        }
    }

    /// Advances the clock and closes what used up its time, for as long as the core serves;
    /// asleep while there is no connection.
    pub(super) async fn keep_swept(&self, tick: std::time::Duration, patience: Patience) {
        loop {
            while self.connections().is_empty() {
                self.came.notified().await;
            }
            tokio::time::sleep(tick).await;
            self.clock.advance();
            // The look at ten thousand takes milliseconds, for which no request should wait.
            let mut from = 0;
            while let Some(next) = self.sweep(from, &patience) {
                from = next;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Closes those that used up their time among some connections, and says where the next begin.
    fn sweep(&self, from: usize, patience: &Patience) -> Option<usize> {
        let connections = self.connections();
        let next = from + SWEPT_AT_ONCE;
        for activity in (from..next).filter_map(|key| connections.get(key)) {
            activity.sweep(patience);
        }
        (next < connections.capacity()).then_some(next)
    }
}

/// A connection's place in the registry.
pub(super) struct Entry {
    registry: Arc<Registry>,
    key: usize,
    pub(super) activity: Arc<Activity>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let removed = self.registry.connections().try_remove(self.key);
        self.registry.left.notify_waiters();
        drop(removed);
    }
}
