//! What a node reads of a platform's store, whatever that is.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use super::{Activation, AppId, BlobDigest, Generation, ReleaseId, TenantId, Used};

/// A store failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StoreFailure(#[from] pub Box<dyn Error + Send + Sync>);

/// What is active. A node asks for the [generation](Self::generation) several times a second, for the
/// [stamps](Self::stamps) when that has grown, and for what changed.
pub trait ReleaseStore: Send + Sync {
    /// The generation of the latest change of anything that is served.
    ///
    /// # Errors
    /// If the store fails.
    fn generation(&self) -> Result<Generation, StoreFailure>;

    /// Every app that has something active, and the generation of its latest change. An app that is
    /// not there is to be served no more.
    ///
    /// # Errors
    /// If the store fails.
    fn stamps(&self) -> Result<BTreeMap<AppId, Generation>, StoreFailure>;

    /// What is active of an app; nothing if it is gone, or nothing is.
    ///
    /// # Errors
    /// If the store fails, or a secret cannot be decrypted.
    fn activation(&self, app: &AppId) -> Result<Option<Activation>, StoreFailure>;

    /// Notes what became of an app's activation: it is served, or why it cannot be. Of two notes of
    /// one app the one of the later generation stays.
    ///
    /// # Errors
    /// If the store fails.
    fn note(
        &self,
        app: &AppId,
        generation: Generation,
        outcome: Result<(), &str>,
    ) -> Result<(), StoreFailure>;
}

/// What tenants have taken of the quotas that are counted for longer than a node may live.
pub trait UsedStore: Send + Sync {
    /// What a tenant has taken; nothing where there is none, or it has taken nothing.
    ///
    /// # Errors
    /// If the store fails.
    fn used(&self, tenant: &TenantId) -> Result<Used, StoreFailure>;

    /// Adds what tenants have taken [since](Used::since) it was kept last, all of it or nothing; one that is
    /// not there is passed over. It is added because nodes that follow one another count at the same time.
    ///
    /// # Errors
    /// If the store fails.
    fn add_used(&self, all: &[(TenantId, Used)]) -> Result<(), StoreFailure>;
}

/// Where files of releases lie, and who makes their code.
pub trait ArtifactStore: Send + Sync {
    /// The file of a blob, if it is here.
    ///
    /// # Errors
    /// If the store fails.
    fn blob(&self, digest: &BlobDigest) -> Result<Option<PathBuf>, StoreFailure>;

    /// The folder that a release is laid out in, a manifest and all that it names; it is there for
    /// every release that is active.
    fn release_folder(&self, release: &ReleaseId) -> PathBuf;

    /// The folder for what an app keeps, by its [tenant's number](Activation::tenant_number) and its
    /// [own](Activation::number); it may have to be made.
    fn state_folder(&self, tenant: u64, number: u64) -> PathBuf;

    /// Asks for the code of an app's release, which is not in the artifact cache: whoever makes releases
    /// ready makes it once more. It may be asked again and again. Gives why it cannot be made, if that has
    /// turned out; after a while that is tried again.
    ///
    /// # Errors
    /// If the app has no such release, or the store fails.
    fn want(&self, app: &AppId, release: &ReleaseId) -> Result<Option<String>, StoreFailure>;
}
