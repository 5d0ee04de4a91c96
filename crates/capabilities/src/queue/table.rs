//! What is done to the file of queues, on whatever thread has it.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, Row, params};

use super::terms::MOST_DELAY;
use super::{Content, DeadLetter, MESSAGE_BYTES, Message, New, QueueError, bell};
use crate::write_ahead::write_ahead;

/// How large the file may become, in pages of 4 KiB: 64 GiB.
const MAX_PAGES: u32 = 16 << 20;

/// How long a connection waits for another process that has the file.
const BUSY: Duration = Duration::from_secs(5);

/// A message waits until it is due, may be taken, or is taken.
const DELAYED: i64 = 0;
const READY: i64 = 1;
const TAKEN: i64 = 2;

/// A dead letter lies there, is to be delivered again, or is on its way.
const LIES: i64 = 0;
const ASKED: i64 = 1;
const UNDER_WAY: i64 = 2;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, state INTEGER NOT NULL,
        due INTEGER NOT NULL, priority INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
        attributes TEXT NOT NULL, content_type TEXT, data BLOB NOT NULL);
    CREATE INDEX IF NOT EXISTS messages_ready ON messages (queue, priority DESC, id)
        WHERE state = 1;
    CREATE INDEX IF NOT EXISTS messages_delayed ON messages (due) WHERE state = 0;
    CREATE TABLE IF NOT EXISTS dead_letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT, state INTEGER NOT NULL DEFAULT 0, at INTEGER NOT NULL,
        trigger TEXT NOT NULL, component TEXT NOT NULL, attempts INTEGER NOT NULL,
        error TEXT NOT NULL, attributes TEXT NOT NULL, content_type TEXT, data BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS triggers (
        id TEXT PRIMARY KEY, component TEXT NOT NULL, source TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS sends (
        id INTEGER PRIMARY KEY AUTOINCREMENT, state INTEGER NOT NULL DEFAULT 0,
        trigger TEXT NOT NULL, attributes TEXT NOT NULL, content_type TEXT, data BLOB NOT NULL,
        error TEXT);
    CREATE INDEX IF NOT EXISTS dead_letters_asked ON dead_letters (id) WHERE state = 1;
";

/// The file of queues, open.
pub struct Table(pub(super) Connection);

/// How many messages of a queue there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The queue.
    pub queue: String,
    /// Those that may be taken.
    pub ready: u64,
    /// Those that are not due yet.
    pub delayed: u64,
    /// Those that are being handled.
    pub taken: u64,
}

impl Table {
    /// Opens the file, and makes it if it is not there.
    ///
    /// # Errors
    /// If it cannot be opened, or is no file of queues.
    pub fn open(path: &Path) -> Result<Self, QueueError> {
        let failed = |reason: String| QueueError::Open { path: path.to_owned(), reason };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY)?;
            write_ahead(&connection, BUSY)?;
            connection.pragma_update(None, "synchronous", "full")?;
            connection.pragma_update(None, "max_page_count", MAX_PAGES)?;
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        };
        open().map(Self).map_err(|error: rusqlite::Error| failed(error.to_string()))
    }

    /// The connection, for those that say where a transaction begins and ends.
    pub(super) const fn connection(&self) -> &Connection {
        &self.0
    }

    /// Does work of which nothing is left if it fails, within a transaction.
    pub(super) fn all_or_nothing<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, QueueError>,
    ) -> Result<T, QueueError> {
        self.0.execute_batch("SAVEPOINT work")?;
        let done = work(self);
        let end = if done.is_ok() { "RELEASE work" } else { "ROLLBACK TO work; RELEASE work" };
        self.0.execute_batch(end)?;
        done
    }

    /// Puts a message into its queue; its number.
    ///
    /// # Errors
    /// If it is too large, or the file cannot take it.
    pub fn put(&self, new: &New) -> Result<i64, QueueError> {
        let New { queue, delay, priority, content } = new;
        if content.data.len() > MESSAGE_BYTES {
            return Err(QueueError::TooLarge);
        }
        if *delay > MOST_DELAY {
            return Err(QueueError::Delay);
        }
        let (state, due) = match delay.is_zero() {
            true => (READY, 0),
            false => (DELAYED, millis(SystemTime::now() + *delay)),
        };
        let mut statement = self.0.prepare_cached(
            "INSERT INTO messages (queue, state, due, priority, attributes, content_type, data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let Content { attributes, content_type, data } = content;
        let attributes = written(attributes);
        statement
            .insert(params![queue, state, due, priority, attributes, content_type, &data[..]])
            .map_err(QueueError::from)
    }

    /// Lets the process that takes messages look at once for what was put or sent.
    pub fn ring(&self) {
        if let Some(path) = self.0.path() {
            bell::ring(Path::new(path));
        }
    }

    /// Takes the next messages of a queue, so many at most.
    ///
    /// # Errors
    /// If the file fails.
    pub fn take(&self, queue: &str, most: u32) -> Result<Vec<Message>, QueueError> {
        self.take_at(SystemTime::now(), queue, most)
    }

    fn take_at(&self, now: SystemTime, queue: &str, most: u32) -> Result<Vec<Message>, QueueError> {
        let now = millis(now);
        self.0
            .prepare_cached("UPDATE messages SET state = 1 WHERE state = 0 AND due <= ?1")?
            .execute([now])?;
        let mut statement = self.0.prepare_cached(
            "SELECT id, attempts, attributes, content_type, data FROM messages
             WHERE queue = ?1 AND state = 1 ORDER BY priority DESC, id LIMIT ?2",
        )?;
        let message = |row: &Row<'_>| {
            Ok(Message { id: row.get(0)?, attempts: row.get(1)?, content: content(row, 2)? })
        };
        let taken: Vec<Message> =
            statement.query_map(params![queue, most], message)?.collect::<Result<_, _>>()?;
        let mut mark = self.0.prepare_cached(
            "UPDATE messages SET state = 2, attempts = attempts + 1 WHERE id = ?1",
        )?;
        taken.iter().try_for_each(|message| mark.execute([message.id]).map(drop))?;
        Ok(taken)
    }

    /// When the next delayed message is due.
    pub(super) fn next_due(&self) -> Result<Option<SystemTime>, QueueError> {
        let mut statement = self
            .0
            .prepare_cached("SELECT due FROM messages WHERE state = 0 ORDER BY due LIMIT 1")?;
        let due: Option<i64> = statement.query_row([], |row| row.get(0)).optional()?;
        Ok(due.map(time))
    }

    /// Forgets a message that was handled.
    pub(super) fn done(&self, id: i64) -> Result<(), QueueError> {
        self.0.prepare_cached("DELETE FROM messages WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    /// Puts a message back that was taken and not handled.
    pub(super) fn back(&self, id: i64) -> Result<(), QueueError> {
        let mut back = self.0.prepare_cached(
            "UPDATE messages SET state = ?2, attempts = attempts - 1 WHERE id = ?1 AND state = ?3",
        )?;
        back.execute(params![id, READY, TAKEN])?;
        Ok(())
    }

    /// Puts back whatever is taken, or on its way again: whoever took it is gone. What was sent to it is
    /// forgotten.
    pub(super) fn recover(&self) -> Result<usize, QueueError> {
        self.0.execute_batch("DELETE FROM sends;")?;
        let messages =
            self.0.execute("UPDATE messages SET state = ?1 WHERE state = ?2", [READY, TAKEN])?;
        let letters = "UPDATE dead_letters SET state = ?1 WHERE state = ?2";
        Ok(messages + self.0.execute(letters, [ASKED, UNDER_WAY])?)
    }

    /// How many messages each queue has.
    ///
    /// # Errors
    /// If the file fails.
    pub fn tallies(&self) -> Result<Vec<Tally>, QueueError> {
        let mut statement = self.0.prepare(
            "SELECT queue, sum(state = 1), sum(state = 0), sum(state = 2) FROM messages
             GROUP BY queue ORDER BY queue",
        )?;
        let tally = |row: &Row<'_>| {
            Ok(Tally {
                queue: row.get(0)?,
                ready: count(row, 1)?,
                delayed: count(row, 2)?,
                taken: count(row, 3)?,
            })
        };
        Ok(statement.query_map([], tally)?.collect::<Result<_, _>>()?)
    }

    /// The first messages of a queue, taken or not.
    ///
    /// # Errors
    /// If the file fails.
    pub fn peek(&self, queue: &str, most: u32) -> Result<Vec<Message>, QueueError> {
        let mut statement = self.0.prepare(
            "SELECT id, attempts, attributes, content_type, data FROM messages
             WHERE queue = ?1 ORDER BY priority DESC, id LIMIT ?2",
        )?;
        let message = |row: &Row<'_>| {
            Ok(Message { id: row.get(0)?, attempts: row.get(1)?, content: content(row, 2)? })
        };
        Ok(statement.query_map(params![queue, most], message)?.collect::<Result<_, _>>()?)
    }

    /// Forgets all messages of a queue that are not being handled; how many those were.
    ///
    /// # Errors
    /// If the file fails.
    pub fn purge(&self, queue: &str) -> Result<usize, QueueError> {
        let purge = "DELETE FROM messages WHERE queue = ?1 AND state <> ?2";
        Ok(self.0.execute(purge, params![queue, TAKEN])?)
    }

    /// Keeps a dead letter; its number.
    pub(super) fn bury(&self, letter: &DeadLetter) -> Result<i64, QueueError> {
        let DeadLetter { id, at, trigger, component, attempts, error, content } = letter;
        // One that was delivered again is in its place already.
        if *id != 0 {
            let mut again = self.0.prepare_cached(
                "UPDATE dead_letters SET state = ?2, at = ?3, attempts = ?4, error = ?5
                 WHERE id = ?1",
            )?;
            again.execute(params![id, LIES, millis(*at), attempts, error])?;
            return Ok(*id);
        }
        let mut statement = self.0.prepare_cached(
            "INSERT INTO dead_letters
             (at, trigger, component, attempts, error, attributes, content_type, data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        let Content { attributes, content_type, data } = content;
        let attributes = written(attributes);
        let at = millis(*at);
        let row =
            params![at, trigger, component, attempts, error, attributes, content_type, &data[..]];
        Ok(statement.insert(row)?)
    }

    /// Dead letters, the latest last; all of them, or those of these numbers.
    ///
    /// # Errors
    /// If the file fails.
    pub fn dead_letters(&self, ids: &[i64]) -> Result<Vec<DeadLetter>, QueueError> {
        let mut statement = self.0.prepare(
            "SELECT id, at, trigger, component, attempts, error, attributes, content_type, data
             FROM dead_letters ORDER BY id",
        )?;
        let letters = statement.query_map([], letter)?;
        let wanted = |letter: &Result<DeadLetter, _>| {
            ids.is_empty() || letter.as_ref().is_ok_and(|letter| ids.contains(&letter.id))
        };
        Ok(letters.filter(wanted).collect::<Result<_, _>>()?)
    }

    /// Lets dead letters be delivered again; how many those were.
    ///
    /// # Errors
    /// If the file fails.
    pub fn replay(&self, ids: &[i64]) -> Result<usize, QueueError> {
        let mut statement =
            self.0.prepare("UPDATE dead_letters SET state = ?2 WHERE id = ?1 AND state = ?3")?;
        let asked = ids.iter().map(|id| statement.execute(params![id, ASKED, LIES]));
        Ok(asked.sum::<Result<usize, _>>()?)
    }

    /// Forgets dead letters; how many those were.
    ///
    /// # Errors
    /// If the file fails.
    pub fn forget(&self, ids: &[i64]) -> Result<usize, QueueError> {
        let mut statement = self.0.prepare_cached("DELETE FROM dead_letters WHERE id = ?1")?;
        Ok(ids.iter().map(|id| statement.execute([id])).sum::<Result<usize, _>>()?)
    }

    /// Takes dead letters of a trigger that are to be delivered again, so many at most.
    pub(super) fn resurrect(
        &self,
        trigger: &str,
        most: u32,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        let mut statement = self.0.prepare_cached(
            "SELECT id, at, trigger, component, attempts, error, attributes, content_type, data
             FROM dead_letters WHERE state = 1 AND trigger = ?1 ORDER BY id LIMIT ?2",
        )?;
        let letters: Vec<DeadLetter> =
            statement.query_map(params![trigger, most], letter)?.collect::<Result<_, _>>()?;
        let mut mark = self.0.prepare_cached("UPDATE dead_letters SET state = ?2 WHERE id = ?1")?;
        letters.iter().try_for_each(|it| mark.execute([it.id, UNDER_WAY]).map(drop))?;
        Ok(letters)
    }

    /// Lets a dead letter wait for its next delivery again.
    pub(super) fn still_asked(&self, id: i64) -> Result<(), QueueError> {
        self.0
            .prepare_cached("UPDATE dead_letters SET state = ?2 WHERE id = ?1 AND state = ?3")?
            .execute(params![id, ASKED, UNDER_WAY])?;
        Ok(())
    }
}

impl From<rusqlite::Error> for QueueError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Database(error.to_string()),
        }
    }
}

fn letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        id: row.get(0)?,
        at: time(row.get(1)?),
        trigger: row.get(2)?,
        component: row.get(3)?,
        attempts: row.get(4)?,
        error: row.get(5)?,
        content: content(row, 6)?,
    })
}

pub(super) fn content(row: &Row<'_>, first: usize) -> rusqlite::Result<Content> {
    let attributes: String = row.get(first)?;
    let data: Vec<u8> = row.get(first + 2)?;
    Ok(Content {
        attributes: serde_json::from_str(&attributes).unwrap_or_default(),
        content_type: row.get(first + 1)?,
        data: data.into(),
    })
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or_default())
}

/// Attributes as JSON: pairs, in their order.
pub(super) fn written(attributes: &[(String, String)]) -> String {
    serde_json::to_string(attributes).unwrap_or_default()
}

/// Milliseconds since 1970.
fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    i64::try_from(since).unwrap_or(i64::MAX)
}

fn time(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(queue: &str, data: &'static str) -> New {
        let content = Content { data: data.into(), ..Content::default() };
        New { queue: queue.to_owned(), delay: Duration::ZERO, priority: 0, content }
    }

    fn data(messages: &[Message]) -> Vec<&str> {
        messages.iter().map(|it| std::str::from_utf8(&it.content.data).unwrap()).collect()
    }

    #[test]
    fn messages_come_by_priority_then_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::open(&folder.path().join("q.db")).unwrap();
        for data in ["1", "2", "3"] {
            table.put(&new("a", data)).unwrap();
        }
        table.put(&New { priority: 1, ..new("a", "urgent") }).unwrap();
        table.put(&New { priority: -1, ..new("a", "idle") }).unwrap();
        table.put(&New { delay: Duration::from_secs(60), ..new("a", "late") }).unwrap();
        table.put(&new("b", "other")).unwrap();
        assert_eq!(data(&table.take("a", 2).unwrap()), ["urgent", "1"]);
        assert_eq!(data(&table.take("a", 9).unwrap()), ["2", "3", "idle"]);
        assert!(table.take("a", 9).unwrap().is_empty());
        let tally = |queue: &str, ready, delayed, taken| Tally {
            queue: queue.to_owned(),
            ready,
            delayed,
            taken,
        };
        assert_eq!(table.tallies().unwrap(), [tally("a", 0, 1, 5), tally("b", 1, 0, 0)]);
    }

    #[test]
    fn several_that_open_a_new_file_at_once_all_have_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("q.db");
        std::thread::scope(|scope| {
            let open = || Table::open(&path).and_then(|table| table.put(&new("a", "1")));
            let all: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            for one in all {
                one.join().unwrap().unwrap();
            }
        });
        assert_eq!(Table::open(&path).unwrap().take("a", 9).unwrap().len(), 8);
    }

    #[test]
    fn a_clock_that_jumps_changes_when_messages_are_due_and_loses_none() {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::open(&folder.path().join("q.db")).unwrap();
        table.put(&New { delay: Duration::from_secs(60), ..new("a", "late") }).unwrap();
        let now = SystemTime::now();
        let taken = |at| table.take_at(at, "a", 9).unwrap().len();
        assert_eq!(taken(now - Duration::from_hours(24)), 0);
        assert_eq!(taken(now + Duration::from_secs(50)), 0);
        assert_eq!(taken(now + Duration::from_hours(24)), 1);
        assert_eq!(taken(now + Duration::from_hours(24)), 0);
        let too_late = New { delay: MOST_DELAY + Duration::from_secs(1), ..new("a", "x") };
        assert!(matches!(table.put(&too_late), Err(QueueError::Delay)));
    }

    #[test]
    fn what_was_taken_by_who_is_gone_is_taken_again_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("q.db");
        let table = Table::open(&path).unwrap();
        table.put(&new("a", "1")).unwrap();
        assert_eq!(table.take("a", 1).unwrap()[0].attempts, 0);
        drop(table);
        let table = Table::open(&path).unwrap();
        assert!(table.take("a", 1).unwrap().is_empty());
        assert_eq!(table.recover().unwrap(), 1);
        let again = table.take("a", 1).unwrap();
        assert_eq!(again[0].attempts, 1);
        table.back(again[0].id).unwrap();
        let again = table.take("a", 1).unwrap();
        assert_eq!(again[0].attempts, 1);
        table.done(again[0].id).unwrap();
        assert_eq!(table.tallies().unwrap(), []);
    }

    #[test]
    fn dead_letters_lie_until_they_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::open(&folder.path().join("q.db")).unwrap();
        let attributes = vec![("id".to_owned(), "7".to_owned())];
        let content = Content { attributes, content_type: None, data: "x".into() };
        let letter = DeadLetter {
            id: 0,
            at: SystemTime::now(),
            trigger: "t".to_owned(),
            component: "c".to_owned(),
            attempts: 5,
            error: "no".to_owned(),
            content: content.clone(),
        };
        let id = table.bury(&letter).unwrap();
        assert!(table.resurrect("t", 9).unwrap().is_empty());
        assert_eq!(table.replay(&[id]).unwrap(), 1);
        assert!(table.resurrect("other", 9).unwrap().is_empty());
        let again = table.resurrect("t", 9).unwrap();
        assert_eq!(again[0].content, content);
        table.bury(&DeadLetter { attempts: 6, ..again[0].clone() }).unwrap();
        let lies = table.dead_letters(&[]).unwrap();
        assert_eq!((lies.len(), lies[0].id, lies[0].attempts), (1, id, 6));
        assert_eq!(table.forget(&[id]).unwrap(), 1);
        assert!(table.dead_letters(&[]).unwrap().is_empty());
    }
}
