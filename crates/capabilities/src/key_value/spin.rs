//! `fermyon:spin/key-value@2.0.0`.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower, Resource};

use super::basics::{self, store};
use super::{Error, Opened, define_resource, open};
use crate::HostState;

/// The error of versions 2 and 3, which differ in nothing but their names.
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(variant)]
pub(super) enum SpinError {
    #[component(name = "store-table-full")]
    StoreTableFull,
    #[component(name = "no-such-store")]
    #[allow(dead_code, reason = "the interface has it; what is granted is there")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

impl From<Error> for SpinError {
    fn from(error: Error) -> Self {
        match error {
            Error::TableFull => Self::StoreTableFull,
            Error::AccessDenied => Self::AccessDenied,
            Error::InvalidStore => Self::Other("the store is not open".to_owned()),
            Error::Other(text) => Self::Other(text),
        }
    }
}

type State<'a> = StoreContextMut<'a, HostState>;
type Handle = Resource<Opened>;
type Answer<T> = wasmtime::Result<(Result<T, SpinError>,)>;

fn answer<T>(result: Result<T, Error>) -> Answer<T> {
    basics::answer(result)
}

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance("fermyon:spin/key-value@2.0.0")?;
    define_resource(&mut interface, "store")?;
    interface.func_wrap("[static]store.open", |mut state: State<'_>, (label,): (String,)| {
        answer(open(state.data_mut(), &label))
    })?;
    basics::link::<SpinError>(&mut interface, "store")?;
    interface.func_wrap_async(
        "[method]store.get-keys",
        |mut state: State<'_>, (handle,): (Handle,)| {
            Box::new(async move { answer(store(&mut state, &handle)?.all_keys().await) })
        },
    )
}
