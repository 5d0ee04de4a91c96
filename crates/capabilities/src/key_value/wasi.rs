//! `wasi:keyvalue@0.2.0-draft2`: store, atomics and batch.

use wasmtime::StoreContextMut;
use wasmtime::component::{
    ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType,
};

use super::basics::{self, store};
use super::{Error, Opened, define_resource, open};
use crate::HostState;

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StoreError {
    #[component(name = "no-such-store")]
    #[allow(dead_code, reason = "the interface has it; what is granted is there")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum CasError {
    #[component(name = "store-error")]
    Store(StoreError),
    #[component(name = "cas-failed")]
    Failed(Resource<Swap>),
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct KeyResponse {
    keys: Vec<String>,
    cursor: Option<String>,
}

/// A compare-and-swap under way: the value to compare with is the one that was read last.
struct Swap {
    store: Opened,
    key: String,
    seen: Option<Vec<u8>>,
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::AccessDenied => Self::AccessDenied,
            Error::TableFull => Self::Other("the instance holds too many resources".to_owned()),
            Error::InvalidStore => Self::Other("the store is not open".to_owned()),
            Error::Other(text) => Self::Other(text),
        }
    }
}

type State<'a> = StoreContextMut<'a, HostState>;
type Handle = Resource<Opened>;
type Answer<T> = wasmtime::Result<(Result<T, StoreError>,)>;

fn answer<T>(result: Result<T, Error>) -> Answer<T> {
    basics::answer(result)
}

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    link_store(&mut linker.instance("wasi:keyvalue/store@0.2.0-draft2")?)?;
    link_atomics(&mut linker.instance("wasi:keyvalue/atomics@0.2.0-draft2")?)?;
    link_batch(&mut linker.instance("wasi:keyvalue/batch@0.2.0-draft2")?)
}

fn link_store(interface: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    define_resource(interface, "bucket")?;
    interface.func_wrap("open", |mut state: State<'_>, (label,): (String,)| {
        answer(open(state.data_mut(), &label))
    })?;
    basics::link::<StoreError>(interface, "bucket")?;
    interface.func_wrap_async(
        "[method]bucket.list-keys",
        |mut state: State<'_>, (handle, cursor): (Handle, Option<String>)| {
            Box::new(async move {
                let page = store(&mut state, &handle)?.page(cursor.as_deref()).await;
                answer(page.map(|page| KeyResponse { keys: page.keys, cursor: page.next }))
            })
        },
    )
}

fn link_atomics(interface: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    interface.resource("cas", ResourceType::host::<Swap>(), |mut state, rep| {
        state.data_mut().table().delete(Resource::<Swap>::new_own(rep))?;
        Ok(())
    })?;
    interface.func_wrap_async(
        "[static]cas.new",
        |mut state: State<'_>, (handle, key): (Handle, String)| {
            Box::new(async move {
                let store = store(&mut state, &handle)?;
                answer(begin(&mut state, store, key).await)
            })
        },
    )?;
    interface.func_wrap_async(
        "[method]cas.current",
        |mut state: State<'_>, (handle,): (Resource<Swap>,)| {
            Box::new(async move {
                let Swap { store, key, .. } = state.data_mut().table().get(&handle)?;
                let (store, key) = (store.clone(), key.clone());
                let current = store.get(&key).await;
                if let Ok(value) = &current {
                    state.data_mut().table().get_mut(&handle)?.seen.clone_from(value);
                }
                answer(current)
            })
        },
    )?;
    interface.func_wrap_async(
        "increment",
        |mut state: State<'_>, (handle, key, delta): (Handle, String, i64)| {
            Box::new(async move { answer(store(&mut state, &handle)?.increment(key, delta).await) })
        },
    )?;
    interface.func_wrap_async(
        "swap",
        |mut state: State<'_>, (handle, value): (Resource<Swap>, Vec<u8>)| {
            Box::new(async move {
                let Swap { store, key, seen } = state.data_mut().table().delete(handle)?;
                let failed = match store.swap(key.clone(), seen, value).await {
                    Ok(true) => return Ok((Ok(()),)),
                    // The next attempt, with what is there now.
                    Ok(false) => match begin(&mut state, store, key).await {
                        Ok(next) => CasError::Failed(next),
                        Err(error) => CasError::Store(error.into()),
                    },
                    Err(error) => CasError::Store(error.into()),
                };
                Ok((Err::<(), _>(failed),))
            })
        },
    )
}

async fn begin(state: &mut State<'_>, store: Opened, key: String) -> Result<Resource<Swap>, Error> {
    let seen = store.get(&key).await?;
    let swap = Swap { store, key, seen };
    state.data_mut().table().push(swap).map_err(|_| Error::TableFull)
}

fn link_batch(interface: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    interface.func_wrap_async(
        "get-many",
        |mut state: State<'_>, (handle, keys): (Handle, Vec<String>)| {
            Box::new(async move { answer(store(&mut state, &handle)?.get_many(keys).await) })
        },
    )?;
    interface.func_wrap_async(
        "set-many",
        |mut state: State<'_>, (handle, pairs): (Handle, Vec<(String, Vec<u8>)>)| {
            Box::new(async move { answer(store(&mut state, &handle)?.set_many(pairs).await) })
        },
    )?;
    interface.func_wrap_async(
        "delete-many",
        |mut state: State<'_>, (handle, keys): (Handle, Vec<String>)| {
            Box::new(async move { answer(store(&mut state, &handle)?.delete_many(keys).await) })
        },
    )
}
