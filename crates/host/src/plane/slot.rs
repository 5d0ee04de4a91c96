//! What a node has of one app: what is served of it, and what stays when a release follows another.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use dayfly_capabilities::Backends;
use dayfly_capabilities::queue::Owner;

use super::seat::Seat;
use crate::activation::Activation;
use crate::dispatch::Lasting;
use crate::events::{AppEvents, Opened, Sources};

/// One app.
#[derive(Default)]
pub(crate) struct Slot {
    /// Held while what is served changes: one change comes after the other.
    changing: Mutex<()>,
    kept: Mutex<Kept>,
    pub(super) sources: Arc<Sources>,
    served: Mutex<Served>,
}

/// What stays of an app, whatever release is served. Whoever makes a release ready has it.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) lasting: Lasting,
    /// What stands behind the release that came to be served last, or awake, as long as anybody has it.
    pub(super) backends: Weak<Backends>,
}

/// What is served of an app.
#[derive(Default)]
pub(super) struct Served {
    pub(super) releases: Vec<Placed>,
    pub(super) events: AppEvents,
    /// Event triggers that wait until the node begins, or another process has ended.
    pub(super) waiting: Option<Opened>,
    /// Whether it is that process that they wait for.
    pub(super) is_held: bool,
}

/// A release and its part of the requests.
pub(super) struct Placed {
    pub(super) id: Arc<str>,
    pub(super) percent: u32,
    pub(super) seat: Arc<Seat>,
}

impl Slot {
    /// Lets nobody else change what is served, until what is returned is dropped.
    pub(super) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn served(&self) -> MutexGuard<'_, Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The release of that id, if it is served.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Seat>> {
        let served = self.served();
        let found = served.releases.iter().find(|placed| &*placed.id == id);
        found.map(|placed| placed.seat.clone())
    }

    /// Its releases that are awake.
    pub(super) fn activations(&self) -> Vec<Arc<Activation>> {
        let served = self.served();
        served.releases.iter().filter_map(|placed| placed.seat.activation().cloned()).collect()
    }
}

impl Served {
    /// Who takes messages of the app's queues, if this process does.
    pub(super) fn owner(&self) -> Option<Arc<Owner>> {
        let waiting = self.waiting.as_ref().and_then(Opened::owner);
        self.events.owner().or(waiting).cloned()
    }
}
