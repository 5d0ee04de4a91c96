//! What Spin's version 2 and WASI's draft have alike: the methods of a store for one key.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, LinkerInstance, Lower, Resource};

use super::{Error, Opened, opened};
use crate::HostState;

type State<'a> = StoreContextMut<'a, HostState>;
type Handle = Resource<Opened>;

/// The store behind a handle.
pub(super) fn store(state: &mut State<'_>, handle: &Handle) -> wasmtime::Result<Opened> {
    opened(state.data_mut().table(), handle)
}

/// A result with its interface's own error.
pub(super) fn answer<T, E: From<Error>>(
    result: Result<T, Error>,
) -> wasmtime::Result<(Result<T, E>,)> {
    Ok((result.map_err(E::from),))
}

/// Defines the methods `get`, `set`, `delete` and `exists` of a resource.
pub(super) fn link<E>(
    interface: &mut LinkerInstance<'_, HostState>,
    resource: &str,
) -> wasmtime::Result<()>
where
    E: From<Error> + ComponentType + Lift + Lower + Send + Sync + 'static,
{
    let method = |name: &str| format!("[method]{resource}.{name}");
    interface.func_wrap_async(
        &method("get"),
        |mut state: State<'_>, (handle, key): (Handle, String)| {
            Box::new(async move { answer::<_, E>(store(&mut state, &handle)?.get(&key).await) })
        },
    )?;
    interface.func_wrap_async(
        &method("set"),
        |mut state: State<'_>, (handle, key, value): (Handle, String, Vec<u8>)| {
            Box::new(
                async move { answer::<_, E>(store(&mut state, &handle)?.set(key, value).await) },
            )
        },
    )?;
    interface.func_wrap_async(
        &method("delete"),
        |mut state: State<'_>, (handle, key): (Handle, String)| {
            Box::new(async move { answer::<_, E>(store(&mut state, &handle)?.delete(key).await) })
        },
    )?;
    interface.func_wrap_async(
        &method("exists"),
        |mut state: State<'_>, (handle, key): (Handle, String)| {
            Box::new(async move { answer::<_, E>(store(&mut state, &handle)?.exists(&key).await) })
        },
    )?;
    Ok(())
}
