//! SQL: `fermyon:spin/sqlite` and `spin:sqlite` on embedded SQLite, a file a database. A component
//! reaches the databases whose labels its manifest's `sqlite_databases` lists.
//!
//! Its SQL is untrusted: what it may do is in `rules.rs`, what it may take in `session.rs`. It runs
//! on threads of its own, bounded in number, and ends with its time or with its guest.

mod database;
mod databases;
mod feed;
mod handle;
mod host;
mod rules;
mod session;
#[cfg(test)]
mod tests;
mod turns;
mod value;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use databases::{Databases, StatementError, UndefinedDatabase};

use crate::registry::Capability;
use database::Database;
use turns::Turns;
use value::Error;

/// The rows of one result that the host holds, in bytes.
const RESULT_BYTES: usize = 32 << 20;

/// This capability's line in the registry.
pub const CAPABILITY: Capability = Capability {
    name: "sqlite",
    interfaces: host::INTERFACES,
    granted_by: &[("sqlite_databases", host::INTERFACES)],
    link: host::link,
};

/// One component's databases.
#[derive(Default)]
pub struct Grant {
    databases: BTreeMap<String, Arc<Database>>,
    turns: Turns,
}

/// The connections that one instance has open.
#[derive(Default)]
pub(crate) struct Places(Option<Arc<()>>);

impl Grant {
    fn new(databases: BTreeMap<String, Arc<Database>>) -> Self {
        Self { databases, turns: Turns::default() }
    }

    /// The database of that label, if it is granted, and the component's turns.
    fn open(&self, label: &str) -> Option<(Arc<Database>, Turns)> {
        Some((self.databases.get(label)?.clone(), self.turns.clone()))
    }
}

impl Places {
    /// A place for one more, if fewer than `limit` are taken.
    fn place(&mut self, limit: usize) -> Option<Arc<()>> {
        let all = self.0.get_or_insert_default();
        // One is the instance's own.
        (Arc::strong_count(all) <= limit).then(|| all.clone())
    }
}

fn too_large() -> Error {
    Error::io(format!("the result is larger than {} MiB", RESULT_BYTES >> 20))
}
