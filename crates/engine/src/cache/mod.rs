//! The artifact cache: compiled components on disk, one file each, shared by all processes of a
//! user.
//!
//! An artifact is native code that the process will run, so nothing in the folder is trusted that
//! does not carry a MAC under the user's key (`key.rs`, `format.rs`). Whatever is wrong with a
//! file, or with the folder, costs a compilation and a warning, never a failure: the cache is only
//! ever a shortcut. What it leaves out: when to compile (`engine.rs`).
//!
//! ```text
//! <cache_dir>/artifacts-1/key       32 random bytes, mode 0600
//! <cache_dir>/artifacts-1/tmp/      files being written, each locked by its writer
//! <cache_dir>/artifacts-1/<key>     artifacts, named by 64 hexadecimal digits; images; what was made;
//!                                   records
//! <cache_dir>/artifacts-1/notes/    what later processes need not find out again (`notes.rs`)
//! ```

mod evict;
mod folder;
pub(crate) mod format;
mod key;
mod made;
mod name;
mod notes;
mod read;
mod records;
mod write;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::OwnedFd;

use crate::Digest;

pub use name::ArtifactKey;
pub(crate) use name::fingerprint;

/// Why there is no artifact cache. Components are compiled at each start then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The folder could not be made or opened.
    #[error("failed to open the artifact cache `{}`", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The folder belongs to someone else, who could put code into it.
    #[error("the artifact cache `{}` belongs to another user (hint: choose another cache folder)", path.display())]
    Owner {
        /// The folder.
        path: PathBuf,
    },
    /// The key could not be read or made.
    #[error("failed to open the key of the artifact cache `{}`", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Others could know, or have chosen, the key.
    #[error(
        "the key of the artifact cache `{}` is no file that only its owner, the user of this \
         process, can read (hint: remove it; every artifact is then compiled again)",
        path.display()
    )]
    KeyExposed {
        /// The key's file.
        path: PathBuf,
    },
}

/// What `dayfly doctor` says of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheStats {
    /// The folder.
    pub path: PathBuf,
    /// Artifacts in it, of all versions and engine configurations.
    pub entries: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// What they may take, in bytes.
    pub limit_bytes: u64,
    /// Whether artifacts can be added.
    pub writable: bool,
}

/// The artifact cache of one user in one folder.
pub struct ArtifactCache {
    path: PathBuf,
    folder: OwnedFd,
    limit_bytes: u64,
    mac_key: key::MacKey,
    notes: Option<notes::Notes>,
    verified: Mutex<read::Verified>,
    growth: Mutex<evict::Growth>,
    warned: AtomicBool,
}

impl fmt::Debug for ArtifactCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArtifactCache").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ArtifactCache {
    /// Opens the cache below `cache_dir`, and makes it if it is not there.
    ///
    /// # Errors
    /// When it cannot be used, or not safely.
    pub fn open(cache_dir: &Path, limit_bytes: u64) -> Result<ArtifactCache, CacheError> {
        let path = cache_dir.join(folder::NAME);
        let folder = folder::open(&path)?;
        let mac_key = key::open(&folder, &path)?;
        let notes = notes::Notes::open(&folder, &mac_key);
        evict::remove_leftovers(&folder);
        Ok(ArtifactCache {
            path,
            folder,
            limit_bytes,
            mac_key,
            notes,
            verified: Mutex::default(),
            growth: Mutex::default(),
            warned: AtomicBool::new(false),
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the folder is there still. Once somebody has removed it, what other processes make is put
    /// into another one, of which this process knows nothing.
    pub fn is_there(&self) -> bool {
        rustix::fs::fstat(&self.folder).is_ok_and(|stat| stat.st_nlink > 0)
    }

    /// Counts what is in it.
    pub fn stats(&self) -> CacheStats {
        let entries = evict::entries(&self.folder).unwrap_or_default();
        CacheStats {
            path: self.path.clone(),
            entries: entries.len() as u64,
            bytes: entries.iter().map(|entry| entry.bytes).sum(),
            limit_bytes: self.limit_bytes,
            writable: write::is_writable(&self.folder),
        }
    }

    /// What this process, or an earlier one of the same program since the machine started, noted
    /// under a name.
    pub fn note(&self, name: &Digest) -> Option<Vec<u8>> {
        self.notes.as_ref()?.read(name)
    }

    /// Notes at most 256 bytes under a name for later processes, as well as it can.
    pub fn keep_note(&self, name: &Digest, text: &[u8]) {
        if let Some(notes) = &self.notes
            && let Err(error) = notes.write(&self.folder, name, text)
        {
            tracing::debug!(path = %self.path.display(), %error, "note is not kept");
        }
    }

    /// The artifact of this key, opened and verified; `None` when there is none that can be trusted.
    pub(crate) fn get(&self, key: &ArtifactKey) -> Option<File> {
        match self.read(key) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(artifact = %key, path = %self.path.display(),
                    "artifact is not used: {error}");
                None
            }
        }
    }

    /// Keeps an artifact, and hands out its opened file; `None` when it could not be kept.
    pub(crate) fn put(&self, key: &ArtifactKey, elf: &[u8]) -> Option<File> {
        match self.write(key, elf) {
            Ok(file) => {
                self.make_room(elf.len() as u64, key);
                Some(file)
            }
            Err(error) => {
                // A cache that cannot be written to says so once, not for each component.
                if self.warned.swap(true, Ordering::Relaxed) {
                    tracing::debug!(path = %self.path.display(), %error, "artifact is not kept");
                } else {
                    tracing::warn!(path = %self.path.display(), %error,
                        "artifacts are not kept: each start compiles again");
                }
                None
            }
        }
    }
}
