//! Containers in a bucket of a server that speaks S3: a container is what stands behind a prefix
//! of keys. No key that is made of a guest's names lies outside its prefix.

mod client;
pub(super) mod keys;
mod server;
mod upload;

use std::io;
use std::sync::Arc;

use futures_util::stream::{BoxStream, Fuse};
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{
    Error as StoreError, GetOptions, ObjectMeta, ObjectStore as _, ObjectStoreExt as _, PutMode,
    PutPayload,
};

use super::Error;
use super::container::Facts;
use super::opened::Opened;

pub(super) use server::Servers;
pub use server::UnusableStore;

/// The key that says, behind a container's prefix, that there is such a container. No object has
/// it, because a `.` at the beginning is written otherwise.
const MARKER: &str = ".container";

/// How often an object is looked at anew that changes while it is opened.
const LOOKS: usize = 3;

/// What belongs to one container.
pub(super) struct Part {
    store: Arc<AmazonS3>,
    /// Without the slash behind it.
    prefix: String,
}

impl Part {
    pub(super) fn new(store: Arc<AmazonS3>, prefix: String) -> Self {
        Self { store, prefix }
    }

    /// Whether an object can be copied to the other by the server.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.store, &other.store)
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.is_beside(other) && self.prefix == other.prefix
    }

    fn key(&self, name: &str) -> Result<Path, Error> {
        self.path(&keys::encode(name)?)
    }

    fn path(&self, key: &str) -> Result<Path, Error> {
        Path::parse(format!("{}/{key}", self.prefix)).map_err(|_| Error::Name)
    }

    pub(super) async fn exists(&self) -> Result<bool, Error> {
        match self.store.head(&self.path(MARKER)?).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn must_exist(&self) -> Result<(), Error> {
        if self.exists().await? { Ok(()) } else { Err(Error::NoContainer) }
    }

    pub(super) async fn create(&self) -> Result<(), Error> {
        // Not every server knows of the condition below.
        if self.exists().await? {
            return Err(Error::ContainerExists);
        }
        let marker = self.path(MARKER)?;
        match self.store.put_opts(&marker, PutPayload::new(), PutMode::Create.into()).await {
            Ok(_) => Ok(()),
            Err(StoreError::AlreadyExists { .. }) => Err(Error::ContainerExists),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes it with all its objects.
    pub(super) async fn delete(&self) -> Result<(), Error> {
        self.clear().await?;
        // Last, so that who was interrupted can try again.
        Ok(self.store.delete(&self.path(MARKER)?).await?)
    }

    /// Deletes all objects.
    pub(super) async fn clear(&self) -> Result<(), Error> {
        self.must_exist().await?;
        let prefix = self.prefix.clone();
        let objects = self.store.list(Some(&self.path("")?)).try_filter_map(move |found| {
            let is_object = name_in(&prefix, &found).is_some();
            async move { Ok(is_object.then_some(found.location)) }
        });
        self.deleted(objects.boxed()).await
    }

    /// When it was created, in seconds since 1970.
    pub(super) async fn created(&self) -> Result<u64, Error> {
        match self.store.head(&self.path(MARKER)?).await {
            Ok(found) => Ok(created(&found)),
            Err(StoreError::NotFound { .. }) => Err(Error::NoContainer),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn facts(&self, name: &str) -> Result<Facts, Error> {
        let found = self.store.head(&self.key(name)?).await.map_err(no_object)?;
        Ok(Facts { created: created(&found), bytes: found.size })
    }

    /// Opens an object at a range of it, whose last byte may lie beyond the object's. What is read
    /// is of one version of the object, or the reading fails.
    pub(super) async fn open(&self, name: &str, first: u64, last: u64) -> Result<Opened, Error> {
        let key = self.key(name)?;
        if (first, last) == (0, u64::MAX) {
            return self.get(&key, GetOptions::default()).await.map_err(no_object);
        }
        let mut looks = 0;
        loop {
            let found = self.store.head(&key).await.map_err(no_object)?;
            let end = last.saturating_add(1).min(found.size);
            if first > last || first > end {
                return Err(Error::Range);
            }
            if first == end {
                return Ok(Opened::pieces(futures_util::stream::empty().boxed(), 0));
            }
            let range = GetOptions::new().with_range(Some(first..end)).with_if_match(found.e_tag);
            looks += 1;
            match self.get(&key, range).await {
                Err(StoreError::Precondition { .. }) if looks < LOOKS => {}
                opened => return opened.map_err(no_object),
            }
        }
    }

    async fn get(&self, key: &Path, options: GetOptions) -> Result<Opened, StoreError> {
        let found = self.store.get_opts(key, options).await?;
        let bytes = found.range.end - found.range.start;
        let pieces = found.into_stream().map_err(|error| {
            // The guest is told of what this gives back.
            tracing::warn!(%error, "a blob could not be read to its end");
            io::Error::other("the store failed")
        });
        Ok(Opened::pieces(pieces.boxed(), bytes))
    }

    /// Stores what was written to a file.
    pub(super) async fn put(&self, name: &str, written: &std::fs::File) -> Result<(), Error> {
        let key = self.key(name)?;
        self.must_exist().await?;
        upload::upload(&self.store, &key, written.try_clone()?).await
    }

    /// Copies an object to a part of the same bucket.
    pub(super) async fn copy(&self, name: &str, to: &Self, new_name: &str) -> Result<(), Error> {
        let (from, target) = (self.key(name)?, to.key(new_name)?);
        to.must_exist().await?;
        if from == target {
            // No server copies an object to itself.
            return self.store.head(&from).await.map(drop).map_err(no_object);
        }
        self.store.copy(&from, &target).await.map_err(no_object)
    }

    /// Deletes objects; those that are not there are passed over.
    pub(super) async fn delete_objects(&self, names: &[String]) -> Result<(), Error> {
        let keys: Vec<_> = names.iter().map(|name| self.key(name)).collect::<Result<_, _>>()?;
        self.deleted(futures_util::stream::iter(keys.into_iter().map(Ok)).boxed()).await
    }

    async fn deleted(
        &self,
        keys: BoxStream<'static, Result<Path, StoreError>>,
    ) -> Result<(), Error> {
        Ok(self.store.delete_stream(keys).try_for_each(|_| async { Ok(()) }).await?)
    }

    /// Begins a list of all objects.
    pub(super) async fn list(&self) -> Result<Listing, Error> {
        self.must_exist().await?;
        let found = self.store.list(Some(&self.path("")?)).fuse();
        Ok(Listing { prefix: self.prefix.clone(), found })
    }
}

/// A list of objects that has come somewhere.
pub(super) struct Listing {
    prefix: String,
    found: Fuse<BoxStream<'static, Result<ObjectMeta, StoreError>>>,
}

impl Listing {
    /// The next names, at most so many, and whether there are none after them.
    pub(super) async fn next(&mut self, most: usize) -> Result<(Vec<String>, bool), Error> {
        let mut names = Vec::new();
        while names.len() < most {
            let Some(found) = self.found.next().await else { return Ok((names, true)) };
            names.extend(name_in(&self.prefix, &found?));
        }
        Ok((names, false))
    }
}

/// The name of an object behind a prefix; `None` for what others put there.
fn name_in(prefix: &str, found: &ObjectMeta) -> Option<String> {
    keys::decode(found.location.as_ref().strip_prefix(prefix)?.strip_prefix('/')?)
}

fn no_object(error: StoreError) -> Error {
    match error {
        StoreError::NotFound { .. } => Error::NoObject,
        error => error.into(),
    }
}

/// When an object was last changed: a bucket does not keep when it was created.
fn created(found: &ObjectMeta) -> u64 {
    u64::try_from(found.last_modified.timestamp()).unwrap_or_default()
}
