//! Copies of a store that runs, and a store from a copy. A copy has the records as they were at one
//! moment, what was used, every blob that they name, what apps keep, and releases as they are laid out. The key is
//! not in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use dayfly_model::platform::{BlobDigest, ReleaseId};
use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use crate::blobs::{digest_of_file, entries, sync};
use crate::{DATABASE, Result, Store, StoreError, USAGE_DATABASE, private};

/// The first bytes of a database of SQLite's.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// The folder of an app in which the files of its guests lie.
const WRITTEN: &str = "written";

/// Pages of a database that are copied before others may write again.
const PAGES: i32 = 1024;

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Blobs.
    pub blobs: u64,
    /// Files of releases and of apps.
    pub files: u64,
}

impl Store {
    /// Copies the store into a folder that is not there, while it is in use. Blobs are linked where
    /// the folder lies on the same disk.
    ///
    /// # Errors
    /// If the folder is there, or cannot be written, or the store fails.
    pub fn backup(&self, to: &Path) -> Result<Copied> {
        free(to)?;
        // Nothing is collected meanwhile.
        let lock = self.files_lock()?;
        lock.lock_shared().map_err(StoreError::io(self.folder()))?;
        private(&to.join("blobs/sha256"))?;
        let file = to.join(DATABASE);
        copy_database(&self.folder().join(DATABASE), &file)?;
        copy_usage(self.folder(), to)?;
        let mut copied = Copied::default();
        for digest in named(&file)? {
            let copy = to.join("blobs/sha256").join(digest.digits());
            link(&self.blob_path(&digest), &copy)?;
            copied.blobs += 1;
        }
        let (releases, target) = (self.folder().join("releases"), to.join("releases"));
        private(&target)?;
        for (name, path) in entries(&releases)? {
            // What is being laid out is no release yet.
            if format!("sha256:{name}").parse::<ReleaseId>().is_ok() {
                copy_folder(&path, &target.join(&name), Files::Unchanging, &mut copied)?;
            }
        }
        copy_folder(&self.folder().join("apps"), &to.join("apps"), Files::Ours, &mut copied)?;
        sync(&target)?;
        sync(&to.join("blobs/sha256"))?;
        sync(to)?;
        Ok(copied)
    }
}

/// Makes a store in a folder that is not there from a copy; every blob is checked by its digest.
///
/// # Errors
/// If the folder is there, the copy is damaged, or something cannot be written.
pub fn restore(from: &Path, to: &Path) -> Result<Copied> {
    free(to)?;
    private(&to.join("blobs/sha256"))?;
    let mut copied = Copied::default();
    for digest in named(&from.join(DATABASE))? {
        let copy = to.join("blobs/sha256").join(digest.digits());
        copy_file(&from.join("blobs/sha256").join(digest.digits()), &copy)?;
        let actual = digest_of_file(&copy)?;
        if actual != digest {
            return Err(StoreError::Digest { expected: digest, actual });
        }
        copied.blobs += 1;
    }
    for name in ["releases", "apps"] {
        copy_folder(&from.join(name), &to.join(name), Files::Guests, &mut copied)?;
    }
    copy_usage(from, to)?;
    sync(&to.join("blobs/sha256"))?;
    // It is a store from here on.
    copy_database(&from.join(DATABASE), &to.join(DATABASE))?;
    sync(to)?;
    Ok(copied)
}

fn free(folder: &Path) -> Result<()> {
    let is_free = match folder.read_dir() {
        Ok(entries) => entries.count() == 0,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    match is_free {
        true => Ok(()),
        false => Err(StoreError::Taken(format!("the folder `{}`", folder.display()))),
    }
}

/// The blobs that a database names, if it is whole.
fn named(file: &Path) -> Result<Vec<BlobDigest>> {
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let sound: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(StoreError::record(format!("`{}` is damaged: {sound}", file.display())));
    }
    let mut all = db.prepare("SELECT DISTINCT digest FROM blobs")?;
    let rows = all.query_and_then([], |row| {
        row.get::<_, String>(0)?.parse::<BlobDigest>().map_err(StoreError::record)
    })?;
    rows.collect()
}

/// Copies what was used, if anything was.
fn copy_usage(from: &Path, to: &Path) -> Result<()> {
    match from.join(USAGE_DATABASE) {
        from if from.exists() => copy_database(&from, &to.join(USAGE_DATABASE)),
        _ => Ok(()),
    }
}

/// Copies a database as it is at one moment.
fn copy_database(from: &Path, to: &Path) -> Result<()> {
    // Its log is part of it, which only those read that may write.
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    source.busy_timeout(crate::BUSY)?;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    made.map_err(StoreError::io(to))?;
    let mut target = Connection::open(to)?;
    Backup::new(&source, &mut target)?.run_to_completion(PAGES, Duration::ZERO, None)?;
    target.pragma_update(None, "journal_mode", "DELETE")?;
    drop(target);
    File::open(to).and_then(|file| file.sync_all()).map_err(StoreError::io(to))
}

/// What the files of a folder are, which says how they are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Files {
    /// They never change: they are linked where that is possible.
    Unchanging,
    /// The platform's, which change: databases among them are copied as such.
    Ours,
    /// Guests', or those of a copy: whatever they claim to be, they are bytes.
    Guests,
}

/// Copies a folder. A file that goes meanwhile is left out, unless none should.
pub(crate) fn copy_folder(from: &Path, to: &Path, files: Files, copied: &mut Copied) -> Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    private(to)?;
    for (name, path) in entries(from)? {
        match copy_entry(&name, &path, &to.join(&name), files, copied) {
            Err(error) if files != Files::Unchanging && is_gone(&error) => {}
            done => done?,
        }
    }
    sync(to)
}

/// Copies a file or folder; what is neither is left out.
fn copy_entry(name: &str, from: &Path, to: &Path, files: Files, copied: &mut Copied) -> Result<()> {
    let kind = from.symlink_metadata().map_err(StoreError::io(from))?.file_type();
    if kind.is_dir() {
        let guests = files == Files::Ours && name == WRITTEN;
        return copy_folder(from, to, if guests { Files::Guests } else { files }, copied);
    }
    // A log is part of the database that it belongs to.
    if !kind.is_file() || files == Files::Ours && is_log(from) {
        return Ok(());
    }
    match files {
        Files::Unchanging => link(from, to)?,
        Files::Ours if is_database(from) => copy_claimed(from, to)?,
        Files::Ours | Files::Guests => copy_file(from, to)?,
    }
    copied.files += 1;
    Ok(())
}

/// Copies what claims to be a database: one that cannot be read as that is copied as it is, because
/// it fails nobody else's copy.
fn copy_claimed(from: &Path, to: &Path) -> Result<()> {
    let error = match copy_database(from, to) {
        Err(StoreError::Database(error)) => error,
        done => return done,
    };
    tracing::warn!(file = ?from, "it is copied as it is, because it cannot be read as a database: {error}");
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(to)(error)),
        _ => copy_file(from, to),
    }
}

fn is_gone(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

fn is_database(path: &Path) -> bool {
    let mut head = [0; SQLITE.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && head == *SQLITE
}

fn is_log(path: &Path) -> bool {
    let name = path.to_str().unwrap_or_default();
    let of = ["-wal", "-shm", "-journal"].into_iter().find_map(|end| name.strip_suffix(end));
    of.is_some_and(|database| is_database(Path::new(database)))
}

fn link(from: &Path, to: &Path) -> Result<()> {
    fs::hard_link(from, to).or_else(|_| copy(from, to)).map_err(StoreError::io(from))
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    copy(from, to).map_err(StoreError::io(from))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut source, &mut target)?;
    target.sync_all()
}
