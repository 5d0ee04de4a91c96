//! What the node's apps use: counted where guests run, and written down every few seconds. A node that
//! is killed loses what came since.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{Ordering::Acquire, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dayfly_host::Shutdown;
use dayfly_model::platform::{Activation, ReleaseId, Usage};
use dayfly_store::{StoreError, UsageBook, UsageKey};
use dayfly_telemetry::UsageCounters;

/// How often it is written down.
const PACE: Duration = Duration::from_secs(2);

/// How often what is too old is removed.
const PRUNE: Duration = Duration::from_secs(3600);

/// What is counted, by whose it is.
#[derive(Default)]
pub(super) struct Counting {
    all: Mutex<BTreeMap<UsageKey, Arc<UsageCounters>>>,
    /// What tenants' own processes have counted, by their numbers, until it is taken.
    told: Mutex<BTreeMap<u64, BTreeMap<UsageKey, Usage>>>,
}

/// How many records of a tenant's own process wait at most.
const MOST_TOLD: usize = 10_000;

/// Where it is written down.
pub(super) trait Ledger: Send {
    /// Writes what was used.
    ///
    /// # Errors
    /// If it cannot; then nothing is written.
    fn add(&mut self, used: &BTreeMap<UsageKey, Usage>) -> anyhow::Result<()>;

    /// Removes what is too old.
    ///
    /// # Errors
    /// If it cannot.
    fn prune(&mut self) -> anyhow::Result<()>;
}

/// The platform's book.
pub(super) struct Book {
    /// The platform's folder.
    folder: PathBuf,
    book: Option<UsageBook>,
}

/// Writes down what is counted.
pub(super) struct Recorder {
    counting: Arc<Counting>,
    ledger: Box<dyn Ledger>,
    /// What is not written yet.
    waiting: BTreeMap<UsageKey, Usage>,
    /// Whether it was said that it cannot be.
    failed: bool,
}

impl Counting {
    /// Where a component of a release is counted; without a component, requests that none gets.
    pub(super) fn of(
        &self,
        activation: &Activation,
        release: &ReleaseId,
        component: &str,
    ) -> Arc<UsageCounters> {
        let key = UsageKey {
            tenant: activation.tenant_number,
            app: activation.app.app.to_string(),
            release: release.to_string(),
            component: component.to_owned(),
        };
        self.lock().entry(key).or_default().clone()
    }

    /// Adds what another process has counted; whether there was room for it.
    pub(super) fn tell(&self, key: UsageKey, usage: &Usage) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let told = told.entry(key.tenant).or_default();
        let has_room = told.len() < MOST_TOLD || told.contains_key(&key);
        if has_room {
            told.entry(key).or_default().add(usage);
        }
        has_room
    }

    /// Adds what came since this was last asked to `used`.
    fn take(&self, used: &mut BTreeMap<UsageKey, Usage>) {
        let told = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
        for (key, usage) in told.into_values().flatten() {
            used.entry(key).or_default().add(&usage);
        }
        self.lock().retain(|key, counters| {
            // Nobody but this has those of a release that has gone: nothing comes any more.
            let is_left = Arc::strong_count(counters) == 1;
            fence(Acquire);
            let usage = counters.take();
            if !usage.is_nothing() {
                used.entry(key.clone()).or_default().add(&usage);
            }
            !is_left
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<UsageKey, Arc<UsageCounters>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder {
    pub(super) fn new(counting: &Arc<Counting>, ledger: Box<dyn Ledger>) -> Self {
        Self { counting: counting.clone(), ledger, waiting: BTreeMap::new(), failed: false }
    }

    /// Writes again and again, until the end is asked for.
    pub(super) fn follow(&mut self, shutdown: &Shutdown) {
        let mut pruned = None::<Instant>;
        while !shutdown.is_started_within(PACE) {
            self.write();
            if pruned.is_none_or(|pruned| pruned.elapsed() >= PRUNE) {
                if let Err(error) = self.ledger.prune() {
                    tracing::warn!("usage that is too old cannot be removed: {error:#}");
                }
                pruned = Some(Instant::now());
            }
        }
    }

    /// Writes what has come since. What cannot be written is written with what comes next.
    pub(super) fn write(&mut self) {
        self.counting.take(&mut self.waiting);
        if self.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        match self.ledger.add(&waiting) {
            Ok(()) => self.failed = false,
            Err(error) if !self.failed => {
                self.waiting = waiting;
                self.failed = true;
                tracing::error!("usage cannot be written, and waits: {error:#}");
            }
            Err(_) => self.waiting = waiting,
        }
    }
}

impl Book {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), book: None }
    }

    /// The book, which is opened if it is not open: guests are served although it cannot be.
    fn open(&mut self) -> Result<&mut UsageBook, StoreError> {
        match &mut self.book {
            Some(book) => Ok(book),
            none => Ok(none.insert(UsageBook::open(&self.folder)?)),
        }
    }
}

impl Ledger for Book {
    fn add(&mut self, used: &BTreeMap<UsageKey, Usage>) -> anyhow::Result<()> {
        Ok(self.open()?.add(used, now())?)
    }

    fn prune(&mut self) -> anyhow::Result<()> {
        self.open()?.prune(now())?;
        Ok(())
    }
}

/// The time, in seconds since 1970.
fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dayfly_telemetry::Status;

    #[test]
    fn a_process_that_tells_much_leaves_others_their_room() {
        let counting = Counting::default();
        let key = |tenant, number: usize| UsageKey {
            tenant,
            app: "shop".to_owned(),
            release: number.to_string(),
            component: String::new(),
        };
        let usage = Usage { events: 1, ..Usage::default() };
        assert!((0..MOST_TOLD).all(|number| counting.tell(key(1, number), &usage)));
        assert!(!counting.tell(key(1, MOST_TOLD), &usage));
        assert!(counting.tell(key(1, 0), &usage) && counting.tell(key(2, 0), &usage));
        let mut used = BTreeMap::new();
        counting.take(&mut used);
        assert_eq!((used.len(), used[&key(1, 0)].events), (MOST_TOLD + 1, 2));
        assert!(counting.tell(key(1, MOST_TOLD), &usage));
    }

    #[test]
    fn what_a_release_used_that_has_gone_is_taken_once_and_forgotten() {
        let counting = Counting::default();
        let key = UsageKey {
            tenant: 1,
            app: "shop".to_owned(),
            release: "one".to_owned(),
            component: String::new(),
        };
        let counters = counting.lock().entry(key.clone()).or_default().clone();
        counters.request(Status::Success, None, Duration::from_micros(1));
        let mut used = BTreeMap::new();
        counting.take(&mut used);
        assert_eq!((used[&key].requests[1], counting.lock().len()), (1, 1));
        counters.request(Status::Success, None, Duration::from_micros(1));
        drop(counters);
        counting.take(&mut used);
        assert_eq!((used[&key].requests[1], counting.lock().len()), (2, 0));
    }
}
