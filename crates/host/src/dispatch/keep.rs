//! Instances that wait for their next request, of components whose manifests ask for that. Each
//! serves one request after the other, and none that failed serves another.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use dayfly_capabilities::{Behind, Grants, HostState};
use dayfly_engine::{Code, StoreData as _};
use dayfly_model::Reuse;
use wasmtime::Store;

/// How many instances may wait, in those that one of the usual size takes of the engine's pool.
pub(super) struct Room(AtomicU32);

/// A part of the room, given back when dropped.
struct Part {
    room: Arc<Room>,
    slots: u32,
}

/// The instances of one component's code that wait, the last one first.
pub(super) struct Keep<I> {
    terms: Reuse,
    /// What one of them takes of the room.
    slots: u32,
    room: Arc<Room>,
    waiting: Mutex<Vec<Waiting<I>>>,
    /// Whether none waits any more, because one had no answer to a further request.
    is_off: Arc<AtomicBool>,
    /// Whether somebody will end those that wait for too long.
    is_watched: AtomicBool,
}

struct Waiting<I> {
    life: Life<I>,
    since: Instant,
    _part: Part,
}

/// An instance with its store, for one request; without the instance if it is to be made yet.
pub(super) struct Life<I> {
    pub(super) store: Store<HostState>,
    pub(super) instance: Option<I>,
    served: u32,
    /// What its memories took after its first request, in bytes.
    first_bytes: u64,
}

impl Room {
    pub(super) fn new(slots: u32) -> Self {
        Self(AtomicU32::new(slots))
    }

    fn take(self: &Arc<Self>, slots: u32) -> Option<Part> {
        self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(slots)).ok()?;
        Some(Part { room: self.clone(), slots })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.room.0.fetch_add(self.slots, Relaxed);
    }
}

/// What a request needs to get an instance.
pub(super) struct Start<I> {
    pub(super) code: Code,
    pub(super) grants: Arc<Grants>,
    /// What led to it.
    pub(super) behind: Behind,
    pub(super) keep: Option<Arc<Keep<I>>>,
}

impl<I: Send + 'static> Start<I> {
    /// An instance that has waited, or a store for a fresh one.
    pub(super) fn begin(&self) -> Life<I> {
        let Self { code, grants, behind, keep } = self;
        let waited = keep.as_ref().and_then(|keep| keep.next(code, behind));
        waited.unwrap_or_else(|| {
            let state = HostState::new(grants.clone()).behind(behind.clone());
            let state = if keep.is_some() { state.kept() } else { state };
            Life { store: code.store(state), instance: None, served: 0, first_bytes: 0 }
        })
    }

    /// Lets an instance that has answered wait for another request, if it may.
    pub(super) fn end(self, life: Life<I>) {
        if let Some(keep) = self.keep {
            keep.give_back(life);
        }
    }

    /// Ends an instance that returned without an answer. If it had given one to an earlier request,
    /// it is of a kind that cannot serve several.
    pub(super) fn end_unanswered(self, life: &Life<I>) {
        let Some(keep) = self.keep else { return };
        if life.served > 0 && !keep.is_off.swap(true, Relaxed) {
            keep.lock().clear();
            let component = &self.grants.component;
            tracing::warn!(
                %component,
                "an instance has no answer to a further request: none is reused any more (hint: \
                 remove `reuse`)"
            );
        }
    }
}

impl<I: Send + 'static> Keep<I> {
    /// A place for instances of `code`, or none where each serves one request alone. What turns out of
    /// them holds for all code of their component: `is_off`.
    pub(super) fn new(
        code: &Code,
        (terms, room, is_off): (Reuse, &Arc<Room>, &Arc<AtomicBool>),
    ) -> Option<Arc<Self>> {
        terms.is_on().then(|| {
            Arc::new(Self {
                terms,
                slots: code.pool_slots(),
                room: room.clone(),
                waiting: Mutex::default(),
                is_off: is_off.clone(),
                is_watched: AtomicBool::new(false),
            })
        })
    }

    /// The instance that has waited for the shortest time, as good as new in all that bounds one
    /// request.
    fn next(&self, code: &Code, behind: &Behind) -> Option<Life<I>> {
        let Waiting { mut life, .. } = self.lock().pop()?;
        life.store.data_mut().renew(behind.clone());
        code.renew(&mut life.store);
        Some(life)
    }

    /// Keeps an instance that has served a request, if it may serve another.
    fn give_back(self: &Arc<Self>, mut life: Life<I>) {
        life.served += 1;
        let bytes = life.store.data_mut().limiter().used_bytes();
        if life.served == 1 {
            life.first_bytes = bytes;
        }
        let has_grown = bytes.saturating_sub(life.first_bytes) > self.terms.growth_bytes;
        let is_off = self.is_off.load(Relaxed);
        if life.served >= self.terms.requests || has_grown || is_off {
            return;
        }
        let Some(part) = self.room.take(self.slots) else { return };
        self.lock().push(Waiting { life, since: Instant::now(), _part: part });
        if !self.is_watched.swap(true, Relaxed) {
            tokio::spawn(Self::watch(Arc::downgrade(self), self.terms));
        }
    }

    /// Ends instances that wait for too long, until none waits.
    async fn watch(keep: Weak<Self>, terms: Reuse) {
        loop {
            tokio::time::sleep(terms.idle).await;
            let Some(keep) = keep.upgrade() else { return };
            let mut waiting = keep.lock();
            // The oldest come first.
            let late = waiting.partition_point(|it| it.since.elapsed() >= terms.idle);
            let ended: Vec<_> = waiting.drain(..late).collect();
            if waiting.is_empty() {
                keep.is_watched.store(false, Relaxed);
            }
            let is_done = waiting.is_empty();
            drop(waiting);
            drop(ended);
            if is_done {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting<I>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
