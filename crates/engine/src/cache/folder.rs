//! The cache's folder: made, checked, and held open, so that no path is walked twice.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use super::CacheError;

/// The folder's name; its number rises when its layout changes.
pub(super) const NAME: &str = "artifacts-1";
/// The folder of files that are being written.
pub(super) const TMP: &str = "tmp";

/// The folder of notes.
const NOTES: &str = "notes";

const PRIVATE: Mode = Mode::RWXU;

/// Opens the folder, making it when it is missing.
pub(super) fn open(path: &Path) -> Result<OwnedFd, CacheError> {
    let failed = |source: io::Error| CacheError::Folder { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let folder = fs::open(path, flags(), Mode::empty()).map_err(|e| failed(e.into()))?;
    let stat = fs::fstat(&folder).map_err(|e| failed(e.into()))?;
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(CacheError::Owner { path: path.to_owned() });
    }
    if stat.st_mode & 0o077 != 0 {
        fs::fchmod(&folder, PRIVATE).map_err(|e| failed(e.into()))?;
    }
    match fs::mkdirat(&folder, TMP, PRIVATE) {
        // In a read-only cache there is nothing to be written either.
        Ok(()) | Err(Errno::EXIST | Errno::ROFS | Errno::ACCESS) => Ok(folder),
        Err(errno) => Err(failed(errno.into())),
    }
}

/// Opens the folder of files that are being written.
pub(super) fn open_tmp(folder: impl AsFd) -> rustix::io::Result<OwnedFd> {
    fs::openat(folder, TMP, flags(), Mode::empty())
}

/// Opens the folder of notes, making it when it is missing.
pub(super) fn open_notes(folder: impl AsFd) -> rustix::io::Result<OwnedFd> {
    match fs::mkdirat(&folder, NOTES, PRIVATE) {
        Ok(()) | Err(Errno::EXIST | Errno::ROFS | Errno::ACCESS) => {}
        Err(errno) => return Err(errno),
    }
    fs::openat(folder, NOTES, flags(), Mode::empty())
}

/// Never through a symbolic link.
fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}
