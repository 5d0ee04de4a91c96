//! Making a release ready: laid out, read, prepared and compiled, by somebody who is bounded.

use std::sync::Arc;

use dayfly_model::platform::{AppName, Grants, ReleaseId, TenantId};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::Failure;
use crate::places::{Each, Place, Places};

/// Makes releases ready. What is uploaded is hostile: whoever implements this does it in a process of
/// its own, with bounds to its memory, time and files, and ends that process at these.
pub trait Preparer: Send + Sync {
    /// Lays a release out in the store's folder for it, whose blobs are there, and compiles it. Blocks
    /// until the folder is on the disk, where it takes no more than this room; code that answers soon will
    /// do for a beginning. One that counts already is made again without, and all of its code in full, that
    /// which answers soonest first. Of one that is not made ready nothing stays.
    ///
    /// # Errors
    /// If it cannot be served, which is the fault of whoever made it, or the platform failed.
    fn prepare(
        &self,
        app: &AppName,
        release: &ReleaseId,
        manifest: &[u8],
        room_bytes: Option<u64>,
    ) -> Result<Ready, PrepareError>;
}

/// A release that is ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ready {
    /// The app's version, as its manifest states it.
    pub version: String,
    /// What it asks for.
    pub grants: Grants,
    /// How many components were compiled.
    pub components: u32,
    /// What they come to, in bytes, before they were compiled.
    pub component_bytes: u64,
    /// What it takes of the disk as it is laid out, in bytes.
    pub laid_out_bytes: u64,
    /// Whether some of its code only stands in for better code, which is yet to be made.
    pub stands_in: bool,
}

/// A release could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// It is none that can be served: the text, for whoever made it, says why.
    #[error("{0}")]
    Unservable(String),
    /// It took more than it may: the text says of what.
    #[error("{0}")]
    TooMuch(String),
    /// It takes so many bytes of the disk, for which there is no room.
    #[error("it takes {0} bytes of the disk, for which there is no room")]
    NoRoom(u64),
    /// The platform failed.
    #[error("{0}")]
    Failed(String),
}

/// How many releases are made ready at once, and how many wait.
pub(crate) struct Workers {
    running: Arc<Semaphore>,
    lines: Each<TenantId>,
    waiting: Places,
    /// How many of those that run make in full what answers already: somebody may come to wait for the others.
    behind: Arc<Semaphore>,
}

/// The right to make one release ready.
pub(crate) struct Turn {
    _places: (Option<Place>, [OwnedSemaphorePermit; 2]),
}

/// How many releases wait at most, with those that are made ready.
const WAITING: usize = 256;

/// How many of them of one tenant.
const WAITING_EACH: usize = 8;

/// How many releases of one tenant are made ready at once; the others' wait for none of its.
const EACH: usize = 1;

impl Workers {
    pub(crate) fn new(running: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(running.max(1))),
            lines: Each::new(EACH),
            waiting: Places::new(WAITING_EACH, WAITING),
            behind: Arc::new(Semaphore::new(running.saturating_sub(1).max(1))),
        }
    }

    /// Waits for a turn: a tenant's releases one after the other, and all behind what runs.
    pub(crate) async fn turn(&self, tenant: &TenantId) -> Result<Turn, Failure> {
        let place = self.waiting.take(tenant, "releases wait to be made ready")?;
        let of_tenant = place_in(self.lines.of(tenant)).await?;
        let running = place_in(self.running.clone()).await?;
        Ok(Turn { _places: (Some(place), [of_tenant, running]) })
    }

    /// The same for a release that answers already and is to be made in full: no upload of its tenant's waits
    /// behind it, and one worker is left to others. Whoever asks has one of a tenant's in the line at most.
    pub(crate) async fn turn_behind(&self) -> Result<Turn, Failure> {
        let behind = place_in(self.behind.clone()).await?;
        let running = place_in(self.running.clone()).await?;
        Ok(Turn { _places: (None, [behind, running]) })
    }
}

async fn place_in(line: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
    let closed = |_| Failure::unavailable("no release is made ready any more");
    line.acquire_owned().await.map_err(closed)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use dayfly_api::Code;

    use super::*;

    /// What a future gives without waiting.
    fn now<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    #[test]
    fn one_tenant_fills_no_other_ones_line() {
        let (acme, other): (TenantId, TenantId) =
            ("acme".parse().unwrap(), "other".parse().unwrap());
        let workers = Workers::new(2);
        let mut line: Vec<_> = (0..WAITING_EACH).map(|_| Box::pin(workers.turn(&acme))).collect();
        let turns: Vec<_> = line.iter_mut().map(|turn| now(turn.as_mut())).collect();
        // One runs, and the others wait.
        assert_eq!(turns.iter().filter(|turn| turn.is_some()).count(), 1);
        let mut beyond = Box::pin(workers.turn(&acme));
        let refused = now(beyond.as_mut()).unwrap().err().unwrap();
        assert_eq!(refused.problem.code, Code::RateLimited);
        let mut others = Box::pin(workers.turn(&other));
        assert!(now(others.as_mut()).unwrap().is_ok());
        // The next one runs when the first one is done.
        drop(turns);
        assert!(now(line[1].as_mut()).unwrap().is_ok());
    }

    #[test]
    fn a_deploy_has_a_worker_whatever_is_made_in_full() {
        let tenant: TenantId = "acme".parse().unwrap();
        for (running, is_free) in [(1, false), (2, true), (3, true)] {
            let workers = Workers::new(running);
            let mut behind: Vec<_> = (0..3).map(|_| Box::pin(workers.turn_behind())).collect();
            let turns: Vec<_> = behind.iter_mut().map(|turn| now(turn.as_mut())).collect();
            let at_work = turns.iter().filter(|turn| turn.is_some()).count();
            assert_eq!(at_work, running.saturating_sub(1).max(1));
            let mut deploy = Box::pin(workers.turn(&tenant));
            assert_eq!(now(deploy.as_mut()).is_some(), is_free, "{running} workers");
        }
    }
}
