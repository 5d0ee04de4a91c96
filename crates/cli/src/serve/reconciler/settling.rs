//! What becomes of an activation: it is looked at, remembered, and noted in the store.

use std::thread;
use std::time::Instant;

use anyhow::anyhow;
use dayfly_model::platform::{Activation, AppId, Generation, Isolation};

use super::Reconciler;
use super::putting::{Unserved, key};
use super::state::{AGAIN, State, has_place, is_looked_at, pause};
use crate::report;
use crate::serve::ear::PACE;

impl Reconciler {
    /// Settles what was looked at.
    pub(super) fn probed(&mut self) {
        let done: Vec<_> =
            self.probing.extract_if(.., |_, (_, thread)| thread.is_finished()).collect();
        for (_, (activation, thread)) in done {
            let failed = |_| Err(anyhow!("the node failed to look at the release").into());
            let served = thread.join().unwrap_or_else(failed);
            self.settle(&activation, served);
        }
    }

    /// Brings an activation to the node on a thread of its own, while others are served.
    pub(super) fn probe(&mut self, activation: Activation) {
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

    /// Settles what came of an activation, unless it has yet to be looked at: that is done as soon as the
    /// node has begun. Nothing is said of it until then.
    pub(super) fn settle_or_look(&mut self, activation: &Activation, served: Result<(), Unserved>) {
        if served.is_err() || !is_looked_at(activation) {
            return self.settle(activation, served);
        }
        let retry = Some(Instant::now() + PACE);
        let state = self.state(activation);
        let state = State { is_away: false, is_unlooked: true, retry, ..state };
        self.served.insert(activation.app.clone(), state);
    }

    /// How often a generation of an app could not be served.
    pub(super) fn failures(&self, app: &AppId, generation: Generation) -> u32 {
        let state = self.served.get(app).filter(|state| state.generation == generation);
        state.map_or(0, |state| state.failures)
    }

    /// The state of an activation that is being brought to the node.
    pub(super) fn state(&self, activation: &Activation) -> State {
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
    pub(super) fn settle(&mut self, activation: &Activation, served: Result<(), Unserved>) {
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
    pub(super) fn remove(&mut self, app: &AppId) -> bool {
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
