//! Copies of granted files: a folder each set of files, named by what they are, shared by the
//! processes of an app and removed once none of them uses it and another one is made.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{Copied, FilesError};

/// How often another process may remove a folder while it is being found.
const ATTEMPTS: usize = 10;

fn failed(path: &Path) -> impl FnOnce(io::Error) -> FilesError {
    move |source| FilesError::Copy { path: path.to_owned(), source }
}

/// The folder of these copies, and a lock on it: while that is held, nobody removes the folder. A
/// start that finds the folder has nothing to copy. It appears whole or not at all.
pub(super) fn make(files: &Copied, parent: &Path) -> Result<(PathBuf, File), FilesError> {
    let target = parent.join(fingerprint(files)?);
    for _ in 0..ATTEMPTS {
        if let Some(lock) = lock(&target).map_err(failed(&target))? {
            return Ok((target, lock));
        }
        copy(files, parent, &target)?;
    }
    Err(failed(&target)(io::ErrorKind::ResourceBusy.into()))
}

/// Locks a folder; `None` if it is not there.
fn lock(folder: &Path) -> io::Result<Option<File>> {
    let lock = match File::open(folder) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    lock.lock_shared()?;
    // Whoever removes it renames it before, with the lock held.
    Ok(folder.is_dir().then_some(lock))
}

fn copy(files: &Copied, parent: &Path, target: &Path) -> Result<(), FilesError> {
    fs::create_dir_all(parent).map_err(failed(parent))?;
    let staging = tempfile::tempdir_in(parent).map_err(failed(parent))?;
    let staged = File::open(staging.path()).map_err(failed(parent))?;
    staged.lock_shared().map_err(failed(parent))?;
    sweep(parent);
    for (guest, host) in files {
        let copy = staging.path().join(guest);
        if let Some(folder) = copy.parent() {
            fs::create_dir_all(folder).map_err(failed(host))?;
        }
        fs::copy(host, &copy).map_err(failed(host))?;
    }
    match fs::rename(staging.path(), target) {
        Ok(()) => {
            let _ = staging.keep();
            Ok(())
        }
        // Another process of the same app was faster; its copy is the same.
        Err(_) if target.is_dir() => Ok(()),
        Err(source) => Err(failed(target)(source)),
    }
}

/// Removes the folders that nobody holds a lock on. What cannot be removed stays.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(folder) = File::open(&path) else { continue };
        if folder.try_lock().is_ok() {
            // Under another name first, so that nobody takes half of it for all.
            let gone = path.with_extension("gone");
            if fs::rename(&path, &gone).is_ok() {
                let _ = fs::remove_dir_all(&gone);
            }
        }
    }
}

fn fingerprint(files: &Copied) -> Result<String, FilesError> {
    let mut hash = blake3::Hasher::new();
    for (guest, host) in files {
        let metadata = host.metadata().map_err(failed(host))?;
        let changed = metadata.modified().map_err(failed(host))?;
        let nanos = changed.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos());
        for part in [host.as_os_str(), guest.as_os_str()] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_encoded_bytes());
        }
        hash.update(&metadata.len().to_le_bytes());
        hash.update(&nanos.to_le_bytes());
    }
    Ok(hash.finalize().to_hex()[..32].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_that_nobody_uses_are_removed_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let (file, parent) = (folder.path().join("file"), folder.path().join("copies"));
        let files = Copied::from([(PathBuf::from("a/file"), file.clone())]);
        let copies = || fs::read_dir(&parent).unwrap().count();
        fs::write(&file, "one").unwrap();
        let (first, lock) = make(&files, &parent).unwrap();
        assert_eq!(fs::read_to_string(first.join("a/file")).unwrap(), "one");
        assert_eq!(make(&files, &parent).unwrap().0, first);
        fs::write(&file, "another").unwrap();
        let (second, _held) = make(&files, &parent).unwrap();
        assert!(first.is_dir() && second.is_dir());
        drop(lock);
        fs::write(&file, "and a third").unwrap();
        let (third, _held) = make(&files, &parent).unwrap();
        assert!(!first.exists() && second.is_dir());
        assert_eq!(fs::read_to_string(third.join("a/file")).unwrap(), "and a third");
        assert_eq!(copies(), 2);
    }
}
