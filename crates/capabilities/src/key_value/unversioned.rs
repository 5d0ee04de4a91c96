//! `fermyon:spin/key-value` as it was before it had a version: stores are numbers, and a key that
//! is not there is an error.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower, Resource};

use super::{Error, Opened, close, open, opened};
use crate::HostState;

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum OldError {
    #[component(name = "store-table-full")]
    StoreTableFull,
    #[component(name = "no-such-store")]
    #[allow(dead_code, reason = "the interface has it; what is granted is there")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "invalid-store")]
    InvalidStore,
    #[component(name = "no-such-key")]
    NoSuchKey,
    #[component(name = "io")]
    Io(String),
}

impl From<Error> for OldError {
    fn from(error: Error) -> Self {
        match error {
            Error::TableFull => Self::StoreTableFull,
            Error::AccessDenied => Self::AccessDenied,
            Error::InvalidStore => Self::InvalidStore,
            Error::Other(text) => Self::Io(text),
        }
    }
}

type State<'a> = StoreContextMut<'a, HostState>;
type Answer<T> = wasmtime::Result<(Result<T, OldError>,)>;

/// The store of a number, which may be any the guest made up.
fn store(state: &mut State<'_>, number: u32) -> Result<Opened, Error> {
    let handle = Resource::<Opened>::new_own(number);
    opened(state.data_mut().table(), &handle).map_err(|_| Error::InvalidStore)
}

fn answer<T>(result: Result<T, Error>) -> Answer<T> {
    Ok((result.map_err(OldError::from),))
}

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance("fermyon:spin/key-value")?;
    interface.func_wrap("open", |mut state: State<'_>, (label,): (String,)| {
        answer(open(state.data_mut(), &label).map(|handle| handle.rep()))
    })?;
    interface.func_wrap("close", |mut state: State<'_>, (number,): (u32,)| {
        // There is no error for a number that means nothing.
        let _ = close(state.data_mut(), number);
        Ok(())
    })?;
    interface.func_wrap_async("get", |mut state: State<'_>, (number, key): (u32, String)| {
        Box::new(async move { Ok((get(&mut state, number, &key).await,)) })
    })?;
    interface.func_wrap_async(
        "set",
        |mut state: State<'_>, (number, key, value): (u32, String, Vec<u8>)| {
            Box::new(async move {
                answer(match store(&mut state, number) {
                    Ok(store) => store.set(key, value).await,
                    Err(error) => Err(error),
                })
            })
        },
    )?;
    interface.func_wrap_async("delete", |mut state: State<'_>, (number, key): (u32, String)| {
        Box::new(async move {
            answer(match store(&mut state, number) {
                Ok(store) => store.delete(key).await,
                Err(error) => Err(error),
            })
        })
    })?;
    interface.func_wrap_async("exists", |mut state: State<'_>, (number, key): (u32, String)| {
        Box::new(async move {
            answer(match store(&mut state, number) {
                Ok(store) => store.exists(&key).await,
                Err(error) => Err(error),
            })
        })
    })?;
    interface.func_wrap_async("get-keys", |mut state: State<'_>, (number,): (u32,)| {
        Box::new(async move {
            answer(match store(&mut state, number) {
                Ok(store) => store.all_keys().await,
                Err(error) => Err(error),
            })
        })
    })
}

async fn get(state: &mut State<'_>, number: u32, key: &str) -> Result<Vec<u8>, OldError> {
    store(state, number)?.get(key).await?.ok_or(OldError::NoSuchKey)
}
