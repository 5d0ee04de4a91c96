//! Keeps the cache within its size: what was not used for the longest time goes first.
//!
//! A removed artifact stays mapped wherever it is in use.

use std::ffi::CString;
use std::io;
use std::sync::PoisonError;

use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, FileType};

use super::{ArtifactCache, ArtifactKey, folder, name, write};

/// The folder is counted again after this many additions, because other processes add too.
const RECOUNT: u32 = 32;

/// What this process knows of the cache's size.
#[derive(Default)]
pub(super) struct Growth {
    bytes: u64,
    left_until_recount: u32,
}

pub(super) struct Entry {
    name: CString,
    pub(super) bytes: u64,
    used: (i64, u64),
}

impl ArtifactCache {
    /// After an addition: if the cache is too large now, removes the oldest until a tenth is free.
    /// The one that was just added stays, however large it is.
    pub(super) fn make_room(&self, added_bytes: u64, added: &ArtifactKey) {
        let mut growth = self.growth.lock().unwrap_or_else(PoisonError::into_inner);
        growth.bytes += added_bytes;
        if growth.left_until_recount > 0 && growth.bytes <= self.limit_bytes {
            growth.left_until_recount -= 1;
            return;
        }
        remove_leftovers(&self.folder);
        if let Some(notes) = &self.notes {
            notes.make_room();
        }
        let Ok(mut entries) = entries(&self.folder) else { return };
        growth.bytes = entries.iter().map(|entry| entry.bytes).sum();
        growth.left_until_recount = RECOUNT;
        if growth.bytes <= self.limit_bytes {
            return;
        }
        entries.sort_unstable_by_key(|entry| entry.used);
        let target = self.limit_bytes - self.limit_bytes / 10;
        let added = added.file_name();
        for entry in entries.iter().filter(|entry| entry.name.as_bytes() != added.as_bytes()) {
            if growth.bytes <= target {
                break;
            }
            if fs::unlinkat(&self.folder, &*entry.name, AtFlags::empty()).is_ok() {
                growth.bytes -= entry.bytes;
            }
        }
    }
}

/// All artifacts of the folder.
pub(super) fn entries(folder: &OwnedFd) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::Dir::read_from(folder)? {
        let entry = entry?;
        if !name::is_artifact(entry.file_name().to_bytes()) {
            continue;
        }
        // Another process may have removed it.
        let Ok(stat) = fs::statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            entries.push(Entry {
                name: entry.file_name().to_owned(),
                bytes: u64::try_from(stat.st_size).unwrap_or(0),
                used: (stat.st_mtime, stat.st_mtime_nsec),
            });
        }
    }
    Ok(entries)
}

/// Removes what killed processes were writing.
pub(super) fn remove_leftovers(folder: &OwnedFd) {
    let Ok(tmp) = folder::open_tmp(folder) else { return };
    let Ok(dir) = fs::Dir::read_from(&tmp) else { return };
    for entry in dir.flatten() {
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            // What cannot be removed now is tried again later.
            let _ = write::remove_if_abandoned(&tmp, entry.file_name());
        }
    }
}
