//! Brings what the node serves to what is active in the store, again and again. What cannot be served
//! leaves the former release serving, and why is noted in the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dayfly_capabilities::Account;
use dayfly_host::{ActivateError, AppKey, Plane, Shutdown};
use dayfly_model::RuntimeConfig;
use dayfly_model::platform::{
    Activation, AppId, ArtifactStore as _, Generation, ReleaseStore as _, StoreFailure,
};
use dayfly_store::Store;

use super::accounts::Accounts;
use super::log::Logs;
use super::release;
use super::usage::Counting;
use crate::report;

/// How often it looks.
const PACE: Duration = Duration::from_millis(100);

/// When something that could not be served is tried again, though nothing changed: a file may have
/// come since, or a server that it needs.
const RETRY: Duration = Duration::from_secs(30);

/// The same, where it was the store that failed.
const AGAIN: Duration = Duration::from_secs(5);

/// Follows a store.
pub(super) struct Reconciler {
    store: Arc<Store>,
    plane: Plane,
    base_domain: String,
    surroundings: RuntimeConfig,
    logs: Logs,
    counting: Arc<Counting>,
    accounts: Arc<Accounts>,
    seen: Option<Generation>,
    served: BTreeMap<AppId, State>,
}

/// What the node did with an app.
struct State {
    generation: Generation,
    /// The [number](Activation::number) of the app that is served, or was to be; nothing where the
    /// store never said.
    number: Option<u64>,
    /// When it is tried again, if it could not be served.
    retry: Option<Instant>,
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
        base_domain: String,
        surroundings: RuntimeConfig,
        counting: Arc<Counting>,
    ) -> Self {
        Self {
            store,
            plane,
            base_domain,
            surroundings,
            logs: Logs::default(),
            counting,
            accounts: Arc::new(Accounts::new()),
            seen: None,
            served: BTreeMap::new(),
        }
    }

    /// The accounts of the tenants whose apps are served.
    pub(super) fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    /// Looks again and again, until the end is asked for.
    pub(super) fn follow(&mut self, shutdown: &Shutdown) {
        while !shutdown.is_started() {
            thread::sleep(PACE);
            self.look();
            self.accounts.keep_in_time(&*self.store);
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
        let generation = self.store.generation()?;
        let now = Instant::now();
        let is_due = |state: &State| state.retry.is_some_and(|retry| retry <= now);
        if self.seen == Some(generation) && !self.served.values().any(is_due) {
            return Ok(());
        }
        let stamps = self.store.stamps()?;
        let gone: Vec<_> =
            self.served.keys().filter(|app| !stamps.contains_key(app)).cloned().collect();
        for app in gone {
            self.remove(&app);
        }
        let mut waiting = Vec::new();
        for (app, generation) in stamps {
            let is_done = |state: &State| state.generation == generation && !is_due(state);
            if !self.served.get(&app).is_some_and(is_done) {
                waiting.extend(self.bring(&app, generation));
            }
        }
        // Whoever had their hosts may have given them up since.
        for activation in waiting {
            let served = self.put(&activation);
            self.settle(&activation, served);
        }
        self.seen = Some(generation);
        Ok(())
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
                self.served.insert(app.clone(), State { generation, number, retry });
                return None;
            }
        };
        if let Err(error) = self.account(&activation) {
            let error = anyhow::Error::from(error);
            tracing::warn!(app = %app, "what a tenant has taken cannot be read: {error:#}");
            self.served.insert(app.clone(), State { generation, number, retry });
            return None;
        }
        // One of the same name that was made since has nothing of the former one's.
        if number.is_some_and(|number| number != activation.number) && !self.remove(app) {
            self.served.insert(app.clone(), State { generation, number, retry });
            return None;
        }
        match self.put(&activation) {
            Err(Unserved { is_host_taken: true, .. }) => Some(activation),
            served => {
                self.settle(&activation, served);
                None
            }
        }
    }

    /// Remembers and notes what became of an activation.
    fn settle(&mut self, activation: &Activation, served: Result<(), Unserved>) {
        let Activation { app, generation, .. } = activation;
        let text = served.err().map(|unserved| report::text(&unserved.error));
        let retry = text.is_some().then(|| Instant::now() + RETRY);
        let number = Some(activation.number);
        self.served.insert(app.clone(), State { generation: *generation, number, retry });
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

    /// Serves an app no longer; whether that could be done.
    fn remove(&mut self, app: &AppId) -> bool {
        let removed = self.plane.remove(&key(app));
        match &removed {
            Ok(_) => {
                if let Some(number) = self.served.remove(app).and_then(|state| state.number) {
                    let folder = self.store.state_folder(number);
                    self.accounts.forget_app(&app.tenant, &folder);
                }
                if !self.served.keys().any(|other| other.tenant == app.tenant) {
                    self.accounts.forget(&app.tenant, &*self.store);
                }
            }
            Err(error) => tracing::warn!(app = %app, %error, "an app could not be taken away"),
        }
        removed.is_ok()
    }
}

fn key(app: &AppId) -> AppKey {
    AppKey::new(app.tenant.as_str(), app.app.as_str())
}
