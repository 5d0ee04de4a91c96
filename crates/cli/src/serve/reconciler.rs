//! Brings what the node serves to what is active in the store, again and again. What cannot be served
//! leaves the former release serving, and why is noted in the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dayfly_host::{AppKey, Plane, Shutdown};
use dayfly_model::RuntimeConfig;
use dayfly_model::platform::{
    AppId, ArtifactStore as _, Generation, ReleaseStore as _, StoreFailure,
};
use dayfly_store::Store;

use super::release;
use crate::report;

/// How often it looks.
const PACE: Duration = Duration::from_millis(100);

/// When something that could not be served is tried again, though nothing changed: a file may have
/// come since, or a server that it needs.
const RETRY: Duration = Duration::from_secs(30);

/// Follows a store.
pub(super) struct Reconciler {
    store: Arc<Store>,
    plane: Plane,
    base_domain: String,
    surroundings: RuntimeConfig,
    seen: Option<Generation>,
    served: BTreeMap<AppId, State>,
}

/// What the node did with an app.
struct State {
    generation: Generation,
    /// When it is tried again, if it could not be served.
    retry: Option<Instant>,
}

impl Reconciler {
    pub(super) fn new(
        store: Arc<Store>,
        plane: Plane,
        base_domain: String,
        surroundings: RuntimeConfig,
    ) -> Self {
        Self { store, plane, base_domain, surroundings, seen: None, served: BTreeMap::new() }
    }

    /// Looks again and again, until the end is asked for.
    pub(super) fn follow(&mut self, shutdown: &Shutdown) {
        while !shutdown.is_started() {
            thread::sleep(PACE);
            self.look();
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
        for (app, generation) in stamps {
            let is_done = |state: &State| state.generation == generation && !is_due(state);
            if !self.served.get(&app).is_some_and(is_done) {
                self.bring(&app)?;
            }
        }
        self.seen = Some(generation);
        Ok(())
    }

    fn bring(&mut self, app: &AppId) -> Result<(), StoreFailure> {
        let Some(activation) = self.store.activation(app)? else { return Ok(()) };
        let generation = activation.generation;
        let served = self.put(&activation);
        let text = served.as_ref().err().map(report::text);
        if let Some(text) = &text {
            tracing::warn!(app = %app, "a release cannot be served: {text}");
        }
        self.store.note(app, generation, text.as_deref().map_or(Ok(()), Err))?;
        let retry = text.is_some().then(|| Instant::now() + RETRY);
        self.served.insert(app.clone(), State { generation, retry });
        Ok(())
    }

    fn put(&self, activation: &dayfly_model::platform::Activation) -> anyhow::Result<()> {
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
            },
        )?;
        self.plane.put(&key, rollout).map_err(crate::report::hinted)?;
        Ok(())
    }

    fn remove(&mut self, app: &AppId) {
        match self.plane.remove(&key(app)) {
            Ok(_) => drop(self.served.remove(app)),
            Err(error) => tracing::warn!(app = %app, %error, "an app could not be taken away"),
        }
    }
}

fn key(app: &AppId) -> AppKey {
    AppKey::new(app.tenant.as_str(), app.app.as_str())
}
