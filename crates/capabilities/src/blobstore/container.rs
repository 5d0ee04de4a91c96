//! A container, wherever it is: a folder, or a part of a bucket.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::NamedTempFile;

use super::Error;
use super::folder::{self, Folder, blocking};
use super::opened::Opened;
use super::s3::{self, Part};
use super::value::OBJECT_BYTES;
use crate::Grants;
use crate::under_way::UnderWay;

/// A container, whether it exists or not.
pub(super) struct Container {
    pub(super) name: String,
    place: Place,
}

enum Place {
    Folder(Arc<Folder>),
    Bucket(Part),
}

/// What is known of an object.
pub(super) struct Facts {
    /// In seconds since 1970.
    pub(super) created: u64,
    pub(super) bytes: u64,
}

/// Where bytes are that are in no container yet, and how many there may be.
#[derive(Clone)]
pub(super) struct Spool {
    pub(super) folder: PathBuf,
    pub(super) under_way: UnderWay,
    /// Who pays for what is kept; nobody where there are no tenants.
    pub(super) keeper: Option<Arc<Grants>>,
}

impl Container {
    pub(super) fn in_folder(name: &str, folder: PathBuf) -> Self {
        Self { name: name.to_owned(), place: Place::Folder(Arc::new(Folder::new(folder))) }
    }

    pub(super) fn in_bucket(name: &str, part: Part) -> Self {
        Self { name: name.to_owned(), place: Place::Bucket(part) }
    }

    /// Whether an object may have that name.
    pub(super) fn check(&self, name: &str) -> Result<(), Error> {
        match &self.place {
            Place::Folder(_) => super::names::encode(name).map(drop),
            Place::Bucket(_) => s3::keys::encode(name).map(drop),
        }
    }

    pub(super) async fn exists(&self) -> Result<bool, Error> {
        match &self.place {
            Place::Folder(folder) => folder.clone().exists().await,
            Place::Bucket(part) => part.exists().await,
        }
    }

    pub(super) async fn create(&self) -> Result<(), Error> {
        match &self.place {
            Place::Folder(folder) => folder.clone().create().await,
            Place::Bucket(part) => part.create().await,
        }
    }

    /// Deletes it with all its objects.
    pub(super) async fn delete(&self) -> Result<(), Error> {
        match &self.place {
            Place::Folder(folder) => folder.clone().delete().await,
            Place::Bucket(part) => part.delete().await,
        }
    }

    /// Deletes all objects.
    pub(super) async fn clear(&self) -> Result<(), Error> {
        match &self.place {
            Place::Folder(folder) => folder.clone().clear().await,
            Place::Bucket(part) => part.clear().await,
        }
    }

    /// When it was created, in seconds since 1970.
    pub(super) async fn created(&self) -> Result<u64, Error> {
        match &self.place {
            Place::Folder(folder) => folder.clone().created().await,
            Place::Bucket(part) => part.created().await,
        }
    }

    pub(super) async fn facts(&self, name: String) -> Result<Facts, Error> {
        match &self.place {
            Place::Folder(folder) => folder.clone().facts(name).await,
            Place::Bucket(part) => part.facts(&name).await,
        }
    }

    pub(super) async fn has(&self, name: String) -> Result<bool, Error> {
        match self.facts(name).await {
            Ok(_) => Ok(true),
            Err(Error::NoObject) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Opens an object at a range of it, whose last byte may lie beyond the object's.
    pub(super) async fn open(&self, name: String, first: u64, last: u64) -> Result<Opened, Error> {
        match &self.place {
            Place::Folder(folder) => folder.clone().open(name, first, last).await,
            Place::Bucket(part) => part.open(&name, first, last).await,
        }
    }

    /// Copies an object.
    pub(super) async fn copy(
        &self,
        name: String,
        to: &Self,
        new_name: String,
        spool: &Spool,
    ) -> Result<(), Error> {
        if let (Place::Folder(_), Some(keeper)) = (&to.place, &spool.keeper) {
            let bytes = self.facts(name.clone()).await?.bytes;
            keeper.keep(usize::try_from(bytes).unwrap_or(usize::MAX))?;
        }
        match (&self.place, &to.place) {
            (Place::Folder(from), Place::Folder(to)) => {
                from.clone().copy(name, to.clone(), new_name).await
            }
            (Place::Bucket(from), Place::Bucket(to)) if from.is_beside(to) => {
                from.copy(&name, to, &new_name).await
            }
            _ => {
                to.check(&new_name)?;
                let opened = self.open(name, 0, u64::MAX).await?;
                if opened.bytes() > OBJECT_BYTES {
                    return Err(Error::TooLarge);
                }
                let bytes = usize::try_from(opened.bytes()).map_err(|_| Error::TooLarge)?;
                let _held = spool.under_way.take(bytes)?;
                to.put(new_name, opened.copied(spool.folder.clone()).await?).await
            }
        }
    }

    /// Moves an object.
    pub(super) async fn rename(
        &self,
        name: String,
        to: &Self,
        new_name: String,
        spool: &Spool,
    ) -> Result<(), Error> {
        match (&self.place, &to.place) {
            (Place::Folder(from), Place::Folder(to)) => {
                from.clone().rename(name, to.clone(), new_name).await
            }
            (Place::Bucket(from), Place::Bucket(to)) if from.is_same(to) && name == new_name => {
                from.facts(&name).await.map(drop)
            }
            _ => {
                self.copy(name.clone(), to, new_name, spool).await?;
                self.delete_objects(vec![name]).await
            }
        }
    }

    async fn put(&self, name: String, written: NamedTempFile) -> Result<(), Error> {
        match &self.place {
            Place::Folder(folder) => {
                let folder = folder.clone();
                blocking(move || folder.put(&name, written)).await
            }
            Place::Bucket(part) => part.put(&name, written.as_file()).await,
        }
    }

    /// Deletes objects; those that are not there are passed over.
    pub(super) async fn delete_objects(&self, names: Vec<String>) -> Result<(), Error> {
        match &self.place {
            Place::Folder(folder) => folder.clone().delete_objects(names).await,
            Place::Bucket(part) => part.delete_objects(&names).await,
        }
    }

    /// Begins a list of all objects.
    pub(super) async fn list(&self) -> Result<Listing, Error> {
        match &self.place {
            Place::Folder(folder) => folder.clone().list().await.map(Listing::Folder),
            Place::Bucket(part) => part.list().await.map(Listing::Bucket),
        }
    }
}

/// Puts what was written to a file wherever it was said to go: into buckets first, because a folder
/// takes the file itself.
pub(super) async fn store(
    written: NamedTempFile,
    destinations: Vec<(Arc<Container>, String)>,
) -> Result<(), Error> {
    let mut folders = Vec::new();
    for (container, name) in destinations {
        match &container.place {
            Place::Folder(folder) => folders.push((folder.clone(), name)),
            Place::Bucket(part) => part.put(&name, written.as_file()).await?,
        }
    }
    blocking(move || {
        let mut folders = folders.iter();
        let Some((first, name)) = folders.next() else { return Ok(()) };
        first.put(name, written)?;
        folders.try_for_each(|(other, new_name)| first.copy_now(name, other, new_name))
    })
    .await
}

/// A list of objects that has come somewhere.
pub(super) enum Listing {
    Folder(folder::Listing),
    Bucket(s3::Listing),
}

impl Listing {
    /// The next names, at most so many, and whether there are none after them.
    pub(super) async fn next(self, most: usize) -> Result<(Self, (Vec<String>, bool)), Error> {
        match self {
            Self::Folder(mut listing) => {
                blocking(move || {
                    let read = listing.next(most)?;
                    Ok((Self::Folder(listing), read))
                })
                .await
            }
            Self::Bucket(mut listing) => {
                let read = listing.next(most).await?;
                Ok((Self::Bucket(listing), read))
            }
        }
    }
}
