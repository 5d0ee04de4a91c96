//! Copies of granted files: a folder each set of files, named by what they are, shared by the
//! processes of an app and removed once none of them uses it and another one is made.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
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
        if let Some(lock) = copy(files, parent, &target)? {
            return Ok((target, lock));
        }
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
    // Whoever removes it renames it before, with the lock held; by now another may be in its place.
    Ok(is_at(&lock, folder).then_some(lock))
}

/// Whether a folder is still where it was.
fn is_at(folder: &File, path: &Path) -> bool {
    let identity = |it: io::Result<fs::Metadata>| it.ok().map(|it| (it.dev(), it.ino()));
    identity(folder.metadata()) == identity(path.metadata())
}

/// Makes the folder, with a lock on it; `None` if it was made meanwhile.
fn copy(files: &Copied, parent: &Path, target: &Path) -> Result<Option<File>, FilesError> {
    fs::create_dir_all(parent).map_err(failed(parent))?;
    // One at a time: another's sweep would take a folder that is made and not locked yet.
    let turn = File::open(parent).map_err(failed(parent))?;
    turn.lock().map_err(failed(parent))?;
    if target.is_dir() {
        return Ok(None);
    }
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
    fs::rename(staging.path(), target).map_err(failed(target))?;
    let _ = staging.keep();
    Ok(Some(staged))
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
    use std::thread;

    use super::*;

    #[test]
    fn components_that_start_at_once_leave_each_other_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let parent = folder.path().join("copies");
        let file = |component: usize| folder.path().join(format!("file-{component}"));
        for component in 0..4 {
            fs::write(file(component), component.to_string()).unwrap();
        }
        let starts = |component: usize| {
            for round in 0..40 {
                let guest = PathBuf::from(format!("{round}/file"));
                let files = Copied::from([(guest.clone(), file(component))]);
                let (copies, _lock) = make(&files, &parent).unwrap();
                let copied = fs::read_to_string(copies.join(guest)).unwrap();
                assert_eq!(copied, component.to_string());
            }
        };
        thread::scope(|scope| {
            // Two start with the same files each.
            for start in 0..8 {
                scope.spawn(move || starts(start / 2));
            }
        });
    }

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
