//! A folder that is a container: a file an object. Objects are written elsewhere and take their place at
//! once, so that a reader sees the old one or the new, whole, whatever happens meanwhile.

use std::fs::{self, File, ReadDir};
use std::io::{self, ErrorKind, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use tempfile::{NamedTempFile, TempPath};
use tokio::sync::Semaphore;

use super::Error;
use super::container::Facts;
use super::names::{decode, encode};
use super::opened::Opened;

/// What all objects of a container may have together, in bytes.
pub(super) const CONTAINER_BYTES: u64 = 4 << 30;

/// How many objects a container may have.
pub(super) const OBJECTS: u64 = 1_000_000;

/// How many calls wait for a disk at once, of all guests.
static TURNS: Semaphore = Semaphore::const_new(32);

/// A folder, whether it exists or not.
pub(super) struct Folder {
    folder: PathBuf,
    /// What it holds, once somebody wanted to know. Whoever changes that holds the lock.
    usage: Mutex<Option<Usage>>,
}

#[derive(Default, Clone, Copy)]
struct Usage {
    bytes: u64,
    objects: u64,
}

/// Runs what blocks, in its turn.
pub(super) async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    // The semaphore is never closed. A call that is given up keeps its turn until it is done.
    let turn = TURNS.acquire().await;
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        job()
    });
    done.await.unwrap_or_else(|_| Err(io::Error::from(ErrorKind::Interrupted).into()))
}

impl Folder {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, usage: Mutex::default() }
    }

    pub(super) async fn exists(self: Arc<Self>) -> Result<bool, Error> {
        blocking(move || Ok(self.folder.try_exists()?)).await
    }

    pub(super) async fn create(self: Arc<Self>) -> Result<(), Error> {
        blocking(move || {
            if let Some(parent) = self.folder.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut usage = self.usage();
            match fs::create_dir(&self.folder) {
                Ok(()) => *usage = Some(Usage::default()),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    return Err(Error::ContainerExists);
                }
                Err(error) => return Err(error.into()),
            }
            Ok(())
        })
        .await
    }

    /// Deletes it with all its objects.
    pub(super) async fn delete(self: Arc<Self>) -> Result<(), Error> {
        blocking(move || {
            let mut usage = self.usage();
            *usage = None;
            fs::remove_dir_all(&self.folder).map_err(no_container)
        })
        .await
    }

    /// Deletes all objects.
    pub(super) async fn clear(self: Arc<Self>) -> Result<(), Error> {
        blocking(move || {
            let mut usage = self.usage();
            *usage = None;
            for entry in fs::read_dir(&self.folder).map_err(no_container)? {
                removed(&entry?.path())?;
            }
            *usage = Some(Usage::default());
            Ok(())
        })
        .await
    }

    /// When it was created, in seconds since 1970.
    pub(super) async fn created(self: Arc<Self>) -> Result<u64, Error> {
        blocking(move || Ok(created(&fs::metadata(&self.folder).map_err(no_container)?))).await
    }

    pub(super) async fn facts(self: Arc<Self>, name: String) -> Result<Facts, Error> {
        blocking(move || {
            let found = fs::metadata(self.path(&name)?).map_err(no_object)?;
            Ok(Facts { created: created(&found), bytes: found.len() })
        })
        .await
    }

    /// Opens an object at a range of it, whose last byte may lie beyond the object's. It stays what
    /// it is, whatever becomes of the object.
    pub(super) async fn open(
        self: Arc<Self>,
        name: String,
        first: u64,
        last: u64,
    ) -> Result<Opened, Error> {
        blocking(move || {
            let mut file = File::open(self.path(&name)?).map_err(no_object)?;
            let length = file.metadata()?.len();
            let end = last.saturating_add(1).min(length);
            if first > last || first > end {
                return Err(Error::Range);
            }
            file.seek(SeekFrom::Start(first))?;
            Ok(Opened::file(file, end - first))
        })
        .await
    }

    /// Puts what was written to a file in an object's place.
    pub(super) fn put(&self, name: &str, written: NamedTempFile) -> Result<(), Error> {
        let path = self.path(name)?;
        written.as_file().sync_data()?;
        let bytes = written.as_file().metadata()?.len();
        self.place(&path, bytes, written.into_temp_path())
    }

    /// Moves a file to an object's place, if there is room.
    fn place(&self, path: &Path, bytes: u64, file: TempPath) -> Result<(), Error> {
        let mut usage = self.usage();
        let now = self.measured(&mut usage)?;
        let old = size(path)?;
        let next = Usage {
            bytes: now.bytes - old.unwrap_or_default().min(now.bytes) + bytes,
            objects: now.objects + u64::from(old.is_none()),
        };
        if next.bytes > CONTAINER_BYTES || next.objects > OBJECTS {
            return Err(Error::Full);
        }
        file.persist(path).map_err(|error| no_container(error.error))?;
        *usage = Some(next);
        drop(usage);
        // The new name lasts only once the folder is on the disk too.
        Ok(File::open(&self.folder)?.sync_all()?)
    }

    /// Copies an object.
    pub(super) async fn copy(
        self: Arc<Self>,
        name: String,
        to: Arc<Self>,
        new_name: String,
    ) -> Result<(), Error> {
        blocking(move || self.copy_now(&name, &to, &new_name)).await
    }

    /// The same at once; it blocks.
    pub(super) fn copy_now(&self, name: &str, to: &Self, new_name: &str) -> Result<(), Error> {
        let mut old = File::open(self.path(name)?).map_err(no_object)?;
        let path = to.path(new_name)?;
        let mut copy = NamedTempFile::with_prefix_in(".tmp-", &to.folder).map_err(no_container)?;
        io::copy(&mut old, copy.as_file_mut())?;
        copy.as_file().sync_data()?;
        let bytes = copy.as_file().metadata()?.len();
        to.place(&path, bytes, copy.into_temp_path())
    }

    /// Moves an object.
    pub(super) async fn rename(
        self: Arc<Self>,
        name: String,
        to: Arc<Self>,
        new_name: String,
    ) -> Result<(), Error> {
        blocking(move || {
            if Arc::ptr_eq(&self, &to) && name == new_name {
                return size(&self.path(&name)?)?.map(drop).ok_or(Error::NoObject);
            }
            self.copy_now(&name, &to, &new_name)?;
            self.remove(&name)
        })
        .await
    }

    /// Deletes objects; those that are not there are passed over.
    pub(super) async fn delete_objects(self: Arc<Self>, names: Vec<String>) -> Result<(), Error> {
        blocking(move || {
            for name in &names {
                encode(name)?;
            }
            names.iter().try_for_each(|name| self.remove(name))
        })
        .await
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name)?;
        let mut usage = self.usage();
        let Some(bytes) = size(&path)? else { return Ok(()) };
        removed(&path)?;
        if let Some(usage) = usage.as_mut() {
            usage.bytes -= bytes.min(usage.bytes);
            usage.objects -= usage.objects.min(1);
        }
        Ok(())
    }

    /// Begins a list of all objects.
    pub(super) async fn list(self: Arc<Self>) -> Result<Listing, Error> {
        blocking(move || Ok(Listing(fs::read_dir(&self.folder).map_err(no_container)?))).await
    }

    fn path(&self, name: &str) -> Result<PathBuf, Error> {
        Ok(self.folder.join(encode(name)?))
    }

    fn usage(&self) -> MutexGuard<'_, Option<Usage>> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the container holds, counted if it was not.
    fn measured(&self, usage: &mut Option<Usage>) -> Result<Usage, Error> {
        if let Some(usage) = usage {
            return Ok(*usage);
        }
        let mut found = Usage::default();
        for entry in fs::read_dir(&self.folder).map_err(no_container)? {
            found.bytes += entry?.metadata()?.len();
            found.objects += 1;
        }
        *usage = Some(found);
        Ok(found)
    }
}

/// A list of objects that has come somewhere.
pub(super) struct Listing(ReadDir);

impl Listing {
    /// The next names, at most so many, and whether there are none after them.
    pub(super) fn next(&mut self, most: usize) -> Result<(Vec<String>, bool), Error> {
        let mut names = Vec::new();
        while names.len() < most {
            let Some(entry) = self.0.next() else { return Ok((names, true)) };
            names.extend(entry?.file_name().to_str().and_then(decode));
        }
        Ok((names, false))
    }
}

/// The size of a file that may not be there.
fn size(path: &Path) -> Result<Option<u64>, Error> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Removes a file that may not be there.
fn removed(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn no_container(error: io::Error) -> Error {
    if error.kind() == ErrorKind::NotFound { Error::NoContainer } else { error.into() }
}

fn no_object(error: io::Error) -> Error {
    if error.kind() == ErrorKind::NotFound { Error::NoObject } else { error.into() }
}

/// Where a file system does not keep when a file was created, when it was last changed.
fn created(found: &fs::Metadata) -> u64 {
    let time = found.created().or_else(|_| found.modified()).ok();
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}
