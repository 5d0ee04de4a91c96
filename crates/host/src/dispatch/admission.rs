//! Admission: how many instances run at once, of one component and in all. What cannot run yet
//! waits its turn in a bounded line; what finds the line full is turned away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many requests may wait, for each that may run.
const WAITING_PER_RUNNING: u32 = 4;

/// One bound and its line.
pub(super) struct Admission {
    running: Arc<Semaphore>,
    waiting: AtomicU32,
    longest_line: u32,
    patience: Duration,
}

/// Leave to run; given back when dropped.
pub(super) type Permit = OwnedSemaphorePermit;

/// The line is full, or the wait was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Admission {
    /// At most `running` at once.
    pub(super) fn new(running: u32) -> Self {
        Self {
            running: Arc::new(Semaphore::new(running as usize)),
            waiting: AtomicU32::new(0),
            longest_line: running.saturating_mul(WAITING_PER_RUNNING),
            patience: PATIENCE,
        }
    }

    /// The bound that all components of a node share.
    pub(super) fn node(running: u32) -> Arc<Self> {
        Arc::new(Self::new(running))
    }

    /// Waits for leave to run, first come, first served.
    pub(super) async fn enter(&self) -> Result<Permit, Full> {
        if let Ok(permit) = self.running.clone().try_acquire_owned() {
            return Ok(permit);
        }
        // Dropping the guard leaves the line: a client that hung up does not keep its place.
        let _place = Place::take(&self.waiting, self.longest_line)?;
        match timeout(self.patience, self.running.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Full),
        }
    }
}

struct Place<'a>(&'a AtomicU32);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicU32, longest: u32) -> Result<Self, Full> {
        if waiting.fetch_add(1, Ordering::Relaxed) >= longest {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Full);
        }
        Ok(Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_line_turns_away_and_a_free_place_lets_in() {
        let admission = Arc::new(Admission::new(1));
        let first = admission.enter().await.unwrap();
        let waiting: Vec<_> = (0..WAITING_PER_RUNNING)
            .map(|_| {
                let admission = admission.clone();
                tokio::spawn(async move { admission.enter().await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(admission.enter().await.err(), Some(Full));
        drop(first);
        for waiter in waiting {
            drop(waiter.await.unwrap().unwrap());
        }
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_wait_has_an_end_and_leaving_frees_the_place() {
        let patience = Duration::from_millis(20);
        let admission = Admission { patience, ..Admission::new(1) };
        let _held = admission.enter().await.unwrap();
        assert_eq!(admission.enter().await.err(), Some(Full));
        assert!(timeout(Duration::from_millis(1), admission.enter()).await.is_err());
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
    }
}
