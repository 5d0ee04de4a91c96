//! What a component's messages to servers, and their replies, may take of the host's memory while
//! they are under way.

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit in which it is counted, in bytes.
const UNIT: usize = 1024;

/// There is no more of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too many bytes are under way")]
pub(crate) struct Busy;

/// A component's share.
#[derive(Clone)]
pub(crate) struct UnderWay(Arc<Semaphore>);

/// A part of it, given back when dropped.
pub(crate) struct Held(OwnedSemaphorePermit);

impl UnderWay {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / UNIT)))
    }

    /// Takes so many bytes, and at least one, if they are there. Nobody waits for them: who did
    /// would keep its own meanwhile.
    pub(crate) fn take(&self, bytes: usize) -> Result<Held, Busy> {
        let units = u32::try_from(bytes / UNIT + 1).map_err(|_| Busy)?;
        self.0.clone().try_acquire_many_owned(units).map(Held).map_err(|_| Busy)
    }
}

impl Held {
    /// How many bytes it is for.
    pub(crate) fn bytes(&self) -> usize {
        self.0.num_permits() * UNIT
    }

    /// Adds what was taken beside it.
    pub(crate) fn add(&mut self, more: Self) {
        self.0.merge(more.0);
    }
}
