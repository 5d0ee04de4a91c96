//! Brings what the node serves to what is active in the store, again and again. What cannot be served
//! leaves the former release serving, and why is noted in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use dayfly_capabilities::Account;
use dayfly_host::{ActivateError, AppKey, Plane, Shutdown};
use dayfly_model::RuntimeConfig;
use dayfly_model::platform::{
    Activation, AppId, ArtifactStore, Generation, Isolation, ReleaseStore, StoreFailure, TenantId,
    UsedStore,
};
use dayfly_store::Store;

use super::accounts::Accounts;
use super::certificates::Certifying;
use super::log::Logs;
use super::own::Owns;
use super::release;
use super::usage::Counting;
use crate::report;

/// How often it looks.
const PACE: Duration = Duration::from_millis(100);

/// When something that could not be served is tried again, though nothing changed: a file may have
/// come since, or a server that it needs. The pause doubles with each failure.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// The same, where it was the store that failed.
const AGAIN: Duration = Duration::from_secs(5);

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

/// How many apps' releases are looked at at once, and how many of one tenant's; others wait.
const PROBING: usize = 32;
const PROBING_EACH: usize = 4;

/// Something that is brought to the node on a thread of its own.
type Probing = (Activation, JoinHandle<Result<(), Unserved>>);

/// Brings activations to the node.
struct Putting {
    store: Arc<dyn Kept>,
    owns: Option<Arc<Owns>>,
    plane: Plane,
    base_domain: String,
    surroundings: RuntimeConfig,
    /// The platform's folder.
    platform: PathBuf,
    logs: Logs,
    counting: Arc<Counting>,
    accounts: Arc<Accounts>,
}

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

/// What the node did with an app.
#[derive(Clone, Default)]
struct State {
    generation: Generation,
    /// The app's tenant, by its number, if the store said.
    tenant: Option<u64>,
    /// Whether requests are led to the tenant's own process, and whether they are to be.
    is_away: bool,
    is_own: bool,
    /// The [number](Activation::number) of the app that is served, or was to be; nothing where the
    /// store never said.
    number: Option<u64>,
    /// When it is tried again, if it could not be served.
    retry: Option<Instant>,
    /// How often this generation could not be.
    failures: u32,
    /// Whether it is served and has yet to be looked at: it was active before the node began.
    is_unlooked: bool,
}

/// The pause after so many failures.
fn pause(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    RETRY.saturating_mul(doubled).min(LONGEST_RETRY)
}

/// Whether a release of an activation has to answer on a path first.
fn is_looked_at(activation: &Activation) -> bool {
    activation.shares.iter().any(|share| share.health_path.is_some())
}

/// Whether a release of one more of a tenant's apps may be looked at beside those.
fn has_place<'a>(looked_at: impl Iterator<Item = &'a AppId> + Clone, tenant: &TenantId) -> bool {
    let its = looked_at.clone().filter(|app| app.tenant == *tenant);
    looked_at.count() < PROBING && its.count() < PROBING_EACH
}

/// Why an app is not served as it is to be.
struct Unserved {
    error: anyhow::Error,
    /// Whether another app has one of its hosts.
    is_host_taken: bool,
}

impl From<anyhow::Error> for Unserved {
    fn from(error: anyhow::Error) -> Self {
        Self { error, is_host_taken: false }
    }
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
            store: store.clone(),
            owns: whole.as_ref().map(|whole| whole.owns.clone()),
            plane,
            base_domain,
            surroundings,
            platform,
            logs,
            counting,
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

    /// Looks again and again, until the end is asked for.
    pub(super) fn follow(&mut self, shutdown: &Shutdown) {
        while !shutdown.is_started() {
            thread::sleep(PACE);
            self.look();
            self.putting.accounts.keep_in_time(&*self.store);
        }
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

    /// Reads which tenants are to have processes.
    fn look_at_own(&mut self) -> Result<(), StoreFailure> {
        if let Some(Whole { store, owns, .. }) = &self.whole {
            self.own = store.own_process_tenants()?.into_iter().take(owns.most).collect();
        }
        Ok(())
    }

    /// Whether a tenant is among those; one that came to be since is looked for.
    fn has_room(&mut self, number: u64) -> bool {
        let has_room = |it: &Self| it.own.contains(&number);
        has_room(self) || self.look_at_own().is_ok_and(|()| has_room(self))
    }

    /// Has the apps of tenants looked at again whose processes came or went.
    fn look_at_moved(&mut self, now: Instant) {
        let Some(whole) = &self.whole else { return };
        let moved = whole.owns.moved();
        let is_moved = |state: &&mut State| state.tenant.is_some_and(|it| moved.contains(&it));
        self.served.values_mut().filter(is_moved).for_each(|state| state.retry = Some(now));
        if !moved.is_empty() {
            self.seen = None;
        }
    }

    /// Says which processes there are to be, and how far requests are led to them. One that its tenant's
    /// apps are still led to stays.
    fn tell_owns(&self, seen: Generation) {
        let Some(whole) = &self.whole else { return };
        let needs = |(_, state): &(&AppId, &State)| state.is_away || state.is_own;
        let named = |(app, state): (&AppId, &State)| Some((state.tenant?, app.tenant.clone()));
        let wanted = self.served.iter().filter(needs).filter_map(named).collect();
        whole.owns.want(wanted, |number| {
            let is_its = |state: &State| state.tenant == Some(number) && state.is_own;
            let here = self.served.iter().filter(|(_, state)| is_its(state) && !state.is_away);
            !here.into_iter().any(|(app, _)| self.putting.is_served(app))
        });
        whole.owns.seen(seen);
    }

    /// Settles what was looked at.
    fn probed(&mut self) {
        let done: Vec<_> =
            self.probing.extract_if(.., |_, (_, thread)| thread.is_finished()).collect();
        for (_, (activation, thread)) in done {
            let failed = |_| Err(anyhow!("the node failed to look at the release").into());
            let served = thread.join().unwrap_or_else(failed);
            self.settle(&activation, served);
        }
    }

    /// Brings an activation to the node on a thread of its own, while others are served.
    fn probe(&mut self, activation: Activation) {
        let app = activation.app.clone();
        let mut state = self.state(&activation);
        let is_unlooked = state.is_unlooked;
        let putting = (self.putting.clone(), activation.clone());
        let started = match has_place(self.probing.keys(), &app.tenant) {
            true => thread::Builder::new()
                .name("probe".to_owned())
                .spawn(move || putting.0.put(&putting.1, is_unlooked))
                .inspect_err(|error| tracing::warn!(%error, "a release cannot be looked at"))
                .ok(),
            false => None,
        };
        match started {
            Some(thread) => drop(self.probing.insert(app.clone(), (activation, thread))),
            None => state.retry = Some(Instant::now() + PACE),
        }
        self.served.insert(app, state);
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

    /// Settles what came of an activation, unless it has yet to be looked at: that is done as soon as the
    /// node has begun. Nothing is said of it until then.
    fn settle_or_look(&mut self, activation: &Activation, served: Result<(), Unserved>) {
        if served.is_err() || !is_looked_at(activation) {
            return self.settle(activation, served);
        }
        let retry = Some(Instant::now() + PACE);
        let state = self.state(activation);
        let state = State { is_away: false, is_unlooked: true, retry, ..state };
        self.served.insert(activation.app.clone(), state);
    }

    /// How often a generation of an app could not be served.
    fn failures(&self, app: &AppId, generation: Generation) -> u32 {
        let state = self.served.get(app).filter(|state| state.generation == generation);
        state.map_or(0, |state| state.failures)
    }

    /// Has the tenant's own process serve what is active of an app: as soon as that is there, or at once
    /// where the app is not served here. It notes what became of that. The activation, if it waits for a
    /// host that another app has.
    fn refer(&mut self, activation: Activation, is_last: bool) -> Option<Activation> {
        let (app, number) = (&activation.app, activation.tenant_number);
        if !self.has_room(number) {
            let text = "this platform has no room for one more process (`--own-processes`)";
            self.remove(app);
            self.settle(&activation, Err(anyhow!(text).into()));
            return None;
        }
        let mut state = self.state(&activation);
        let Some(owns) = &self.putting.owns else { return None };
        if self.putting.is_served(app) && !state.is_away && !owns.is_ready(number) {
            self.served.insert(app.clone(), state);
            return None;
        }
        let away = owns.away(number);
        match self.putting.plane.refer(&key(app), &self.putting.hosts(&activation), &away) {
            Ok(()) => {
                state.is_away = true;
                self.served.insert(app.clone(), state);
                None
            }
            Err(ActivateError::HostTaken(_)) if !is_last => Some(activation),
            Err(error) => {
                self.settle(&activation, Err(report::hinted(error).into()));
                None
            }
        }
    }

    /// Whether another process is to serve what is active of an app.
    fn is_away(&self, activation: &Activation) -> bool {
        self.whole.is_some() && activation.isolation == Isolation::OwnProcess
    }

    /// The state of an activation that is being brought to the node.
    fn state(&self, activation: &Activation) -> State {
        let former = self.served.get(&activation.app);
        State {
            generation: activation.generation,
            tenant: Some(activation.tenant_number),
            is_away: former.is_some_and(|state| state.is_away),
            is_own: activation.isolation == Isolation::OwnProcess
                && self.own.contains(&activation.tenant_number),
            number: Some(activation.number),
            retry: None,
            failures: self.failures(&activation.app, activation.generation),
            is_unlooked: former.is_some_and(|state| {
                state.is_unlooked && state.generation == activation.generation
            }),
        }
    }

    /// Remembers and notes what became of an activation.
    fn settle(&mut self, activation: &Activation, served: Result<(), Unserved>) {
        let Activation { app, generation, .. } = activation;
        let mut state = self.state(activation);
        // What cannot be served here is served where it was.
        state.is_away &= served.is_err();
        state.is_unlooked &= served.is_err();
        let text = served.err().map(|unserved| report::text(&unserved.error));
        state.failures = text.as_ref().map_or(0, |_| state.failures + 1);
        state.retry = text.is_some().then(|| Instant::now() + pause(state.failures));
        self.served.insert(app.clone(), state);
        if let Some(text) = &text {
            tracing::warn!(app = %app, "a release cannot be served: {text}");
        }
        let text = text.map(|text| self.hidden(activation, text));
        let noted = self.store.note(app, *generation, text.as_deref().map_or(Ok(()), Err));
        if let Err(error) = noted {
            let error = anyhow::Error::from(error);
            tracing::warn!(app = %app, "what became of a release cannot be noted: {error:#}");
            if let Some(state) = self.served.get_mut(app) {
                state.retry = Some(Instant::now() + AGAIN);
            }
        }
    }

    /// An error's text for the app's tenant, who learns nothing of where things lie here.
    fn hidden(&self, activation: &Activation, text: String) -> String {
        let releases = activation.shares.iter();
        let releases = releases.map(|share| (self.store.release_folder(&share.release), "."));
        let Activation { tenant_number, number, .. } = activation;
        let state = (self.store.state_folder(*tenant_number, *number), "state");
        let platform = (self.putting.platform.clone(), "platform");
        releases.chain([state, platform]).fold(text, |text, (place, word)| {
            // Some errors name it as it is found behind links.
            let text = match place.canonicalize() {
                Ok(real) => text.replace(&*real.to_string_lossy(), word),
                Err(_) => text,
            };
            text.replace(&*place.to_string_lossy(), word)
        })
    }

    /// Serves an app no longer; whether that could be done.
    fn remove(&mut self, app: &AppId) -> bool {
        let accounts = &self.putting.accounts;
        let removed = self.putting.plane.remove(&key(app));
        match &removed {
            Ok(_) => {
                let state = self.served.remove(app);
                if let Some((tenant, number)) = state.and_then(|it| it.tenant.zip(it.number)) {
                    let folder = self.store.state_folder(tenant, number);
                    accounts.forget_app(&app.tenant, &folder);
                }
                if !self.served.keys().any(|other| other.tenant == app.tenant) {
                    accounts.forget(&app.tenant, &*self.store);
                }
            }
            Err(error) => tracing::warn!(app = %app, %error, "an app could not be taken away"),
        }
        removed.is_ok()
    }
}

impl Putting {
    /// The account of an app's tenant, with the quotas that it has now.
    fn account(&self, activation: &Activation) -> Result<Arc<Account>, StoreFailure> {
        let folder = self.store.state_folder(activation.tenant_number, activation.number);
        self.accounts.of(activation, folder, &*self.store)
    }

    /// The hosts of an app.
    fn hosts(&self, activation: &Activation) -> Vec<String> {
        let own = std::iter::once(activation.app.host(&self.base_domain));
        own.chain(activation.domains.iter().map(ToString::to_string)).collect()
    }

    /// Whether a release of an app is served in this process.
    fn is_served(&self, app: &AppId) -> bool {
        let key = key(app);
        self.plane.releases(&key).is_some_and(|ids| !ids.is_empty())
    }

    /// Brings an activation to the node, which looks also at what it serves already if that was not
    /// looked at.
    fn put(&self, activation: &Activation, is_unlooked: bool) -> Result<(), Unserved> {
        let key = key(&activation.app);
        let there = self.plane.releases(&key).unwrap_or_default();
        let former = self.plane.backends(&key);
        let is_there = |owns: &Arc<Owns>| owns.is_there(activation.tenant_number);
        let rollout = release::rollout(
            activation,
            self.hosts(activation),
            release::Around {
                store: &self.store,
                folder: &|id| self.store.release_folder(id),
                state: self.store.state_folder(activation.tenant_number, activation.number),
                there: &there,
                former: former.as_deref(),
                config: &self.surroundings,
                logs: &self.logs,
                counting: &self.counting,
                account: self.account(activation).map_err(anyhow::Error::from)?,
                // The process that has them may not have ended yet.
                takes_events: !self.owns.as_ref().is_some_and(is_there),
                is_unlooked,
            },
        )?;
        let put = self.plane.put(&key, rollout);
        put.map(drop).map_err(|error| {
            let is_host_taken = matches!(error, ActivateError::HostTaken(_));
            Unserved { error: report::hinted(error), is_host_taken }
        })
    }
}

fn key(app: &AppId) -> AppKey {
    AppKey::new(app.tenant.as_str(), app.app.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<_> = [1, 2, 3, 5, 6, 40].map(|it| pause(it).as_secs()).into();
        assert_eq!(pauses, [1, 2, 4, 16, 30, 30]);
    }

    #[test]
    fn one_tenant_takes_no_more_than_a_few_places() {
        let app = |tenant: &str, number: usize| AppId {
            tenant: tenant.parse().unwrap(),
            app: format!("a{number}").parse().unwrap(),
        };
        let taken = |tenants: &[&str], each: usize| -> BTreeSet<AppId> {
            let of = |tenant: &&str| (0..each).map(|it| app(tenant, it)).collect::<Vec<_>>();
            tenants.iter().flat_map(of).collect()
        };
        let (acme, other) = (app("acme", 0).tenant, app("other", 0).tenant);
        let few = taken(&["acme"], PROBING_EACH - 1);
        assert!(has_place(few.iter(), &acme));
        let its = taken(&["acme"], PROBING_EACH);
        assert!(!has_place(its.iter(), &acme));
        assert!(has_place(its.iter(), &other));
        let many: Vec<_> = (0..PROBING).map(|it| format!("t{it}")).collect();
        let all = taken(&many.iter().map(|it| &**it).collect::<Vec<_>>(), 1);
        assert!(!has_place(all.iter(), &other));
    }
}
