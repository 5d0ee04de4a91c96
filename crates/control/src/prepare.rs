//! Making a release ready: laid out, read, prepared and compiled, by somebody who is bounded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dayfly_model::platform::{AppName, Grants, ReleaseId, TenantId};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::Failure;

/// Makes releases ready. What is uploaded is hostile: whoever implements this does it in a process of
/// its own, with bounds to its memory, time and files, and ends that process at these.
pub trait Preparer: Send + Sync {
    /// Lays a release out in the store's folder for it, whose blobs are there, and compiles it. Blocks
    /// until the folder is on the disk. A release that is ready may be made ready again.
    ///
    /// # Errors
    /// If it cannot be served, which is the fault of whoever made it, or the platform failed.
    fn prepare(
        &self,
        app: &AppName,
        release: &ReleaseId,
        manifest: &[u8],
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
    /// The platform failed.
    #[error("{0}")]
    Failed(String),
}

/// How many releases are made ready at once, and how many wait.
pub(crate) struct Workers {
    running: Arc<Semaphore>,
    tenants: Mutex<BTreeMap<TenantId, Arc<Semaphore>>>,
    waiting: Arc<Semaphore>,
}

/// The right to make one release ready.
pub(crate) struct Turn {
    _place: OwnedSemaphorePermit,
    _tenant: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
}

/// How many releases wait at most.
const WAITING: usize = 256;

/// How many releases of one tenant are made ready at once; the others' wait for none of its.
const EACH: usize = 1;

impl Workers {
    pub(crate) fn new(running: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(running.max(1))),
            tenants: Mutex::default(),
            waiting: Arc::new(Semaphore::new(WAITING)),
        }
    }

    /// Waits for a turn: a tenant's releases one after the other, and all behind what runs.
    pub(crate) async fn turn(&self, tenant: &TenantId) -> Result<Turn, Failure> {
        let busy = || Failure::unavailable("too many releases wait to be made ready");
        let place = self.waiting.clone().try_acquire_owned().map_err(|_| busy())?;
        let own = self.of(tenant);
        let of_tenant = own.acquire_owned().await.map_err(|_| busy())?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| busy())?;
        Ok(Turn { _place: place, _tenant: of_tenant, _running: running })
    }

    fn of(&self, tenant: &TenantId) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody waits for are forgotten.
        tenants.retain(|_, it| Arc::strong_count(it) > 1);
        tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(Semaphore::new(EACH))).clone()
    }
}
