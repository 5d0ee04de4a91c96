//! Which components are in memory. Each is loaded by its first event and leaves when nobody has
//! asked for it for a while, or when others need the room: those that were used last stay, and of tenants
//! those first that have more than is their part. One that runs is never taken away.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use dayfly_engine::Weight;
use dayfly_telemetry::metrics::{self, Counter, Families, Value};
use tokio::sync::Semaphore;

use super::component::ComponentHost;
use super::loading::Resident;
use super::turns::Share;

/// Components that are read, verified and linked at one time.
const LOADS: usize = 4;

/// What resident components may take together, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct ResidencyConfig {
    /// Memory of their code and what belongs to it, in bytes.
    pub bytes: u64,
    /// How many there may be: each takes a descriptor and some of the process's mappings.
    pub count: usize,
    /// How long one stays that nobody asks for.
    pub idle: Duration,
    /// How long code has answered that stands in for better code of its component's own before that is made.
    pub stand_in: Duration,
}

/// The resident components of a node.
pub(super) struct Residency {
    config: ResidencyConfig,
    began: Instant,
    here: Mutex<Here>,
    /// How many were sent away.
    evicted: Counter,
    /// Tells the keeper that there is something to keep, or that all is over.
    changed: Condvar,
    /// Leave to read and link a component.
    pub(super) loads: Semaphore,
    /// Leave to compile one: a single compilation takes every core, and memory by the gigabyte.
    heavy: Semaphore,
    /// The same for one that takes no more than seconds, so that it need not wait for minutes.
    light: Semaphore,
    /// Leave to compile one that answers already.
    pub(super) followers: Semaphore,
}

#[derive(Default)]
struct Here {
    entries: Vec<Entry>,
    bytes: u64,
    ended: bool,
}

struct Entry {
    host: Weak<ComponentHost>,
    bytes: u64,
    owner: Share,
}

/// What tenants have of the room, and what is their part of it by weight among those that have any.
struct Parts {
    by_owner: HashMap<Share, Left>,
    weights: u64,
    room: Left,
}

impl Parts {
    fn of(entries: &[Entry], room: Left) -> Self {
        let mut by_owner: HashMap<Share, Left> = HashMap::new();
        for entry in entries {
            let part = by_owner.entry(entry.owner).or_default();
            part.bytes += entry.bytes;
            part.count += 1;
        }
        let weights = by_owner.keys().map(Share::weight).sum();
        Self { by_owner, weights, room }
    }

    /// Whether a tenant has more than its part.
    fn is_beyond(&self, owner: Share) -> bool {
        let Some(has) = self.by_owner.get(&owner) else { return false };
        let is_more = |has: u64, room: u64| {
            u128::from(has) * u128::from(self.weights)
                > u128::from(room) * u128::from(owner.weight())
        };
        is_more(has.bytes, self.room.bytes) || is_more(has.count, self.room.count)
    }

    /// Notes that something of a tenant's left.
    fn less(&mut self, entry: &Entry) {
        if let Some(has) = self.by_owner.get_mut(&entry.owner) {
            has.bytes -= entry.bytes;
            has.count -= 1;
        }
    }
}

/// When a component was last asked for, in milliseconds since its residency began.
#[derive(Default)]
pub(super) struct LastUse(AtomicU64);

impl Residency {
    pub(super) fn new(config: ResidencyConfig) -> Arc<Self> {
        Arc::new(Self {
            config,
            began: Instant::now(),
            here: Mutex::default(),
            evicted: Counter::new(),
            changed: Condvar::new(),
            loads: Semaphore::new(LOADS),
            heavy: Semaphore::new(1),
            light: Semaphore::new(1),
            followers: Semaphore::new(1),
        })
    }

    /// Where a component of this weight waits for its turn to be compiled.
    pub(super) fn compiles(&self, weight: Weight) -> &Semaphore {
        if weight.is_light() { &self.light } else { &self.heavy }
    }

    /// How long code has answered that stands in for better code of its component's own before that is made.
    pub(super) fn stand_in(&self) -> Duration {
        self.config.stand_in
    }

    /// Notes that a component is used, as of `now`.
    pub(super) fn touch(&self, last_use: &LastUse, now: Instant) {
        let now = self.since_began(now);
        // Cores that serve the same component would otherwise take the line from each other.
        if last_use.0.load(Relaxed) != now {
            last_use.0.store(now, Relaxed);
        }
    }

    fn since_began(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.began);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Adds samples to families.
    pub(super) fn collect(&self, families: &mut Families) {
        let (count, bytes) = {
            let here = self.lock();
            (here.entries.len() as u64, here.bytes)
        };
        families.add(&metrics::RESIDENT_COMPONENTS, &[], Value::Integer(count));
        families.add(&metrics::RESIDENT, &[], Value::Integer(bytes));
        families.add(&metrics::EVICTIONS, &[], Value::Integer(self.evicted.get()));
    }

    /// Adds a component that was just loaded, and sends others away if they are too many now.
    pub(super) fn add(&self, host: &Arc<ComponentHost>, bytes: u64) {
        let mut here = self.lock();
        let owner = host.share();
        here.entries.push(Entry { host: Arc::downgrade(host), bytes, owner });
        here.bytes += bytes;
        if here.entries.len() == 1 {
            self.changed.notify_all();
        }
        let over = here.bytes > self.config.bytes || here.entries.len() > self.config.count;
        let gone = if over { self.make_room(&mut here, host) } else { Vec::new() };
        drop(here);
        // Unmapping takes time, which the others need not wait for.
        drop(gone);
    }

    /// Notes that a component takes more or less than it did.
    pub(super) fn resize(&self, host: &Arc<ComponentHost>, bytes: u64) {
        let host = Arc::as_ptr(host);
        let here = &mut *self.lock();
        if let Some(entry) = here.entries.iter_mut().find(|entry| entry.host.as_ptr() == host) {
            here.bytes = here.bytes - entry.bytes + bytes;
            entry.bytes = bytes;
        }
    }

    /// Sends components away for good: nobody can ask for them any more.
    pub(super) fn remove(&self, hosts: &[Arc<ComponentHost>]) {
        let gone_for_good: HashSet<_> = hosts.iter().map(Arc::as_ptr).collect();
        let mut gone = Vec::new();
        self.lock().retain(|_, entry| {
            let is_meant = gone_for_good.contains(&entry.host.as_ptr());
            if is_meant {
                entry.leaves(&mut gone);
            }
            !is_meant
        });
        // Unmapping takes time, which the others need not wait for.
        drop(gone);
    }

    /// Sends away those that were used least lately, some more than needed: finding them looks at
    /// all. First it is those of tenants that have more than their part.
    fn make_room(&self, here: &mut Here, newest: &Arc<ComponentHost>) -> Vec<Arc<Resident>> {
        let few = |most: u64| most - most / 16;
        let room = Left { bytes: few(self.config.bytes), count: few(self.config.count as u64) };
        let newest = Arc::as_ptr(newest);
        here.entries.sort_by_cached_key(|entry| entry.last_use());
        let mut gone = Vec::new();
        let mut parts = Parts::of(&here.entries, room);
        for anybodys in [false, true] {
            here.retain(|left, entry| {
                let fits = left.bytes <= room.bytes && left.count <= room.count;
                let is_spared = || !anybodys && !parts.is_beyond(entry.owner);
                if fits || entry.host.as_ptr() == newest || is_spared() || !entry.leaves(&mut gone)
                {
                    return true;
                }
                parts.less(entry);
                false
            });
        }
        self.evicted.add(gone.len() as u64);
        tracing::debug!(
            components = gone.len(),
            resident = here.entries.len(),
            bytes = here.bytes,
            "sent away to make room"
        );
        gone
    }

    /// Sends away those that nobody asks for, until [`Self::end`]. It blocks: it has a thread of its
    /// own, which sleeps while nothing is resident.
    pub(super) fn keep(&self) {
        let pause = (self.config.idle / 8).clamp(Duration::from_millis(50), Duration::from_mins(1));
        let mut here = self.lock();
        while !here.ended {
            here = if here.entries.is_empty() {
                self.changed.wait(here).unwrap_or_else(PoisonError::into_inner)
            } else {
                let waited = self.changed.wait_timeout(here, pause);
                waited.unwrap_or_else(PoisonError::into_inner).0
            };
            let gone = self.remove_idle(&mut here);
            if !gone.is_empty() {
                drop(here);
                self.evicted.add(gone.len() as u64);
                tracing::debug!(components = gone.len(), "sent away after idling");
                drop(gone);
                here = self.lock();
            }
        }
    }

    fn remove_idle(&self, here: &mut Here) -> Vec<Arc<Resident>> {
        let idle = u64::try_from(self.config.idle.as_millis()).unwrap_or(u64::MAX);
        let now = self.since_began(Instant::now());
        let mut gone = Vec::new();
        here.retain(|_, entry| {
            now.saturating_sub(entry.last_use()) < idle || !entry.leaves(&mut gone)
        });
        gone
    }

    /// Lets the keeper end.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is left while some are sent away.
#[derive(Clone, Copy, Default)]
struct Left {
    bytes: u64,
    count: u64,
}

impl Here {
    /// Keeps the entries that `stays` says, and tells it how much is left so far.
    fn retain(&mut self, mut stays: impl FnMut(Left, &Entry) -> bool) {
        let mut left = Left { bytes: self.bytes, count: self.entries.len() as u64 };
        self.entries.retain(|entry| {
            let stays = stays(left, entry);
            if !stays {
                left.bytes -= entry.bytes;
                left.count -= 1;
            }
            stays
        });
        self.bytes = left.bytes;
    }
}

/// What came of sending a component away.
pub(super) enum Evicted {
    /// A request runs in it.
    InUse,
    /// It was no longer there.
    Already,
    /// It is gone once this is dropped.
    Now(Arc<Resident>),
}

impl Entry {
    fn last_use(&self) -> u64 {
        self.host.upgrade().map_or(0, |host| host.last_use().0.load(Relaxed))
    }

    /// Sends the component away, if no request runs in it; it is gone once what is put into `gone`
    /// is dropped.
    fn leaves(&self, gone: &mut Vec<Arc<Resident>>) -> bool {
        match self.host.upgrade().map_or(Evicted::Already, |host| host.evict()) {
            Evicted::InUse => return false,
            Evicted::Already => {}
            Evicted::Now(resident) => gone.push(resident),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use dayfly_capabilities::Account;

    use super::*;

    #[test]
    fn who_has_more_than_its_part_is_beyond_it() {
        let accounts = [(); 2].map(|()| Account::unbounded("a"));
        let [many, few] = accounts.each_ref().map(Share::of);
        let entry = |bytes, owner| Entry { host: Weak::new(), bytes, owner };
        let mut entries: Vec<_> = (0..9).map(|_| entry(10, many)).collect();
        entries.push(entry(10, few));
        let mut parts = Parts::of(&entries, Left { bytes: 80, count: 100 });
        assert!(parts.is_beyond(many) && !parts.is_beyond(few));
        for _ in 0..5 {
            parts.less(&entries[0]);
        }
        assert!(!parts.is_beyond(many), "half of it is its part");
        let parts = Parts::of(&entries, Left { bytes: 1000, count: 4 });
        assert!(parts.is_beyond(many) && !parts.is_beyond(few));
        assert!(Parts::of(&entries[..9], Left { bytes: 80, count: 9 }).is_beyond(many), "alone");
    }
}
