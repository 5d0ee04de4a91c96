//! The end of a server, asked for by a signal or from within the process.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::signals;

/// Ends a server. Clones are the same handle.
#[derive(Debug, Clone)]
pub struct Shutdown {
    phase: Arc<watch::Sender<Phase>>,
    /// Whether another process serves whoever comes again.
    hands_over: Arc<AtomicBool>,
    /// Wakes threads that wait for it.
    raised: Arc<(Mutex<()>, Condvar)>,
}

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Not asked for.
    Serving,
    /// Finish what runs, take nothing new.
    Draining,
    /// Drop what runs.
    Ending,
}

impl Shutdown {
    /// A shutdown that only this process asks for.
    pub fn new() -> Self {
        let phase = Arc::new(watch::Sender::new(Phase::Serving));
        Self { phase, hands_over: Arc::default(), raised: Arc::default() }
    }

    /// A shutdown that SIGTERM and SIGINT ask for too, from now on: the first one to finish what
    /// runs, the second one to end at once. However many servers run with it, one signal counts
    /// once.
    ///
    /// # Errors
    /// If the system denies a thread or what it needs.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::new();
        signals::obey(shutdown.clone())?;
        Ok(shutdown)
    }

    /// Asks the server to take nothing new, finish what runs within its grace, and end.
    pub fn start(&self) {
        self.raise(Phase::Draining);
    }

    /// The same as [`Self::start`] where another process has taken the listening sockets over. There is
    /// time to end each connection with an answer that says so, instead of while a client sends to it.
    pub fn leave(&self) {
        self.hands_over.store(true, Relaxed);
        self.start();
    }

    /// Whether another process serves whoever comes again.
    pub fn hands_over(&self) -> bool {
        self.hands_over.load(Relaxed)
    }

    /// Asks the server to end at once, dropping what runs.
    pub fn now(&self) {
        self.raise(Phase::Ending);
    }

    /// Whether the end was asked for.
    pub fn is_started(&self) -> bool {
        *self.phase.borrow() != Phase::Serving
    }

    /// Waits until the end is asked for.
    pub async fn started(&self) {
        self.watch().reached(Phase::Draining).await;
    }

    /// Whether the end is asked for within so long. It blocks.
    pub fn is_started_within(&self, time: Duration) -> bool {
        let (lock, raised) = &*self.raised;
        let waiting = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = raised.wait_timeout_while(waiting, time, |()| !self.is_started());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.is_started()
    }

    /// Whether the end is to be at once.
    pub(crate) fn is_ending(&self) -> bool {
        *self.phase.borrow() == Phase::Ending
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch(self.phase.subscribe())
    }

    /// One step further: what a signal means.
    pub(crate) fn advance(&self) {
        self.raise(if self.is_started() { Phase::Ending } else { Phase::Draining });
    }

    fn raise(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let further = *phase < to;
            if further {
                *phase = to;
            }
            further
        });
        let (lock, raised) = &*self.raised;
        // Whoever has looked and found nothing is waiting by now.
        drop(lock.lock().unwrap_or_else(PoisonError::into_inner));
        raised.notify_all();
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// Waits for a [`Shutdown`].
pub(crate) struct Watch(watch::Receiver<Phase>);

impl Watch {
    /// Waits until the shutdown has come at least this far. Whoever dropped every handle can no
    /// longer ask for it, so this then waits for ever.
    pub(crate) async fn reached(&mut self, phase: Phase) {
        if self.0.wait_for(|now| *now >= phase).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
