//! One open connection: how it is hardened, and how it runs a statement. Everything here blocks.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::ffi::SQLITE_BUSY_SNAPSHOT;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, params_from_iter};
use serde_json::Value as Json;

use super::value::{Error, Row, Value};
use super::watch::{Cancel, Watch};
use crate::supply::Part as Descriptor;
use crate::write_ahead::write_ahead;

/// One text, blob or row, in bytes. What works on one value cannot be interrupted, and some of it
/// takes the square of its length: `instr()` up to a minute with two that are as long as can be.
const VALUE_BYTES: i32 = 2 << 20;

/// A statement's text, in bytes.
const SQL_BYTES: i32 = 1 << 20;

/// What is bounded of a statement's and a schema's shape.
const LIMITS: &[(Limit, i32)] = &[
    (Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, SQL_BYTES),
    (Limit::SQLITE_LIMIT_COLUMN, 1000),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 500),
    (Limit::SQLITE_LIMIT_VDBE_OP, 1_000_000),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 127),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 32_766),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 32),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// What all connections of the process may take of memory together. A sorter or a temporary table
/// has no bound of its own; beyond this one, the statement that asks for more fails.
const HEAP_BYTES: u64 = 512 << 20;

/// The pages that one connection keeps, in KiB.
const CACHE_KIB: u32 = 1024;

/// The temporary tables of one connection, in pages of 4 KiB. They are in memory, and stay there for
/// as long as the guest likes.
const TEMPORARY_PAGES: u32 = 2048;

/// How long opening waits for others who open the same file.
const OPENING: Duration = Duration::from_secs(5);

/// How often a running statement looks whether it has to end, in instructions of SQLite's machine.
const LOOK: i32 = 2000;

/// Statements up to this length are kept prepared, so many of them.
const KEPT_BYTES: usize = 4096;
const KEPT: usize = 32;

/// The write-ahead log, in bytes: when it is larger, it is emptied before the next write, or, while
/// a reader needs it, nothing is written.
const LOG_BYTES: u64 = 256 << 20;

/// One open connection.
pub(super) struct Session {
    connection: Connection,
    watch: Arc<Watch>,
    log: PathBuf,
    database_bytes: u64,
    has_written: bool,
    _descriptors: Vec<Descriptor>,
}

/// What is to be run.
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) parameters: Vec<Value>,
    /// How long it may run.
    pub(super) time: Duration,
}

impl Statement {
    /// What the guest gave with it, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = |value: &Value| match value {
            Value::Text(text) => text.len(),
            Value::Blob(blob) => blob.len(),
            Value::Integer(_) | Value::Real(_) | Value::Null => size_of::<i64>(),
        };
        let parameters: usize = self.parameters.iter().map(bytes).sum();
        (self.sql.len() + parameters) as u64
    }
}

/// Who takes what a statement gives.
pub(super) trait Rows {
    /// The columns, once. What `writes` is done whole before its first row is shown to anybody.
    fn start(&mut self, columns: Vec<String>, writes: bool, watch: &Arc<Watch>);
    /// The next row; an error ends the statement.
    fn take(&mut self, row: Row) -> Result<(), Error>;
}

/// Why a statement did not run to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// Another connection writes; nothing was done.
    Busy,
    /// What its guest is told.
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

enum Failure {
    Sql(rusqlite::Error),
    Stop(Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Stop(error)
    }
}

impl Session {
    /// Opens a database's file, which is made if it is not there.
    pub(super) fn open(path: &Path, descriptors: Vec<Descriptor>) -> rusqlite::Result<Self> {
        make(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(OPENING)?;
        configure(&connection)?;
        let watch = Arc::new(Watch::default());
        let progress = watch.clone();
        connection.progress_handler(LOOK, Some(move || progress.is_over()))?;
        let rules = watch.clone();
        connection.authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| {
            rules.judge(&context.action)
        }))?;
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Ok(Self {
            connection,
            watch,
            log: log.into(),
            database_bytes: 0,
            has_written: false,
            _descriptors: descriptors,
        })
    }

    /// Lets the database grow to so many bytes by this connection.
    pub(super) fn bound(&mut self, database_bytes: u64) -> rusqlite::Result<()> {
        if self.database_bytes != database_bytes {
            self.watch.trusting(|| {
                let page_bytes: u32 =
                    self.connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
                let pages = database_bytes / u64::from(page_bytes.max(1));
                let pages = u32::try_from(pages).unwrap_or(u32::MAX).max(1);
                self.connection.pragma_update(None, "max_page_count", pages)
            })?;
            self.database_bytes = database_bytes;
        }
        Ok(())
    }

    /// Runs one statement.
    pub(super) fn run(
        &mut self,
        statement: &Statement,
        cancel: &Cancel,
        rows: &mut dyn Rows,
    ) -> Result<(), Stop> {
        let in_transaction = !self.connection.is_autocommit();
        self.watch.start(cancel, statement.time);
        let mut writes = false;
        let outcome = self.steps(statement, in_transaction, &mut writes, rows);
        let late = self.watch.finish();
        self.has_written |= writes;
        outcome.map_err(|failure| match failure {
            Failure::Stop(error) => Stop::Error(error),
            Failure::Sql(error) if !in_transaction && is_busy(&error) => Stop::Busy,
            Failure::Sql(error) => Stop::Error(self.explain(&error, late, statement.time)),
        })
    }

    fn steps(
        &self,
        statement: &Statement,
        in_transaction: bool,
        writes: &mut bool,
        rows: &mut dyn Rows,
    ) -> Result<(), Failure> {
        let Statement { sql, parameters, .. } = statement;
        let (mut kept, mut fresh);
        let prepared: &mut rusqlite::Statement<'_> = if sql.len() <= KEPT_BYTES {
            kept = self.connection.prepare_cached(sql)?;
            &mut kept
        } else {
            fresh = self.connection.prepare(sql)?;
            &mut fresh
        };
        *writes = !prepared.readonly();
        if *writes {
            self.keep_log_small(in_transaction)?;
        }
        let named = names(prepared);
        let mut found = prepared.query(params_from_iter(parameters))?;
        let first = found.next()?;
        // The first step prepares anew what is older than the schema, and may find other columns.
        let columns = first.map(|row| names(row.as_ref())).unwrap_or(named);
        let count = columns.len();
        let mut row = first.map(|row| Row::read(row, count)).transpose()?;
        rows.start(columns, *writes, &self.watch);
        while let Some(taken) = row {
            rows.take(taken)?;
            row = found.next()?.map(|row| Row::read(row, count)).transpose()?;
        }
        Ok(())
    }

    /// Readers keep the log from being emptied, so that it has no bound of its own.
    fn keep_log_small(&self, in_transaction: bool) -> Result<(), Failure> {
        let is_large = |bound| std::fs::metadata(&self.log).is_ok_and(|log| log.len() > bound);
        if in_transaction {
            let full = is_large(LOG_BYTES.saturating_add(self.database_bytes));
            return if full { Err(Error::DatabaseFull.into()) } else { Ok(()) };
        }
        if !is_large(LOG_BYTES) {
            return Ok(());
        }
        match self.connection.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::TRUNCATE) {
            Ok(_) if !is_large(LOG_BYTES) => Ok(()),
            _ => Err(Error::DatabaseFull.into()),
        }
    }

    /// What the guest is told of an error.
    fn explain(&self, error: &rusqlite::Error, late: bool, time: Duration) -> Error {
        if let Some(what) = self.watch.refused() {
            return Error::io(format!("not allowed: {what}"));
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Error::DatabaseFull,
            Some(ErrorCode::OperationInterrupted) if late => {
                Error::io(format!("the statement ran for longer than {time:?} (`limits.cpu`)"))
            }
            Some(ErrorCode::OperationInterrupted) => Error::io("interrupted"),
            Some(ErrorCode::OutOfMemory) => Error::io("the statement needs too much memory"),
            _ => Error::io(error.to_string()),
        }
    }

    /// Whether nobody could tell this connection from a new one: it is in no transaction, has
    /// written nothing, and nothing sticks to it.
    pub(super) fn is_untouched(&self) -> bool {
        !self.has_written && self.is_clean()
    }

    /// Whether the next guest may have it as it is.
    pub(super) fn is_clean(&self) -> bool {
        self.connection.is_autocommit() && !self.watch.sticks()
    }

    /// Ends a transaction that was left open; whether the connection is of use to others.
    pub(super) fn settle(&self) -> bool {
        if self.watch.sticks() {
            return false;
        }
        self.connection.is_autocommit()
            || self.watch.trusting(|| self.connection.execute_batch("ROLLBACK")).is_ok()
    }

    /// Whether the guest has written anything by it.
    pub(super) const fn has_written(&self) -> bool {
        self.has_written
    }

    /// Forgets whose it was.
    pub(super) fn renew(&mut self) {
        self.has_written = false;
    }

    /// The row that the guest inserted last, and how many rows its last change touched.
    pub(super) fn counts(&self) -> (i64, u64) {
        if self.has_written {
            (self.connection.last_insert_rowid(), self.connection.changes())
        } else {
            (0, 0)
        }
    }

    /// Runs the operator's own statements, without bounds but those of the connection.
    pub(super) fn run_all(&self, sql: &str) -> rusqlite::Result<()> {
        self.watch.trusting(|| self.connection.execute_batch(sql))
    }

    /// The rows of the operator's own query, at most so many.
    pub(super) fn rows(&self, sql: &str, most: usize) -> rusqlite::Result<Vec<Vec<Json>>> {
        self.watch.trusting(|| {
            let mut statement = self.connection.prepare(sql)?;
            let columns = statement.column_count();
            let row = |row: &rusqlite::Row<'_>| {
                (0..columns).map(|column| Ok(json(row.get_ref(column)?))).collect()
            };
            statement.query_map([], row)?.take(most).collect()
        })
    }
}

/// A value for people; a blob's bytes in hexadecimal digits.
fn json(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Integer(integer) => integer.into(),
        ValueRef::Real(real) => real.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(blob) => {
            blob.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
        }
    }
}

fn names(prepared: &rusqlite::Statement<'_>) -> Vec<String> {
    prepared.column_names().map(str::to_owned).collect()
}

/// Whether waiting helps: not if what the transaction has read is no longer what is there.
fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| {
        error.code == ErrorCode::DatabaseBusy && error.extended_code != SQLITE_BUSY_SNAPSHOT
    })
}

/// Makes the file and its folder, the file for its owner only; its log gets the same mode.
fn make(path: &Path) -> rusqlite::Result<()> {
    let failed = |error: io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(()),
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    for (config, value) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true),
    ] {
        connection.set_db_config(config, value)?;
    }
    connection.execute_batch(&format!("PRAGMA hard_heap_limit = {HEAP_BYTES}"))?;
    write_ahead(connection, OPENING)?;
    connection.execute_batch(&format!(
        "PRAGMA synchronous = NORMAL;
         PRAGMA temp_store = MEMORY;
         PRAGMA temp.max_page_count = {TEMPORARY_PAGES};
         PRAGMA cache_size = -{CACHE_KIB};
         PRAGMA mmap_size = 0;
         PRAGMA cell_size_check = ON;"
    ))?;
    for (limit, value) in LIMITS {
        connection.set_limit(*limit, *value)?;
    }
    connection.set_prepared_statement_cache_capacity(KEPT);
    // From here on, who finds the database locked is told so, and waits without a thread.
    connection.busy_timeout(Duration::ZERO)
}
