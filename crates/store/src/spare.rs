//! Room on the disk that is kept for a start when there is no other: even a database that is only read has the
//! index of its log beside it, which is a file and made anew by whoever opens it first. It is given up then, and
//! kept again once there is room.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};

use crate::{Result, Store, StoreError};

/// The file's name in the folder.
const SPARE: &str = "spare";

/// Enough for what is noted at a start, and for the indexes of some thirty databases.
const SPARE_BYTES: u64 = 1 << 20;

impl Store {
    /// Keeps the room, unless it is kept, or there is none.
    pub(crate) fn keep_spare(&self) {
        let path = self.folder().join(SPARE);
        if let Err(error) = keep(&path) {
            tracing::debug!(%error, "no room is kept for a start on a full disk");
            // A part of it is nobody's use.
            let _ = fs::remove_file(&path);
        }
    }
}

/// Opens something in a folder; where the disk is full, by the room that is kept there.
pub(crate) fn open<T>(folder: &Path, open: impl Fn() -> Result<T>) -> Result<T> {
    match open() {
        Err(StoreError::Full) if fs::remove_file(folder.join(SPARE)).is_ok() => {
            tracing::error!("the disk is full: what is there is served, and little can be written");
            open()
        }
        opened => opened,
    }
}

fn keep(path: &Path) -> io::Result<()> {
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    Ok(fallocate(file, FallocateFlags::empty(), 0, SPARE_BYTES)?)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn room_is_given_up_for_a_start_on_a_full_disk_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let spare = folder.path().join(SPARE);
        keep(&spare).unwrap();
        keep(&spare).unwrap();
        assert!(spare.metadata().unwrap().blocks() * 512 >= SPARE_BYTES);
        let tried = Cell::new(0);
        let opened = open(folder.path(), || {
            tried.set(tried.get() + 1);
            if spare.exists() { Err(StoreError::Full) } else { Ok(()) }
        });
        assert!(opened.is_ok() && tried.get() == 2);
        // There is no more of it.
        let full = open(folder.path(), || Err::<(), _>(StoreError::Full));
        assert!(matches!(full, Err(StoreError::Full)));
        keep(&spare).unwrap();
        assert!(open(folder.path(), || Err::<(), _>(StoreError::Key)).is_err() && spare.exists());
    }
}
