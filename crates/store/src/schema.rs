//! The database's form: numbered steps, each from one version to the next. A step that was released
//! is never changed.

use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tempfile::NamedTempFile;

use crate::{BUSY, Result, StoreError};

/// The steps. Version n has had the first n.
const STEPS: [&str; 10] = [
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
    include_str!("migrations/0010.sql"),
];

/// Opens a database that only this user reads, and brings it to the latest version.
pub(crate) fn open(file: &Path) -> Result<Connection> {
    reserve(file)?;
    let mut connection = Connection::open(file)?;
    connection.busy_timeout(BUSY)?;
    // What is acknowledged survives a power cut; readers and a writer go on beside each other.
    write_ahead(&connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "secure_delete", true)?;
    // Whoever is hardened has no other folder for what large statements put aside.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(64);
    migrate(&mut connection, file)?;
    Ok(connection)
}

/// Has the database write ahead. Where several processes ask for that of a new one at once, SQLite does not
/// wait by itself.
pub(crate) fn write_ahead(connection: &Connection) -> Result<()> {
    let begin = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && begin.elapsed() < BUSY =>
            {
                thread::sleep(Duration::from_millis(5));
            }
            done => return Ok(done?),
        }
    }
}

/// Makes the file, unless it is there. SQLite would make it as the umask has it, and gives its log and
/// its index the permissions of the file.
pub(crate) fn reserve(file: &Path) -> Result<()> {
    if file.exists() {
        return Ok(());
    }
    let folder = file.parent().unwrap_or(file);
    // Under its name it is opened by SQLite alone: another handle that is closed would take the locks
    // along that this process has on it.
    let empty = NamedTempFile::new_in(folder).map_err(StoreError::io(folder))?.into_temp_path();
    match empty.persist_noclobber(file) {
        Err(failed) if failed.error.kind() != io::ErrorKind::AlreadyExists => {
            Err(StoreError::io(file)(failed.error))
        }
        _ => Ok(()),
    }
}

fn migrate(connection: &mut Connection, file: &Path) -> Result<()> {
    let known = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    if version(connection)? == known {
        return Ok(());
    }
    // Of several processes one does it, and the others find it done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = version(&transaction)?;
    if version > known {
        return Err(StoreError::Newer { path: file.to_owned(), version, known });
    }
    for step in STEPS.iter().skip(version as usize) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}

fn version(connection: &Connection) -> Result<u32> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All tables and indexes, as SQLite has them.
    fn form(connection: &Connection) -> Vec<String> {
        let mut all =
            connection.prepare("SELECT sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY name");
        let rows = all.as_mut().unwrap().query_map([], |row| row.get(0)).unwrap();
        rows.map(|row: rusqlite::Result<String>| row.unwrap()).collect()
    }

    #[test]
    fn every_earlier_version_becomes_the_latest() {
        let folder = tempfile::tempdir().unwrap();
        let latest = form(&open(&folder.path().join("new")).unwrap());
        for version in 0..=STEPS.len() {
            let file = folder.path().join(version.to_string());
            let old = Connection::open(&file).unwrap();
            STEPS[..version].iter().for_each(|step| old.execute_batch(step).unwrap());
            old.pragma_update(None, "user_version", version as u32).unwrap();
            if version > 0 {
                // What is there stays there.
                old.execute_batch("UPDATE clock SET generation = 7").unwrap();
            }
            drop(old);
            let opened = open(&file).unwrap();
            assert_eq!(form(&opened), latest, "{version}");
            let generation: u64 =
                opened.query_row("SELECT generation FROM clock", [], |row| row.get(0)).unwrap();
            assert_eq!(generation, if version > 0 { 7 } else { 0 });
        }
    }

    #[test]
    fn a_newer_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new");
        open(&file).unwrap().pragma_update(None, "user_version", 1000).unwrap();
        assert!(matches!(open(&file), Err(StoreError::Newer { version: 1000, .. })));
    }

    #[test]
    fn two_that_open_a_new_one_at_once_both_find_it_done() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new");
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&file).map(drop))).collect();
            for one in all {
                one.join().unwrap().unwrap();
            }
        });
    }
}
