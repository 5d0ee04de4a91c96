//! The user's key, under which artifacts are authenticated.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{CacheError, folder, name, write};

const NAME: &str = "key";
const BYTES: usize = 32;

/// The key. It has no `Debug`, so that it gets into no log.
pub(super) struct MacKey([u8; BYTES]);

impl MacKey {
    pub(super) fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }
}

enum Found {
    Key(MacKey),
    Missing,
    /// A crash of the machine left an incomplete file.
    Torn,
}

/// Reads the key, or makes it. Of processes that make it at the same time one wins, and all use
/// its key.
pub(super) fn open(folder: &OwnedFd, folder_path: &Path) -> Result<MacKey, CacheError> {
    let path = folder_path.join(NAME);
    let failed = |source: io::Error| CacheError::Key { path: path.clone(), source };
    // Two rounds are enough alone; more only if other processes remove keys meanwhile.
    for _ in 0..8 {
        match read(folder, &path)? {
            Found::Key(key) => return Ok(key),
            Found::Missing => {}
            Found::Torn => {
                tracing::warn!(path = %path.display(), "incomplete key is replaced");
                let _ = fs::unlinkat(folder, NAME, AtFlags::empty());
            }
        }
        make(folder).map_err(failed)?;
    }
    Err(failed(io::Error::other("it does not stay")))
}

fn read(folder: &OwnedFd, path: &Path) -> Result<Found, CacheError> {
    let failed = |source: io::Error| CacheError::Key { path: path.to_owned(), source };
    let exposed = || CacheError::KeyExposed { path: path.to_owned() };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match fs::openat(folder, NAME, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(Found::Missing),
        Err(Errno::LOOP) => return Err(exposed()),
        Err(errno) => return Err(failed(errno.into())),
    };
    let stat = fs::fstat(&file).map_err(|e| failed(e.into()))?;
    let is_private = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && stat.st_uid == rustix::process::geteuid().as_raw()
        && stat.st_mode & 0o077 == 0;
    if !is_private {
        return Err(exposed());
    }
    let mut bytes = Vec::with_capacity(BYTES + 1);
    File::from(file).take(BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes.try_into().map_or(Found::Torn, |key| Found::Key(MacKey(key))))
}

/// Writes a key under another name, and gives it its name if no other process was faster.
fn make(folder: &OwnedFd) -> io::Result<()> {
    let bytes: [u8; BYTES] = name::random()?;
    let tmp = folder::open_tmp(folder)?;
    let (tmp_name, mut file) = write::create(&tmp)?;
    file.write_all(&bytes)?;
    // Without it a crash of the machine could leave an empty key, and with it every artifact lost.
    file.sync_all()?;
    let named = match fs::linkat(&tmp, &*tmp_name, folder, NAME, AtFlags::empty()) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        // A file system without hard links.
        Err(_) => match fs::renameat_with(&tmp, &*tmp_name, folder, NAME, RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno.into()),
        },
    };
    let _ = fs::unlinkat(&tmp, &*tmp_name, AtFlags::empty());
    named
}
