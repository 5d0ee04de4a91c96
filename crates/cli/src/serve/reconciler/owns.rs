//! Tenants whose apps a process of their own serves: the node leads their requests there as soon as it is ready.

use std::time::Instant;

use anyhow::anyhow;
use dayfly_host::ActivateError;
use dayfly_model::platform::{Activation, AppId, Generation, Isolation, StoreFailure};

use super::putting::key;
use super::state::State;
use super::{Reconciler, Whole};
use crate::report;

impl Reconciler {
    /// Reads which tenants are to have processes.
    pub(super) fn look_at_own(&mut self) -> Result<(), StoreFailure> {
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
    pub(super) fn look_at_moved(&mut self, now: Instant) {
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
    pub(super) fn tell_owns(&self, seen: Generation) {
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

    /// Has the tenant's own process serve what is active of an app: as soon as that is there, or at once
    /// where the app is not served here. It notes what became of that. The activation, if it waits for a
    /// host that another app has.
    pub(super) fn refer(&mut self, activation: Activation, is_last: bool) -> Option<Activation> {
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
    pub(super) fn is_away(&self, activation: &Activation) -> bool {
        self.whole.is_some() && activation.isolation == Isolation::OwnProcess
    }
}
