//! What a platform keeps on a local disk: records in SQLite, files by their digests. Whatever a
//! function acknowledges is on the disk; every change and its line in the audit log are one
//! transaction. Several processes may open one folder at a time.
#![deny(missing_docs)]

mod acme;
mod activations;
mod answers;
mod apps;
mod audit;
mod backup;
mod bell;
mod blobs;
mod certificates;
mod collect;
mod domains;
mod error;
mod key;
mod logs;
mod own;
mod ports;
mod presence;
mod previews;
mod releases;
mod schema;
mod settings;
mod spare;
mod tenants;
mod tokens;
mod usage;
mod used;
mod wanted;

use std::cell::Cell;
use std::fs;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::ReentrantMutex;
use rusqlite::{Connection, TransactionBehavior};

pub use acme::{Challenge, HostState, ServedHost};
pub use activations::{Active, Serving, Shared};
pub use answers::{AnswerBytes, Keyed};
pub use apps::App;
pub use audit::{Actor, AuditEntry};
pub use backup::{Copied, restore};
pub use blobs::{Incoming, MAX_BLOB_BYTES, digest_of};
pub use certificates::{CertificateSource, CertificateView, NewCertificate};
pub use collect::Collected;
pub use domains::Domain;
pub use error::{Result, StoreError};
pub use key::{Key, KeyError};
pub use logs::{
    AppLog, LOG_FILE_BYTES, LOG_FILES, LOG_FOLDER, LogBatch, LogFilter, LogFollower, log_tail,
};
pub use presence::is_served;
pub use previews::{Expired, Preview};
pub use releases::{NewRelease, Offer, Prepared, Release, Room};
pub use settings::{MAX_VALUE_BYTES, SettingView};
pub use tenants::{Tenant, Terms};
pub use tokens::{Token, TokenScope, TokenText};
pub use usage::{
    SERIES, SERIES_OF_TENANT, USAGE_DATABASE, UsageBook, UsageBy, UsageGroup, UsageKey, UsageQuery,
    UsageStep, Used,
};
pub use used::Taken;
pub use wanted::{Making, Wanted};

/// The database's name in the folder.
pub const DATABASE: &str = "platform.sqlite";

/// How long one process waits for another's transaction.
const BUSY: Duration = Duration::from_secs(10);

/// The store of one platform.
pub struct Store {
    folder: PathBuf,
    /// Whoever has it may use the store's functions in one transaction.
    linked: ReentrantMutex<Linked>,
    key: Key,
}

/// A connection to the database.
struct Linked {
    connection: Connection,
    /// Whether the transaction that is under way changes what is to be served.
    is_change: Cell<bool>,
}

/// A transaction: one of its own, or a part of another one.
struct Transaction<'a>(&'a Linked);

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0.connection
    }
}

impl Transaction<'_> {
    /// Has nodes hear of it, once it is done.
    fn note_change(&self) {
        self.0.is_change.set(true);
    }
}

impl Store {
    /// Opens the store in a folder, which is made if it is not there, readable by this user alone.
    ///
    /// # Errors
    /// If it cannot be opened, is of a newer version, or was encrypted with another key.
    pub fn open(folder: &Path, key: Key) -> Result<Self> {
        let folder = std::path::absolute(folder).map_err(StoreError::io(folder))?;
        for name in ["", "blobs/sha256", "incoming", "releases", "apps"] {
            private(&folder.join(name))?;
        }
        let file = folder.join(DATABASE);
        // Those of an earlier version may be wider.
        for end in ["", "-wal", "-shm"] {
            narrow(&folder.join(format!("{DATABASE}{end}")))?;
        }
        let connection = spare::open(&folder, || schema::open(&file))?;
        let linked = Linked { connection, is_change: Cell::new(false) };
        let store = Self { folder, linked: ReentrantMutex::new(linked), key };
        store.check_key()?;
        store.keep_spare();
        Ok(store)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// If it does not.
    pub fn check(&self) -> Result<()> {
        self.read(|db| Ok(db.query_row("SELECT generation FROM clock", [], |_| Ok(()))?))
    }

    /// Reads within one state of the database.
    fn read<T>(&self, read: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        self.transact(TransactionBehavior::Deferred, read)
    }

    /// Writes, all of it or nothing; what is acknowledged is on the disk, unless it is part of what is
    /// written by whoever called.
    fn write<T>(&self, write: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        self.transact(TransactionBehavior::Immediate, write)
    }

    fn transact<T>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let linked = self.linked.lock();
        if !linked.connection.is_autocommit() {
            // This thread has begun one already.
            return work(&Transaction(&linked));
        }
        // One that failed may have left it.
        linked.is_change.set(false);
        // One that fails, or that a panic leaves, is rolled back as it is dropped.
        let transaction = rusqlite::Transaction::new_unchecked(&linked.connection, behavior)?;
        let done = work(&Transaction(&linked))?;
        transaction.commit()?;
        if linked.is_change.take() {
            self.ring_of_changes();
        }
        Ok(done)
    }
}

/// The time, in milliseconds since 1970.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Has only this user read a file, if it is there.
fn narrow(file: &Path) -> Result<()> {
    match fs::set_permissions(file, fs::Permissions::from_mode(0o600)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(file)(error)),
        _ => Ok(()),
    }
}

/// Makes a folder that only this user reads.
fn private(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(StoreError::io(folder))
}
