//! One database: its file, and the connections that are open to it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::session::Session;
use super::turns::{self, Turns};
use super::value::Error;
use crate::supply::Part as Descriptor;
use crate::{Grants, Paced};

/// How many connections of guests may be open to one database.
const CONNECTIONS: usize = 128;

/// How many connections that nobody uses are kept.
const IDLE: usize = 8;

/// The files that a connection holds open: the database and its log.
const FILES: usize = 2;

/// One database. Nothing is opened until a guest first uses it.
pub(super) struct Database {
    label: Box<str>,
    path: PathBuf,
    idle: Mutex<Vec<Session>>,
    failures: Paced,
    connections: Arc<Semaphore>,
    /// Who found the database locked waits here, so that they come one after the other.
    pub(super) writing: Semaphore,
}

/// A connection that somebody has for themselves. It goes back to the others when it is dropped.
pub(super) struct Lease {
    database: Arc<Database>,
    session: Option<Session>,
    descriptors: Vec<Descriptor>,
    permits: Option<[OwnedSemaphorePermit; 2]>,
}

impl Database {
    pub(super) fn new(label: &str, path: PathBuf) -> Self {
        Self {
            label: label.into(),
            path,
            idle: Mutex::default(),
            failures: Paced::default(),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            writing: Semaphore::new(1),
        }
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A connection, which is opened when it is first used.
    pub(super) async fn lease(
        self: &Arc<Self>,
        turns: &Turns,
        grants: &Grants,
    ) -> Result<Lease, Error> {
        let permits = turns::connection(turns, &self.connections).await?;
        let session = self.idle().pop();
        let mut descriptors = Vec::new();
        if session.is_none() {
            let taken: Option<Vec<_>> = (0..FILES).map(|_| grants.take_descriptor()).collect();
            descriptors = taken.ok_or_else(|| Error::io("too many files are open"))?;
        }
        Ok(Lease { database: self.clone(), session, descriptors, permits: Some(permits) })
    }

    fn keep(&self, mut session: Session) {
        session.renew();
        let mut idle = self.idle();
        if idle.len() < IDLE {
            idle.push(session);
        } else {
            drop(idle);
            elsewhere(move || drop(session));
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The connection, by which the database grows to so many bytes, or by so many as its tenant has
    /// room for; this may block.
    pub(super) fn session(
        &mut self,
        database_bytes: u64,
        room: u64,
    ) -> Result<&mut Session, Error> {
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let descriptors = std::mem::take(&mut self.descriptors);
                Session::open(&self.database.path, descriptors).map_err(|error| {
                    if self.database.failures.note().is_some() {
                        let path = self.database.path.display();
                        tracing::error!(%path, %error, "failed to open a database");
                    }
                    Error::io("the database cannot be opened")
                })?
            }
        };
        let session = self.session.insert(session);
        let bytes = if room < database_bytes {
            let now = std::fs::metadata(&self.database.path).map_or(0, |found| found.len());
            database_bytes.min(now.saturating_add(room))
        } else {
            database_bytes
        };
        session.bound(bytes).map_err(|error| Error::io(error.to_string()))?;
        Ok(session)
    }

    /// Whether nobody could tell the connection from a new one.
    pub(super) fn is_untouched(&self) -> bool {
        self.session.as_ref().is_none_or(Session::is_untouched)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if session.is_clean() {
            self.database.keep(session);
            return;
        }
        let (database, permits) = (self.database.clone(), self.permits.take());
        elsewhere(move || {
            if session.settle() {
                database.keep(session);
            }
            drop(permits);
        });
    }
}

/// Does what blocks on a thread that may; here, where there is none.
fn elsewhere(act: impl FnOnce() + Send + 'static) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(act)),
        Err(_) => act(),
    }
}
