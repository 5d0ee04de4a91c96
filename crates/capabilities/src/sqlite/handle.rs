//! A guest's connection, and what its functions do: they wait for their turn without a thread, and
//! run on one that may block. A statement whose guest is gone is interrupted.

use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use dayfly_telemetry::Capability;
use tokio::sync::{OwnedMutexGuard, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::database::{Database, Lease};
use super::feed::{Awaited, Feed, Feeder, Reader};
use super::session::{Rows, Statement, Stop};
use super::turns::{Turn, Turns};
use super::value::{Error, QueryResult, Row, Value};
use super::watch::{Cancel, Watch};
use super::{RESULT_BYTES, too_large};
use crate::Grants;
use crate::calls::Call;

/// How long a statement waits for the one before it on the same connection.
const WAIT: Duration = Duration::from_secs(5);

/// How long a guest waits for others who write.
const LOCKED: Duration = Duration::from_secs(5);

/// The pauses between two looks whether others still write.
const PAUSES: [Duration; 2] = [Duration::from_micros(500), Duration::from_millis(10)];

/// A guest's connection. It takes one of the database's with its first statement, and keeps it from
/// then on, unless it only reads.
pub struct Connection {
    database: Arc<Database>,
    turns: Turns,
    grants: Arc<Grants>,
    lease: Arc<tokio::sync::Mutex<Option<Lease>>>,
    counts: Arc<Counts>,
    /// The statement whose rows are being read, if there is one.
    feed: Mutex<Weak<Feed>>,
    _place: Arc<()>,
}

/// What a statement gives whose rows are read as they are found.
pub(super) struct Streamed {
    pub(super) columns: Vec<String>,
    pub(super) reader: Reader,
    /// How it ended; nothing if its reader left.
    pub(super) ended: oneshot::Receiver<Result<(), Error>>,
}

/// What the guest may ask of its last statement.
#[derive(Default)]
struct Counts {
    rowid: AtomicI64,
    changes: AtomicU64,
}

/// What a thread needs to run a statement.
struct Work {
    lease: OwnedMutexGuard<Option<Lease>>,
    counts: Arc<Counts>,
    grants: Arc<Grants>,
}

impl Connection {
    pub(super) fn new(
        database: Arc<Database>,
        turns: Turns,
        grants: Arc<Grants>,
        place: Arc<()>,
    ) -> Self {
        Self {
            database,
            turns,
            grants,
            lease: Arc::default(),
            counts: Arc::default(),
            feed: Mutex::default(),
            _place: place,
        }
    }

    /// Begins the call that runs a statement.
    fn call(&self, function: &'static str, sql: &str) -> Call {
        let call = self.grants.call(Capability::Sqlite, function);
        call.of_database(self.database.label()).of_statement(sql)
    }

    /// Runs a statement and gives back all of its rows.
    pub(super) async fn execute(
        &self,
        sql: String,
        parameters: Vec<Value>,
    ) -> Result<QueryResult, Error> {
        let call = self.call("execute", &sql);
        call.end_with(self.collect(sql, parameters).await, Error::is_refusal)
    }

    async fn collect(&self, sql: String, parameters: Vec<Value>) -> Result<QueryResult, Error> {
        let statement = self.statement(sql, parameters);
        let cancel = Cancel::default();
        let _guard = cancel.on_drop();
        self.until_unlocked(|| async {
            let (work, turn) = self.work().await?;
            let (statement, cancel) = (statement.clone(), cancel.clone());
            let done = spawn_blocking(move || {
                let _turn = turn;
                let mut collected = Collected::default();
                work.run(&statement, &cancel, &mut collected).map(|()| collected.into_result())
            });
            done.await.unwrap_or_else(|_| Err(gone()))
        })
        .await
    }

    /// Runs a statement and gives back its rows as they are found, and how it ended.
    pub(super) async fn stream(
        &self,
        sql: String,
        parameters: Vec<Value>,
    ) -> Result<Streamed, Error> {
        // It is over when there are rows: the rest of it is as slow as its reader.
        let call = self.call("execute-async", &sql);
        call.end_with(self.begin(sql, parameters).await, Error::is_refusal)
    }

    async fn begin(&self, sql: String, parameters: Vec<Value>) -> Result<Streamed, Error> {
        let statement = self.statement(sql, parameters);
        self.until_unlocked(|| async {
            let streaming = self.turns.stream().await?;
            let (work, turn) = self.work().await?;
            let (statement, cancel) = (statement.clone(), Cancel::default());
            let feed = Arc::new(Feed::default());
            // From here on, whoever drops it ends the statement.
            let reader = Reader::new(feed.clone(), cancel.on_drop());
            *self.feed() = Arc::downgrade(&feed);
            let (mut feeder, Awaited { started, ended }) =
                Feeder::new(feed, self.turns.clone(), turn);
            spawn_blocking(move || {
                let _streaming = streaming;
                let outcome = work.run(&statement, &cancel, &mut feeder);
                feeder.finish(outcome);
            });
            let columns = started.await.unwrap_or_else(|_| Err(gone()))?;
            Ok(Streamed { columns, reader, ended })
        })
        .await
    }

    /// The row that this connection inserted last; 0 if there is none.
    pub(super) fn last_insert_rowid(&self) -> i64 {
        self.counts.rowid.load(Relaxed)
    }

    /// How many rows the last change by this connection touched.
    pub(super) fn changes(&self) -> u64 {
        self.counts.changes.load(Relaxed)
    }

    fn statement(&self, sql: String, parameters: Vec<Value>) -> Arc<Statement> {
        Arc::new(Statement { sql, parameters, time: self.grants.limits.cpu })
    }

    /// Waits for the connection, and for leave to use it.
    async fn work(&self) -> Result<(Work, Turn), Error> {
        let mut lease = self.lock().await?;
        if lease.is_none() {
            *lease = Some(self.database.lease(&self.turns, &self.grants).await?);
        }
        let work = Work { lease, counts: self.counts.clone(), grants: self.grants.clone() };
        Ok((work, self.turns.run().await?))
    }

    /// The connection belongs to one statement at a time.
    async fn lock(&self) -> Result<OwnedMutexGuard<Option<Lease>>, Error> {
        if let Ok(lease) = self.lease.clone().try_lock_owned() {
            return Ok(lease);
        }
        // Who reads it row by row may be who waits for it.
        let feed = self.feed().upgrade();
        if let Some(feed) = feed {
            feed.hurry();
        }
        let lease = timeout(WAIT, self.lease.clone().lock_owned()).await;
        lease.map_err(|_| Error::io("another statement of this connection still runs"))
    }

    fn feed(&self) -> std::sync::MutexGuard<'_, Weak<Feed>> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries again while others write, one after the other.
    async fn until_unlocked<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Stop>>,
    {
        let (mut writing, mut pause) = (None, PAUSES[0]);
        let mut end = None;
        loop {
            match attempt().await {
                Ok(done) => return Ok(done),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Busy) => {}
            }
            let end = *end.get_or_insert_with(|| Instant::now() + LOCKED);
            let left = end.saturating_duration_since(Instant::now());
            let locked = || Error::io("database is locked");
            if left.is_zero() {
                return Err(locked());
            }
            if writing.is_none() {
                let turn = timeout(left, self.database.writing.acquire()).await;
                writing = Some(turn.map_err(|_| locked())?);
            } else {
                sleep(pause).await;
                pause = PAUSES[1].min(pause * 2);
            }
        }
    }
}

impl Work {
    /// Runs a statement; this blocks.
    fn run(
        mut self,
        statement: &Statement,
        cancel: &Cancel,
        rows: &mut dyn Rows,
    ) -> Result<(), Stop> {
        let mut lease = self.lease.take().ok_or_else(gone)?;
        let room = self.grants.account.as_ref().map_or(u64::MAX, |account| account.room());
        let session = lease.session(self.grants.limits.database_bytes, room)?;
        let outcome = session.run(statement, cancel, rows);
        let (rowid, changes) = session.counts();
        if let Some(account) = self.grants.account.as_ref().filter(|_| session.has_written()) {
            account.has_kept(statement.bytes());
            let is_full = matches!(outcome, Err(Stop::Error(Error::DatabaseFull)));
            if is_full && room < self.grants.limits.database_bytes {
                self.grants.tell_over(&account.is_full());
            }
        }
        if !lease.is_untouched() {
            self.counts.rowid.store(rowid, Relaxed);
            self.counts.changes.store(changes, Relaxed);
            *self.lease = Some(lease);
        }
        outcome
    }
}

fn gone() -> Stop {
    Stop::Error(Error::io("the statement was given up"))
}

/// All rows of a statement.
#[derive(Default)]
struct Collected {
    columns: Vec<String>,
    rows: Vec<Row>,
    bytes: usize,
}

impl Collected {
    fn into_result(self) -> QueryResult {
        QueryResult { columns: self.columns, rows: self.rows }
    }
}

impl Rows for Collected {
    fn start(&mut self, columns: Vec<String>, _writes: bool, _watch: &Arc<Watch>) {
        self.columns = columns;
    }

    fn take(&mut self, row: Row) -> Result<(), Error> {
        self.bytes += row.bytes();
        if self.bytes > RESULT_BYTES {
            return Err(too_large());
        }
        self.rows.push(row);
        Ok(())
    }
}
