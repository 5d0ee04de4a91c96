//! An embedded SQLite file, with the table that Spin's default store has, so that either reads the
//! other's files. Changes go through one writer (`writer.rs`).
//!
//! Values of ordinary size are read on the thread that asks, by a connection of a few that lie
//! ready: it takes microseconds, less than any other thread would take to wake up. What is larger,
//! and lists of keys, are read elsewhere.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use tokio::sync::Semaphore;

use super::writer::Writer;
use super::{BackendError, Change, Changed, KeyPage, Pairs};
use crate::key_value::MAX_CALL_BYTES;
use crate::write_ahead::write_ahead;

/// The largest value that is read on the thread that asks, in bytes.
const SMALL: i64 = 64 << 10;

/// How large a file may become, in pages of 4 KiB: 4 GiB.
const MAX_PAGES: u32 = 1 << 20;

/// How long a connection waits for another process that has the file.
const BUSY: Duration = Duration::from_secs(5);

/// How many reads that take long run at once in all.
static LONG_READS: Semaphore = Semaphore::const_new(8);

/// The connections to one file.
pub(super) struct Database {
    path: PathBuf,
    /// Whether the file and its table are known to be there.
    is_ready: AtomicBool,
    /// Connections that nobody reads by at the moment.
    readers: Mutex<Vec<Connection>>,
    writer: Writer,
}

impl Database {
    /// A file that is made when it is first used.
    pub(super) fn new(path: PathBuf) -> Self {
        let writer = Writer::new(path.clone());
        Self { path, is_ready: AtomicBool::new(false), readers: Mutex::default(), writer }
    }

    pub(super) async fn change(
        &self,
        label: &str,
        change: Change,
    ) -> Result<Changed, BackendError> {
        self.writer.change(label, change).await
    }

    pub(super) async fn get(
        self: &Arc<Self>,
        label: &str,
        key: &str,
    ) -> Result<Option<Vec<u8>>, BackendError> {
        let small = self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT CASE WHEN length(value) <= ?3 THEN value END \
                     FROM spin_key_value WHERE store = ?1 AND key = ?2",
                )?
                .query_row(params![label, key, SMALL], |row| row.get::<_, Option<Vec<u8>>>(0))
                .optional()
        })?;
        match small {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => {
                let (label, key) = (label.to_owned(), key.to_owned());
                self.long_read(move |connection| value(connection, &label, &key)).await
            }
        }
    }

    pub(super) fn exists(&self, label: &str, key: &str) -> Result<bool, BackendError> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT 1 FROM spin_key_value WHERE store = ?1 AND key = ?2")?
                .exists(params![label, key])
        })
    }

    pub(super) async fn page(
        self: &Arc<Self>,
        label: &str,
        after: Option<&str>,
        most: u32,
    ) -> Result<KeyPage, BackendError> {
        // No key is empty.
        let (label, after) = (label.to_owned(), after.unwrap_or_default().to_owned());
        self.long_read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT key FROM spin_key_value WHERE store = ?1 AND key > ?2 \
                 ORDER BY key LIMIT ?3",
            )?;
            let keys = statement.query_map(params![label, after, most + 1], |row| row.get(0))?;
            let mut keys = keys.collect::<Result<Vec<String>, _>>()?;
            let has_more = keys.len() > most as usize;
            keys.truncate(most as usize);
            let next = if has_more { keys.last().cloned() } else { None };
            Ok(KeyPage { keys, next })
        })
        .await
    }

    pub(super) async fn get_many(
        self: &Arc<Self>,
        label: &str,
        keys: Vec<String>,
    ) -> Result<Pairs, BackendError> {
        let label = label.to_owned();
        let pairs = self.long_read(move |connection| {
            // One state of the store for all of them.
            let transaction = connection.unchecked_transaction()?;
            let mut bytes = 0;
            let mut pairs = Vec::with_capacity(keys.len());
            for key in keys {
                let value = value(&transaction, &label, &key)?;
                bytes += value.as_ref().map_or(0, Vec::len);
                if bytes > MAX_CALL_BYTES {
                    return Ok(None);
                }
                pairs.push((key, value));
            }
            Ok(Some(pairs))
        });
        pairs.await?.ok_or(BackendError::TooLarge)
    }

    /// Reads on this thread.
    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, BackendError> {
        let lying = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match lying {
            Some(connection) => connection,
            None => self.reader()?,
        };
        // A connection whose read failed is given up with what may be wrong with it.
        let answer = read(&connection)?;
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(answer)
    }

    /// Reads on another thread, in turn with other reads that take long.
    async fn long_read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, BackendError> {
        // Never closed. A read that nobody waits for any more keeps its turn until it is done.
        let turn = LONG_READS.acquire().await.ok();
        let database = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            database.read(read)
        });
        reading.await.map_err(|_| BackendError::Ended)?
    }

    /// One more connection. There are never more than threads that read at once.
    fn reader(&self) -> Result<Connection, BackendError> {
        if !self.is_ready.load(Relaxed) {
            open_for_writing(&self.path)?;
            self.is_ready.store(true, Relaxed);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    }
}

/// The value of a key, of any size.
pub(super) fn value(
    connection: &Connection,
    label: &str,
    key: &str,
) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT value FROM spin_key_value WHERE store = ?1 AND key = ?2")?
        .query_row(params![label, key], |row| row.get(0))
        .optional()
}

/// Opens the file for changes, and makes it and its table where they are missing.
///
/// Each commit is on the disk when it returns: the journal is a write-ahead log that is flushed.
pub(super) fn open_for_writing(path: &Path) -> Result<Connection, BackendError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(BackendError::Open)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    write_ahead(&connection, BUSY)?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "max_page_count", MAX_PAGES)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS spin_key_value (\
             store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, \
             PRIMARY KEY (store, key))",
    )?;
    Ok(connection)
}
