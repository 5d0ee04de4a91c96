//! Blobs: `wasi:blobstore`. A component uses the containers that its manifest's `blob_containers`
//! lists, each a folder in the app's state folder, or a part of a bucket if the operator says so
//! ([`dayfly_model::RuntimeConfig`]). Components that list the same name share it.

mod container;
mod error;
mod folder;
mod host;
mod names;
mod opened;
mod s3;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use dayfly_model::{Component, RuntimeConfig};

use container::{Container, Spool};
use error::Error;
pub use s3::UnusableStore;

use crate::Grants;
use crate::registry::Capability;
use crate::under_way::UnderWay;

/// What values of one component that are being written may take of the disk, in bytes.
const UNFINISHED_BYTES: usize = 2 << 30;

/// This capability's line in the registry.
pub const CAPABILITY: Capability = Capability {
    name: "blobstore",
    interfaces: host::INTERFACES,
    granted_by: &[("blob_containers", host::INTERFACES)],
    link: host::link,
};

/// The containers of an app, by name.
pub struct Containers {
    folder: PathBuf,
    servers: s3::Servers,
    known: Mutex<BTreeMap<String, Arc<Container>>>,
}

impl Containers {
    /// The containers of the app of that name, where `config` says, or else in the folder `blobs`
    /// of the app's state. Nothing is opened.
    ///
    /// # Errors
    /// If a store that `config` describes cannot be used.
    pub fn new(config: &RuntimeConfig, state: &Path, app: &str) -> Result<Self, UnusableStore> {
        let servers = s3::Servers::new(&config.blob_stores, app)?;
        Ok(Self { folder: state.join("blobs"), servers, known: Mutex::default() })
    }

    fn find(&self, name: &str) -> Arc<Container> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(match self.servers.part(name) {
                Some(part) => Container::in_bucket(name, part),
                None => Container::in_folder(name, self.folder.join(name)),
            })
        };
        known.entry(name.to_owned()).or_insert_with(new).clone()
    }
}

/// One component's containers, by name.
#[derive(Default)]
pub struct Grant {
    containers: BTreeMap<String, Arc<Container>>,
    /// Where values are that are being written.
    unfinished: PathBuf,
    under_way: OnceLock<UnderWay>,
}

impl Grant {
    /// The containers that the component's manifest lists; none of them is opened or made yet.
    pub fn prepare(component: &Component, containers: &Containers) -> Self {
        let granted = component.blob_containers.iter();
        Self {
            containers: granted.map(|name| (name.clone(), containers.find(name))).collect(),
            // No container is called so.
            unfinished: containers.folder.join(".unfinished"),
            under_way: OnceLock::new(),
        }
    }

    /// A container that the component was granted, whether it exists or not.
    fn container(&self, name: &str) -> Result<Arc<Container>, Error> {
        self.containers.get(name).cloned().ok_or(Error::NotGranted)
    }

    /// Where bytes are that are in no container yet, and who pays for them.
    fn spool(grants: &Arc<Grants>) -> Spool {
        let Self { unfinished, under_way, .. } = &grants.blobs;
        let under_way = under_way.get_or_init(|| UnderWay::new(UNFINISHED_BYTES)).clone();
        let keeper = grants.account.is_some().then(|| grants.clone());
        Spool { folder: unfinished.clone(), under_way, keeper }
    }
}
