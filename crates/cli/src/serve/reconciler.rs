//! Brings what the node serves to what is active in the store, again and again. What cannot be served
//! leaves the former release serving, and why is noted in the store.

mod owns;
mod putting;
mod settling;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dayfly_host::{Plane, Shutdown};
use dayfly_model::RuntimeConfig;
use dayfly_model::platform::{
    Activation, AppId, ArtifactStore, Generation, ReleaseStore, StoreFailure, UsedStore,
};
use dayfly_store::Store;

use super::accounts::Accounts;
use super::certificates::Certifying;
use super::ear::{Ear, PACE};
use super::log::Logs;
use super::own::Owns;
use super::release::Making;
use super::usage::Counting;
use putting::{Putting, Unserved};
use state::{AGAIN, State, is_looked_at};

/// The pause after a look, as a multiple of what that took, up to the usual pace.
const REST: u32 = 3;

/// What a reconciler reads, and notes.
pub(super) trait Kept: ReleaseStore + ArtifactStore + UsedStore {}

impl<T: ReleaseStore + ArtifactStore + UsedStore> Kept for T {}

/// What is for the node of the whole platform alone, and not for that of one tenant.
pub(super) struct Whole {
    pub(super) store: Arc<Store>,
    pub(super) certifying: Certifying,
    pub(super) owns: Arc<Owns>,
}

/// Follows a store.
pub(super) struct Reconciler {
    store: Arc<dyn Kept>,
    putting: Arc<Putting>,
    whole: Option<Whole>,
    /// The tenants whose processes there are to be, by their numbers.
    own: BTreeSet<u64>,
    /// What takes its time on other threads, because releases are looked at first.
    probing: BTreeMap<AppId, Probing>,
    seen: Option<Generation>,
    served: BTreeMap<AppId, State>,
}

/// Something that is brought to the node on a thread of its own.
type Probing = (Activation, JoinHandle<Result<(), Unserved>>);

/// What all apps of a platform have around them.
pub(super) struct Around {
    pub(super) base_domain: String,
    /// What the operator says of every app's surroundings.
    pub(super) surroundings: RuntimeConfig,
    /// Where what apps use is counted.
    pub(super) counting: Arc<Counting>,
    /// The platform's folder.
    pub(super) platform: PathBuf,
}

impl Reconciler {
    pub(super) fn new(
        store: Arc<dyn Kept>,
        plane: Plane,
        around: Around,
        whole: Option<Whole>,
    ) -> Self {
        let Around { base_domain, surroundings, counting, platform } = around;
        let (logs, accounts) = (Logs::default(), Arc::new(Accounts::new()));
        let putting = Putting {
            making: Arc::new(Making { store: store.clone(), config: surroundings, logs, counting }),
            owns: whole.as_ref().map(|whole| whole.owns.clone()),
            plane,
            base_domain,
            platform,
            accounts,
        };
        Self {
            store,
            putting: Arc::new(putting),
            whole,
            own: BTreeSet::new(),
            probing: BTreeMap::new(),
            seen: None,
            served: BTreeMap::new(),
        }
    }

    /// What it follows.
    pub(super) fn store(&self) -> &Arc<dyn Kept> {
        &self.store
    }

    /// The accounts of the tenants whose apps are served.
    pub(super) fn accounts(&self) -> &Arc<Accounts> {
        &self.putting.accounts
    }

    /// Looks again and again, until the end is asked for: whenever an ear has heard that there is something
    /// new, and from time to time.
    pub(super) fn follow(&mut self, ear: &Ear, shutdown: &Shutdown) {
        let mut next = Some(PACE);
        while !shutdown.is_started() {
            ear.listen(next, shutdown);
            let (before, began) = (self.seen, Instant::now());
            let is_read = self.look();
            // A look takes time that grows with the number of apps, and rings come as often as anybody
            // deploys: those that come meanwhile are one.
            let rest = (began.elapsed() * REST).min(PACE);
            // What was done has to be told, and what could not be done is tried again.
            let is_settled = is_read && before.is_some() && self.seen == before;
            next = if is_settled { self.next() } else { Some(PACE) };
            self.putting.accounts.keep_in_time(&*self.store);
            shutdown.is_started_within(rest);
        }
    }

    /// How long it is until something is to be tried again, or looked after.
    fn next(&self) -> Option<Duration> {
        if !self.probing.is_empty() {
            return Some(PACE);
        }
        let next = self.served.values().filter_map(|state| state.retry).min();
        next.map(|next| next.saturating_duration_since(Instant::now()))
    }

    /// Looks once; whether what is active could be read of every app that there is.
    pub(super) fn look(&mut self) -> bool {
        let looked = self.try_look().map_err(anyhow::Error::from);
        if let Err(error) = &looked {
            // What is served goes on.
            tracing::warn!("the platform's store cannot be read: {error:#}");
        }
        looked.is_ok() && self.served.values().all(|state| state.number.is_some())
    }

    fn try_look(&mut self) -> Result<(), StoreFailure> {
        self.probed();
        let generation = self.store.generation()?;
        let now = Instant::now();
        self.look_at_moved(now);
        let is_due = |state: &State| state.retry.is_some_and(|retry| retry <= now);
        if self.seen == Some(generation) && !self.served.values().any(is_due) {
            return Ok(());
        }
        let certified = self.whole.as_mut().map_or(Ok(()), |whole| whole.certifying.look());
        self.look_at_own()?;
        let stamps = self.store.stamps()?;
        let gone = self.served.keys().filter(|app| !stamps.contains_key(app)).cloned();
        let (busy, gone): (Vec<_>, Vec<_>) = gone.partition(|app| self.probing.contains_key(app));
        for app in gone {
            self.remove(&app);
        }
        // Before the first look is over nobody is served.
        let plane = self.putting.plane.clone();
        let _together = (self.seen.is_none() && self.served.is_empty()).then(|| plane.together());
        // What is looked at changes when that is over.
        let (mut waiting, mut is_whole) = (Vec::new(), busy.is_empty());
        for (app, generation) in stamps {
            let is_done = |state: &State| state.generation == generation && !is_due(state);
            if self.probing.contains_key(&app) {
                is_whole = false;
            } else if !self.served.get(&app).is_some_and(is_done) {
                waiting.extend(self.bring(&app, generation));
            }
        }
        // Whoever had their hosts may have given them up since.
        for activation in waiting {
            if self.is_away(&activation) {
                self.refer(activation, true);
                continue;
            }
            let served = self.putting.put(&activation, false);
            self.settle_or_look(&activation, served);
        }
        // If they could not be read, all is looked at once more.
        certified?;
        self.seen = Some(generation).filter(|_| is_whole);
        self.tell_owns(generation);
        Ok(())
    }

    /// Serves what is active of an app; that, if it waits for a host that another app has. No failure
    /// keeps those behind it from being served.
    fn bring(&mut self, app: &AppId, generation: Generation) -> Option<Activation> {
        let former = self.served.get(app).cloned();
        let number = former.as_ref().and_then(|state| state.number);
        let retry = Some(Instant::now() + AGAIN);
        let failures = self.failures(app, generation);
        let unread = State { generation, retry, failures, ..former.unwrap_or_default() };
        let activation = match self.store.activation(app) {
            Ok(activation) => activation?,
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::warn!(app = %app, "what is active of an app cannot be read: {error:#}");
                self.served.insert(app.clone(), unread);
                return None;
            }
        };
        let is_away = self.is_away(&activation);
        if !is_away && let Err(error) = self.putting.account(&activation) {
            let error = anyhow::Error::from(error);
            tracing::warn!(app = %app, "what a tenant has taken cannot be read: {error:#}");
            self.served.insert(app.clone(), unread);
            return None;
        }
        // One of the same name that was made since has nothing of the former one's.
        if number.is_some_and(|number| number != activation.number) && !self.remove(app) {
            self.served.insert(app.clone(), unread);
            return None;
        }
        if is_away {
            return self.refer(activation, false);
        }
        if is_looked_at(&activation) && self.putting.plane.has_begun() {
            self.probe(activation);
            return None;
        }
        match self.putting.put(&activation, false) {
            Err(Unserved { is_host_taken: true, .. }) => Some(activation),
            served => {
                self.settle_or_look(&activation, served);
                None
            }
        }
    }
}
