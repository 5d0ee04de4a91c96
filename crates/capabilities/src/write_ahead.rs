//! Has a database of SQLite write ahead, also where several processes open a new one at once.

use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

/// How often is looked whether another process is done.
const PACE: Duration = Duration::from_millis(5);

/// Has the database write ahead, and waits for others that ask for the same of a new one: SQLite does not do
/// that by itself, whatever its timeout.
pub(crate) fn write_ahead(connection: &Connection, patience: Duration) -> rusqlite::Result<()> {
    let begin = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && begin.elapsed() < patience =>
            {
                thread::sleep(PACE);
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_ask_for_it_at_once_have_it() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let path = folder.path().join(round.to_string());
            thread::scope(|scope| {
                let open = || {
                    let connection = Connection::open(&path)?;
                    write_ahead(&connection, Duration::from_secs(10))?;
                    connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))
                };
                let all: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
                for one in all {
                    let mode: String = one.join().unwrap().unwrap();
                    assert_eq!(mode, "wal");
                }
            });
        }
    }
}
