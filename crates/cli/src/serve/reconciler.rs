//! Brings what the node serves to what is active in the store, again and again. What cannot be served
//! leaves the former release serving, and why is noted in the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use dayfly_capabilities::Account;
use dayfly_host::{ActivateError, AppKey, Certificates, Plane, Shutdown};
use dayfly_model::RuntimeConfig;
use dayfly_model::platform::{
    Activation, AppId, ArtifactStore as _, Generation, ReleaseStore as _, StoreFailure,
};
use dayfly_store::Store;

use super::accounts::Accounts;
use super::certificates::Certifying;
use super::log::Logs;
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

/// Follows a store.
pub(super) struct Reconciler {
    store: Arc<Store>,
    putting: Arc<Putting>,
    certifying: Certifying,
    /// What takes its time on other threads, because releases are looked at first.
    probing: BTreeMap<AppId, Probing>,
    seen: Option<Generation>,
    /// Whether all was brought to the node once: before that, nobody waits for it to be looked at.
    has_looked: bool,
    served: BTreeMap<AppId, State>,
}

/// How many apps' releases are looked at at once; those of others wait.
const PROBING: usize = 16;

/// Something that is brought to the node on a thread of its own.
type Probing = (Activation, JoinHandle<Result<(), Unserved>>);

/// Brings activations to the node.
struct Putting {
    store: Arc<Store>,
    plane: Plane,
    base_domain: String,
    surroundings: RuntimeConfig,
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
}

/// What the node did with an app.
struct State {
    generation: Generation,
    /// The [number](Activation::number) of the app that is served, or was to be; nothing where the
    /// store never said.
    number: Option<u64>,
    /// When it is tried again, if it could not be served.
    retry: Option<Instant>,
    /// How often this generation could not be.
    failures: u32,
}

impl State {
    /// What was not served yet.
    const fn unserved(generation: Generation, number: Option<u64>, retry: Option<Instant>) -> Self {
        Self { generation, number, retry, failures: 0 }
    }
}

/// The pause after so many failures.
fn pause(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    RETRY.saturating_mul(doubled).min(LONGEST_RETRY)
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
        store: Arc<Store>,
        plane: Plane,
        around: Around,
        certificates: Option<Certificates>,
    ) -> Self {
        let challenges = plane.challenges().clone();
        let certifying = Certifying::new(store.clone(), certificates, challenges);
        let Around { base_domain, surroundings, counting } = around;
        let (logs, accounts) = (Logs::default(), Arc::new(Accounts::new()));
        let putting = Putting {
            store: store.clone(),
            plane,
            base_domain,
            surroundings,
            logs,
            counting,
            accounts,
        };
        Self {
            store,
            putting: Arc::new(putting),
            certifying,
            probing: BTreeMap::new(),
            seen: None,
            has_looked: false,
            served: BTreeMap::new(),
        }
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

    /// Looks once.
    pub(super) fn look(&mut self) {
        if let Err(error) = self.try_look() {
            let error = anyhow::Error::from(error);
            // What is served goes on.
            tracing::warn!("the platform's store cannot be read: {error:#}");
        }
    }

    fn try_look(&mut self) -> Result<(), StoreFailure> {
        self.probed();
        let generation = self.store.generation()?;
        let now = Instant::now();
        let is_due = |state: &State| state.retry.is_some_and(|retry| retry <= now);
        if self.seen == Some(generation) && !self.served.values().any(is_due) {
            return Ok(());
        }
        let certified = self.certifying.look();
        let stamps = self.store.stamps()?;
        let gone = self.served.keys().filter(|app| !stamps.contains_key(app)).cloned();
        let (busy, gone): (Vec<_>, Vec<_>) = gone.partition(|app| self.probing.contains_key(app));
        for app in gone {
            self.remove(&app);
        }
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
            let served = self.putting.put(&activation);
            self.settle(&activation, served);
        }
        // If they could not be read, all is looked at once more.
        certified?;
        self.seen = Some(generation).filter(|_| is_whole);
        self.has_looked = true;
        Ok(())
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
        let Activation { app, generation, number, .. } = &activation;
        let (app, number) = (app.clone(), Some(*number));
        let failures = self.failures(&app, *generation);
        let mut state = State { failures, ..State::unserved(*generation, number, None) };
        let putting = (self.putting.clone(), activation.clone());
        let started = match self.probing.len() < PROBING {
            true => thread::Builder::new()
                .name("probe".to_owned())
                .spawn(move || putting.0.put(&putting.1))
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
        let number = self.served.get(app).and_then(|state| state.number);
        let retry = Some(Instant::now() + AGAIN);
        let activation = match self.store.activation(app) {
            Ok(activation) => activation?,
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::warn!(app = %app, "what is active of an app cannot be read: {error:#}");
                self.served.insert(app.clone(), State::unserved(generation, number, retry));
                return None;
            }
        };
        if let Err(error) = self.putting.account(&activation) {
            let error = anyhow::Error::from(error);
            tracing::warn!(app = %app, "what a tenant has taken cannot be read: {error:#}");
            self.served.insert(app.clone(), State::unserved(generation, number, retry));
            return None;
        }
        // One of the same name that was made since has nothing of the former one's.
        if number.is_some_and(|number| number != activation.number) && !self.remove(app) {
            self.served.insert(app.clone(), State::unserved(generation, number, retry));
            return None;
        }
        if self.has_looked && activation.shares.iter().any(|share| share.health_path.is_some()) {
            self.probe(activation);
            return None;
        }
        match self.putting.put(&activation) {
            Err(Unserved { is_host_taken: true, .. }) => Some(activation),
            served => {
                self.settle(&activation, served);
                None
            }
        }
    }

    /// How often a generation of an app could not be served.
    fn failures(&self, app: &AppId, generation: Generation) -> u32 {
        let state = self.served.get(app).filter(|state| state.generation == generation);
        state.map_or(0, |state| state.failures)
    }

    /// Remembers and notes what became of an activation.
    fn settle(&mut self, activation: &Activation, served: Result<(), Unserved>) {
        let Activation { app, generation, .. } = activation;
        let text = served.err().map(|unserved| report::text(&unserved.error));
        let failures = text.as_ref().map_or(0, |_| self.failures(app, *generation) + 1);
        let retry = text.is_some().then(|| Instant::now() + pause(failures));
        let state = State::unserved(*generation, Some(activation.number), retry);
        self.served.insert(app.clone(), State { failures, ..state });
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
        let state = (self.store.state_folder(activation.number), "state");
        let platform = (self.store.folder().to_owned(), "platform");
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
                if let Some(number) = self.served.remove(app).and_then(|state| state.number) {
                    let folder = self.store.state_folder(number);
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
        let folder = self.store.state_folder(activation.number);
        self.accounts.of(activation, folder, &*self.store)
    }

    fn put(&self, activation: &Activation) -> Result<(), Unserved> {
        let key = key(&activation.app);
        let there = self.plane.apps().into_iter().find(|(app, _)| *app == key);
        let there = there.map(|(_, ids)| ids).unwrap_or_default();
        let former = self.plane.backends(&key);
        let hosts = std::iter::once(activation.app.host(&self.base_domain))
            .chain(activation.domains.iter().map(ToString::to_string));
        let rollout = release::rollout(
            activation,
            hosts.collect(),
            release::Around {
                folder: &|id| self.store.release_folder(id),
                state: self.store.state_folder(activation.number),
                there: &there,
                former: former.as_deref(),
                config: &self.surroundings,
                logs: &self.logs,
                counting: &self.counting,
                account: self.account(activation).map_err(anyhow::Error::from)?,
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
}
