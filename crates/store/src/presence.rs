//! Whether a node serves what is in the store: it holds a lock for as long as it does, which ends with its
//! process, however that ends.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::{Result, Store, StoreError};

/// The lock's name in the folder.
const LOCK: &str = "node.lock";

impl Store {
    /// Says that a node serves, for as long as what is returned is there. Two may at once, while one
    /// follows the other.
    ///
    /// # Errors
    /// If the lock cannot be had.
    pub fn serve(&self) -> Result<File> {
        let path = self.folder().join(LOCK);
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(StoreError::io(&path))?;
        file.lock_shared().map_err(StoreError::io(&path))?;
        Ok(file)
    }

    /// Whether a node serves.
    #[must_use]
    pub fn is_served(&self) -> bool {
        is_served(self.folder())
    }
}

/// Whether a node serves what is in the store of a folder, which need not be there.
#[must_use]
pub fn is_served(folder: &Path) -> bool {
    let Ok(file) = File::options().write(true).open(folder.join(LOCK)) else { return false };
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}
