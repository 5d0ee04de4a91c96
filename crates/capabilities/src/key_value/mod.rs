//! Key-value stores: Spin's `key-value` in all its versions and `wasi:keyvalue`. A component opens
//! the stores whose labels its manifest's `key_value_stores` lists; what is behind a label, the
//! operator says ([`dayfly_model::RuntimeConfig`]), an embedded file by default.

mod backend;
mod basics;
mod error;
mod opened;
mod spin;
mod spin3;
mod unversioned;
mod wasi;

use std::collections::BTreeMap;
use std::sync::Arc;

use dayfly_engine::Flavour;
use dayfly_model::Component;
use dayfly_telemetry::Capability as Called;
use thiserror::Error as ThisError;
use wasmtime::component::{Linker, Resource, ResourceTable};

pub use backend::{Store, Stores};
pub(crate) use error::Error;
use opened::Opened;

use crate::HostState;
use crate::refusals::{Refusal, shortened};
use crate::registry::Capability;

/// The interfaces of this capability, all of which give nothing without a store.
const INTERFACES: &[&str] = &[
    "fermyon:spin/key-value",
    "fermyon:spin/key-value@2.0.0",
    "spin:key-value/key-value@3.0.0",
    "wasi:keyvalue/store@0.2.0-draft2",
    "wasi:keyvalue/atomics@0.2.0-draft2",
    "wasi:keyvalue/batch@0.2.0-draft2",
];

/// This capability's line in the registry.
pub const CAPABILITY: Capability = Capability {
    name: "key-value",
    interfaces: INTERFACES,
    granted_by: &[("key_value_stores", INTERFACES)],
    link,
};

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 4096;

/// The largest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 4 << 20;

/// What one call may bring back or take along, in bytes: values of a batch, or keys of a list.
pub const MAX_CALL_BYTES: usize = 8 << 20;

/// How many stores an instance may hold open: few enough that it can still make a response.
pub const MAX_OPEN: u32 = 256;

/// How many keys a batch may name.
pub const MAX_BATCH: usize = 10_000;

fn link(linker: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    unversioned::link(linker)?;
    spin::link(linker)?;
    wasi::link(linker)?;
    if flavour.is_concurrent() {
        spin3::link(linker)?;
    }
    Ok(())
}

/// A label that a component was granted and that means no store.
#[derive(Debug, ThisError)]
#[error("no store is behind the label `{0}`")]
pub struct UnknownStore(pub String);

/// Why the operator could not store something, or look at it.
#[derive(Debug, ThisError)]
pub enum StoreError {
    /// There is no such store.
    #[error(transparent)]
    Store(#[from] UnknownStore),
    /// The store did not do it; the text says why.
    #[error("store `{0}`: {1}")]
    Refused(String, String),
}

impl Stores {
    /// Sets a key on behalf of the operator, whatever is granted to whom.
    ///
    /// # Errors
    /// If nothing is behind the label, or the store does not take the key or the value.
    pub async fn set(&self, label: &str, key: &str, value: Vec<u8>) -> Result<(), StoreError> {
        let store = self.find(label).ok_or_else(|| UnknownStore(label.to_owned()))?;
        store.set(key.to_owned(), value).await.map_err(|error| refused(label, error))
    }

    /// What is under a key, for the operator.
    ///
    /// # Errors
    /// If nothing is behind the label, or the store does not answer.
    pub async fn get(&self, label: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let store = self.find(label).ok_or_else(|| UnknownStore(label.to_owned()))?;
        store.get(key).await.map_err(|error| refused(label, error))
    }
}

fn refused(label: &str, error: Error) -> StoreError {
    let problem = match error {
        Error::Other(problem) => problem,
        Error::AccessDenied | Error::InvalidStore | Error::TableFull => {
            "it cannot be opened".to_owned()
        }
    };
    StoreError::Refused(label.to_owned(), problem)
}

/// One component's stores, by label.
#[derive(Default)]
pub struct Grant {
    stores: BTreeMap<String, Arc<Store>>,
}

impl Grant {
    /// The stores whose labels the component's manifest lists; none of them is opened yet.
    ///
    /// # Errors
    /// A label that means no store.
    pub fn prepare(component: &Component, stores: &Stores) -> Result<Self, UnknownStore> {
        let granted = component.key_value_stores.iter().map(|label| {
            let store = stores.find(label).ok_or_else(|| UnknownStore(label.clone()))?;
            Ok((label.clone(), store))
        });
        Ok(Self { stores: granted.collect::<Result<_, UnknownStore>>()? })
    }
}

/// Opens a store for a guest.
fn open(state: &mut HostState, label: &str) -> Result<Resource<Opened>, Error> {
    let call = state.grants().call(Called::KeyValue, "open");
    let is_refusal = |error: &Error| matches!(error, Error::AccessDenied | Error::TableFull);
    call.end_with(try_open(state, label), is_refusal)
}

fn try_open(state: &mut HostState, label: &str) -> Result<Resource<Opened>, Error> {
    let grants = state.grants();
    let Some(store) = grants.key_value.stores.get(label).cloned() else {
        grants.refusals.note(Refusal::Store, |unsaid| {
            let (component, store) = (&grants.component, shortened(label));
            tracing::warn!(
                %component, store, unsaid, "refused: `key_value_stores` does not grant this store"
            );
            grants.tell_ungranted("key_value_stores", format_args!("[{store:?}]"));
        });
        return Err(Error::AccessDenied);
    };
    if state.open_stores == MAX_OPEN {
        return Err(Error::TableFull);
    }
    let grants = state.shared_grants();
    let handle = state.table().push(Opened { store, grants }).map_err(|_| Error::TableFull)?;
    state.open_stores += 1;
    Ok(handle)
}

/// Gives a handle back.
fn close(state: &mut HostState, handle: u32) -> wasmtime::Result<()> {
    state.table().delete(Resource::<Opened>::new_own(handle))?;
    state.open_stores -= 1;
    Ok(())
}

/// The store behind a handle.
fn opened(table: &ResourceTable, handle: &Resource<Opened>) -> wasmtime::Result<Opened> {
    Ok(table.get(handle)?.clone())
}

/// Defines the resource by which guests hold stores, under an interface's own name.
fn define_resource(
    interface: &mut wasmtime::component::LinkerInstance<'_, HostState>,
    name: &str,
) -> wasmtime::Result<()> {
    let ty = wasmtime::component::ResourceType::host::<Opened>();
    interface.resource(name, ty, |mut state, rep| close(state.data_mut(), rep))
}
