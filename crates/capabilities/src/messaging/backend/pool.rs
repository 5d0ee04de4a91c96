//! Connections that calls have one at a time each, and that are kept for the next.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// How many connections there are to one server, and how many of them are kept.
const CONNECTIONS: usize = 16;
const KEPT: usize = 4;

/// How long a call waits for one.
const WAIT: Duration = Duration::from_secs(10);

/// How long one is kept that nobody uses: less than servers wait before they ask whether somebody is
/// there.
const IDLE: Duration = Duration::from_secs(30);

/// Why there is no connection.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum PoolError {
    Busy,
}

/// Connections to one server.
pub(super) struct Pool<L> {
    kept: Mutex<Vec<(L, Instant)>>,
    turns: Semaphore,
}

/// Leave to have one open.
pub(super) type Turn<'p> = SemaphorePermit<'p>;

impl<L> Default for Pool<L> {
    fn default() -> Self {
        Self { kept: Mutex::default(), turns: Semaphore::new(CONNECTIONS) }
    }
}

impl<L> Pool<L> {
    /// Waits for leave to have a connection.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, PoolError> {
        match timeout(WAIT, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(PoolError::Busy),
        }
    }

    /// One that was kept; the last first, so that the others grow old.
    pub(super) fn take(&self) -> Option<L> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, since)| since.elapsed() < IDLE);
        kept.pop().map(|(link, _)| link)
    }

    /// Keeps one that is as good as new.
    pub(super) fn keep(&self, link: L) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push((link, Instant::now()));
        }
    }
}
