//! The one thread that changes a file, begun with the first change and ended after a rest. What
//! waits at the same time is committed together, so that many changes share one flush to the disk.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior, params};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::database::{open_for_writing, value};
use super::{BackendError, Change, Changed, number};

/// How long the thread stays without anything to do.
const REST: Duration = Duration::from_secs(10);

/// How many changes one commit takes at most.
const TOGETHER: usize = 256;

/// How much may wait to be written, in KiB. More waits where it comes from.
const WAITING: usize = 64 << 10;

/// What changes one file.
pub(super) struct Writer {
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
}

struct Shared {
    path: PathBuf,
    queue: Mutex<Queue>,
    more: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    has_thread: bool,
}

struct Waiting {
    label: String,
    change: Change,
    done: oneshot::Sender<Result<Changed, BackendError>>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Writer {
    pub(super) fn new(path: PathBuf) -> Self {
        let shared = Shared { path, queue: Mutex::default(), more: Condvar::new() };
        Self { shared: Arc::new(shared), room: Arc::new(Semaphore::new(WAITING)) }
    }

    /// Makes a change, which is on the disk when this returns. A caller that goes away leaves the
    /// change to be made or not.
    pub(super) async fn change(
        &self,
        label: &str,
        change: Change,
    ) -> Result<Changed, BackendError> {
        let kib = u32::try_from(change.bytes().div_ceil(1024).clamp(1, WAITING)).unwrap_or(1);
        // Never closed.
        let room = self.room.clone().acquire_many_owned(kib).await.ok();
        let (done, outcome) = oneshot::channel();
        self.push(Waiting { label: label.to_owned(), change, done, _room: room })?;
        outcome.await.map_err(|_| BackendError::Ended)?
    }

    fn push(&self, waiting: Waiting) -> Result<(), BackendError> {
        let mut queue = self.shared.lock();
        queue.waiting.push_back(waiting);
        if queue.has_thread {
            self.shared.more.notify_one();
            return Ok(());
        }
        let shared = self.shared.clone();
        let started = thread::Builder::new().name("dayfly-kv".to_owned()).spawn(move || {
            let _end = End(&shared);
            shared.run();
        });
        match started {
            Ok(_) => queue.has_thread = true,
            Err(error) => {
                queue.waiting.clear();
                return Err(BackendError::Open(error));
            }
        }
        Ok(())
    }
}

/// Tells that a thread which panicked has ended, and fails what waits for it; one that had its rest
/// has told so itself, and may have a successor by now.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let mut queue = self.0.lock();
            queue.has_thread = false;
            queue.waiting.clear();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut connection = None;
        while let Some(batch) = self.next() {
            if connection.is_none() {
                match open_for_writing(&self.path) {
                    Ok(open) => connection = Some(open),
                    Err(error) => {
                        fail(batch, error);
                        continue;
                    }
                }
            }
            let Some(open) = &mut connection else { continue };
            if !commit(open, batch) {
                connection = None;
            }
        }
    }

    /// What waits, as much of it as one commit takes; `None` when there was nothing for long. The
    /// thread has then ended for everybody who looks.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.lock();
        while queue.waiting.is_empty() {
            let (woken, rest) =
                self.more.wait_timeout(queue, REST).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if rest.timed_out() && queue.waiting.is_empty() {
                queue.has_thread = false;
                return None;
            }
        }
        let together = queue.waiting.len().min(TOGETHER);
        Some(queue.waiting.drain(..together).collect())
    }
}

/// Fails all of a batch for one reason.
fn fail(batch: Vec<Waiting>, error: BackendError) {
    let mut error = Some(error);
    for waiting in batch {
        let error = error.take().unwrap_or(BackendError::Ended);
        let _ = waiting.done.send(Err(error));
    }
}

/// Commits a batch, in one transaction if it can be; else each change alone, so that one which
/// cannot be made fails alone. False if the connection is of no use any more.
fn commit(connection: &mut Connection, batch: Vec<Waiting>) -> bool {
    if let Ok(changed) = together(connection, &batch) {
        for (waiting, changed) in batch.into_iter().zip(changed) {
            // Whoever waited may be gone.
            let _ = waiting.done.send(Ok(changed));
        }
        return true;
    }
    let mut is_sound = true;
    for waiting in batch {
        let outcome = together(connection, std::slice::from_ref(&waiting));
        let outcome = outcome.map(|changed| changed.first().copied().unwrap_or(Changed::Done));
        is_sound &= !matches!(&outcome, Err(BackendError::Database(_)));
        let _ = waiting.done.send(outcome);
    }
    is_sound
}

fn together(connection: &mut Connection, batch: &[Waiting]) -> Result<Vec<Changed>, BackendError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let changed = batch.iter().map(|waiting| apply(&transaction, &waiting.label, &waiting.change));
    let changed = changed.collect::<Result<_, _>>()?;
    transaction.commit().map_err(full)?;
    Ok(changed)
}

/// Tells a file that may not grow from one that failed.
fn full(error: rusqlite::Error) -> BackendError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => BackendError::Full,
        _ => BackendError::Database(error),
    }
}

fn apply(connection: &Connection, label: &str, change: &Change) -> Result<Changed, BackendError> {
    match change {
        Change::Set(pairs) => {
            pairs.iter().try_for_each(|(key, value)| set(connection, label, key, value))?;
            Ok(Changed::Done)
        }
        Change::Delete(keys) => {
            let mut statement = connection
                .prepare_cached("DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2")?;
            for key in keys {
                statement.execute(params![label, key]).map_err(full)?;
            }
            Ok(Changed::Done)
        }
        Change::Increment(key, delta) => {
            let now = number(value(connection, label, key)?.as_deref())?;
            let sum = now.checked_add(*delta).ok_or(BackendError::Overflow)?;
            set(connection, label, key, &sum.to_le_bytes())?;
            Ok(Changed::Number(sum))
        }
        Change::Swap(key, seen, new) => {
            if value(connection, label, key)? != *seen {
                return Ok(Changed::Differs);
            }
            set(connection, label, key, new)?;
            Ok(Changed::Done)
        }
    }
}

fn set(connection: &Connection, label: &str, key: &str, value: &[u8]) -> Result<(), BackendError> {
    connection
        .prepare_cached(
            "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3) \
             ON CONFLICT (store, key) DO UPDATE SET value = ?3",
        )?
        .execute(params![label, key, value])
        .map_err(full)?;
    Ok(())
}
