//! Releases that another one follows: what runs in them may end, but no longer than the grace lasts.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::events::Aim;
use crate::plane::{Seat, Slot};

/// How often is looked whether a release is left.
const LOOK: Duration = Duration::from_millis(20);

/// The releases of a node that are being left.
pub(crate) struct Drains {
    grace: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    leaving: Vec<Leaving>,
    ended: bool,
}

/// A release that nothing new comes to.
pub(crate) struct Leaving {
    pub(crate) seat: Arc<Seat>,
    /// Where its events go.
    pub(crate) aims: Vec<Arc<Aim>>,
    pub(crate) since: Instant,
    pub(crate) app: Arc<str>,
    /// What its first request needs, if that came and has not woken it yet.
    pub(crate) _slot: Arc<Slot>,
}

impl Drains {
    pub(crate) fn new(grace: Duration) -> Self {
        Self { grace, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Adds a release. No door may lead to it any more.
    pub(crate) fn add(&self, leaving: Leaving) {
        leaving.seat.send_away();
        self.lock().leaving.push(leaving);
        self.changed.notify_all();
    }

    /// How many releases are being left.
    pub(crate) fn count(&self) -> usize {
        self.lock().leaving.len()
    }

    /// Looks after them until [`Self::end`]. It blocks: it has a thread of its own, which sleeps while no
    /// release is being left.
    pub(crate) fn keep(&self) {
        let mut state = self.lock();
        while !state.ended {
            let empty = state.leaving.is_empty();
            state = match empty {
                true => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                false => {
                    let waited = self.changed.wait_timeout(state, LOOK);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            let left: Vec<_> =
                state.leaving.extract_if(.., |leaving| leaving.is_left(self.grace)).collect();
            drop(state);
            // Unmapping takes time, which others need not wait for.
            left.into_iter().for_each(Leaving::end);
            state = self.lock();
        }
    }

    /// Lets [`Self::keep`] return.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leaving {
    /// Whether nobody stays; who does for longer than the grace is sent away.
    fn is_left(&self, grace: Duration) -> bool {
        if self.seat.is_left(&self.aims) {
            return true;
        }
        // One may have come in with the last requests.
        self.seat.send_away();
        if self.since.elapsed() > grace {
            self.seat.cut();
        }
        false
    }

    fn end(self) {
        let Self { seat, since, app, .. } = self;
        seat.activation().into_iter().for_each(|it| it.components().leave());
        tracing::debug!(app = &*app, took = ?since.elapsed(), "a former release is left");
    }
}
