//! Keeps an eye on one connection: ends a statement that nobody waits for any more or that runs for
//! too long, and remembers what was refused and what stays behind.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, Authorization};

use super::rules::{Verdict, judge};

/// Told that nobody waits for a statement any more.
#[derive(Clone, Default)]
pub(super) struct Cancel(Arc<AtomicBool>);

/// Cancels when it is dropped; what has ended by then does not mind.
pub(super) struct CancelOnDrop(Cancel);

impl Cancel {
    pub(super) fn on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Relaxed);
    }
}

/// What the hooks of a connection share with who uses it.
#[derive(Default)]
pub(super) struct Watch(Mutex<State>);

#[derive(Default)]
struct State {
    /// Whether what is prepared is the host's own.
    trusted: bool,
    sticks: bool,
    refused: Option<String>,
    running: Option<Running>,
}

struct Running {
    cancel: Cancel,
    end: Instant,
    late: bool,
}

impl Watch {
    /// Bounds the statements until [`Watch::finish`].
    pub(super) fn start(&self, cancel: &Cancel, time: Duration) {
        let mut state = self.state();
        state.refused = None;
        state.running =
            Some(Running { cancel: cancel.clone(), end: Instant::now() + time, late: false });
    }

    /// Time in which the statement only waited for its reader.
    pub(super) fn waited(&self, time: Duration) {
        if let Some(running) = &mut self.state().running {
            running.end += time;
        }
    }

    /// Whether the statement was stopped because of its time.
    pub(super) fn finish(&self) -> bool {
        self.state().running.take().is_some_and(|running| running.late)
    }

    /// Whether a statement has to end; the progress handler asks.
    pub(super) fn is_over(&self) -> bool {
        match &mut self.state().running {
            None => false,
            Some(running) => {
                running.late = Instant::now() >= running.end;
                running.late || running.cancel.is_cancelled()
            }
        }
    }

    /// Whether a guest left something on the connection that outlives its transaction.
    pub(super) fn sticks(&self) -> bool {
        self.state().sticks
    }

    /// What was refused last.
    pub(super) fn refused(&self) -> Option<String> {
        self.state().refused.take()
    }

    /// Lets `act` prepare what guests may not.
    pub(super) fn trusting<T>(&self, act: impl FnOnce() -> T) -> T {
        self.state().trusted = true;
        let done = act();
        self.state().trusted = false;
        done
    }

    /// Judges one action of a statement that is being prepared; the authorizer asks.
    pub(super) fn judge(&self, action: &AuthAction<'_>) -> Authorization {
        let mut state = self.state();
        if state.trusted {
            return Authorization::Allow;
        }
        match judge(action) {
            Verdict::Allowed => Authorization::Allow,
            Verdict::Sticks => {
                state.sticks = true;
                Authorization::Allow
            }
            Verdict::Ignored => Authorization::Ignore,
            Verdict::Refused(what) => {
                state.refused = Some(what);
                Authorization::Deny
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
