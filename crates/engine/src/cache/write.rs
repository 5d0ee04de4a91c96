//! Keeps an artifact: written under another name, then renamed, so that no reader sees a part.
//!
//! Nothing is synced to the disk: a file that a crash of the machine leaves incomplete does not
//! verify, and is compiled again.

use std::fs::File;
use std::io::{self, Write as _};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{ArtifactCache, ArtifactKey, folder, format, name};

impl ArtifactCache {
    pub(super) fn write(&self, key: &ArtifactKey, image: &[u8]) -> io::Result<File> {
        let tmp = folder::open_tmp(&self.folder)?;
        let (tmp_name, mut file) = create(&tmp)?;
        let written = file
            .write_all(image)
            .and_then(|()| file.write_all(&format::trailer(image, key, self.mac_key.as_bytes())))
            .and_then(|()| self.put_in_place(&tmp, &tmp_name, key));
        if let Err(error) = written {
            let _ = fs::unlinkat(&tmp, &*tmp_name, AtFlags::empty());
            return Err(error);
        }
        // The lock said that the file is being written, and it no longer is.
        let _ = fs::flock(&file, FlockOperation::Unlock);
        Ok(file)
    }

    fn put_in_place(&self, tmp: &OwnedFd, tmp_name: &str, key: &ArtifactKey) -> io::Result<()> {
        let name = key.file_name();
        match fs::renameat(tmp, tmp_name, &self.folder, &*name) {
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                // A folder has taken the name. It goes out of the way, whatever is in it.
                fs::renameat(&self.folder, &*name, tmp, name::temporary()?)?;
                fs::renameat(tmp, tmp_name, &self.folder, &*name)?;
                Ok(())
            }
            done => Ok(done?),
        }
    }
}

/// A new file that is locked as long as its writer lives, so that no other process takes it for a
/// leftover.
pub(super) fn create(tmp: &OwnedFd) -> io::Result<(String, File)> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    // Another process may remove the file before it is locked, but hardly each time.
    for _ in 0..100 {
        let name = name::temporary()?;
        let file = fs::openat(tmp, &*name, flags, Mode::RUSR | Mode::WUSR)?;
        match fs::flock(&file, FlockOperation::LockExclusive) {
            // Some network file systems have no locks.
            Ok(()) | Err(Errno::NOLCK | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno.into()),
        }
        if fs::fstat(&file)?.st_nlink > 0 {
            return Ok((name, File::from(file)));
        }
    }
    Err(io::Error::other("new files are removed at once"))
}

/// Whether artifacts can be added: tried, because permissions alone do not say it.
pub(super) fn is_writable(folder: impl AsFd) -> bool {
    let Ok(tmp) = folder::open_tmp(folder) else { return false };
    let Ok((name, mut file)) = create(&tmp) else { return false };
    let written = file.write_all(b"?");
    fs::unlinkat(&tmp, &*name, AtFlags::empty()).is_ok() && written.is_ok()
}

/// Removes files and folders below `tmp` that no process is writing.
pub(super) fn remove_if_abandoned(tmp: &OwnedFd, name: &std::ffi::CStr) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match fs::openat(tmp, name, flags, Mode::empty()) {
        Ok(file) => file,
        // Not even ours to read, or a symbolic link: no writer of ours made it.
        Err(_) => return Ok(fs::unlinkat(tmp, name, AtFlags::empty())?),
    };
    if FileType::from_raw_mode(fs::fstat(&file)?.st_mode) == FileType::Directory {
        return remove_folder(tmp, name, &file, 0);
    }
    // The kernel gives up the lock of a process that died.
    if fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
        fs::unlinkat(tmp, name, AtFlags::empty())?;
    }
    Ok(())
}

/// What was moved out of the way of an artifact; nothing of ours is so deep.
fn remove_folder(
    parent: &OwnedFd,
    name: &std::ffi::CStr,
    folder: &OwnedFd,
    depth: u32,
) -> io::Result<()> {
    const MAX_DEPTH: u32 = 8;
    for entry in fs::Dir::read_from(folder)? {
        let entry = entry?;
        let inner_name = entry.file_name();
        if matches!(inner_name.to_bytes(), b"." | b"..") {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match fs::openat(folder, inner_name, flags, Mode::empty()) {
            Ok(inner) if depth < MAX_DEPTH => remove_folder(folder, inner_name, &inner, depth + 1)?,
            Ok(_) => return Err(io::Error::other("folders are nested too deeply")),
            Err(_) => fs::unlinkat(folder, inner_name, AtFlags::empty())?,
        }
    }
    Ok(fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}
