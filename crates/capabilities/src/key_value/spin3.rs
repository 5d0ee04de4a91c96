//! `spin:key-value@3.0.0`, whose functions are asynchronous and whose list of keys is a stream.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use wasmtime::component::{Accessor, Linker, Resource};

use super::spin::SpinError;
use super::{Error, Opened, define_resource, open, opened};
use crate::{HostState, streamed};

type Access<'a> = &'a Accessor<HostState>;
type Handle = Resource<Opened>;
type Answer<T> = wasmtime::Result<(Result<T, SpinError>,)>;
type Keys = streamed::Streamed<String, SpinError>;

fn store(access: Access<'_>, handle: &Handle) -> wasmtime::Result<Opened> {
    access.with(|mut access| opened(access.get().table(), handle))
}

fn answer<T>(result: Result<T, Error>) -> Answer<T> {
    Ok((result.map_err(SpinError::from),))
}

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance("spin:key-value/key-value@3.0.0")?;
    define_resource(&mut interface, "store")?;
    interface.func_wrap_concurrent(
        "[static]store.open",
        |access: Access<'_>, (label,): (String,)| {
            let opened = access.with(|mut access| open(access.get(), &label));
            Box::pin(async move { answer(opened) })
        },
    )?;
    interface.func_wrap_concurrent(
        "[method]store.get",
        |access: Access<'_>, (handle, key): (Handle, String)| {
            Box::pin(async move { answer(store(access, &handle)?.get(&key).await) })
        },
    )?;
    interface.func_wrap_concurrent(
        "[method]store.set",
        |access: Access<'_>, (handle, key, value): (Handle, String, Vec<u8>)| {
            Box::pin(async move { answer(store(access, &handle)?.set(key, value).await) })
        },
    )?;
    interface.func_wrap_concurrent(
        "[method]store.delete",
        |access: Access<'_>, (handle, key): (Handle, String)| {
            Box::pin(async move { answer(store(access, &handle)?.delete(key).await) })
        },
    )?;
    interface.func_wrap_concurrent(
        "[method]store.exists",
        |access: Access<'_>, (handle, key): (Handle, String)| {
            Box::pin(async move { answer(store(access, &handle)?.exists(&key).await) })
        },
    )?;
    interface.func_wrap_concurrent(
        "[method]store.get-keys",
        |access: Access<'_>, (handle,): (Handle,)| Box::pin(async move { keys(access, &handle) }),
    )
}

/// Streams the keys; the next page is asked for when the guest has taken one.
fn keys(access: Access<'_>, handle: &Handle) -> wasmtime::Result<(Keys,)> {
    let store = store(access, handle)?;
    let pages = stream::try_unfold(Some(None), move |from: Option<Option<String>>| {
        let store = store.clone();
        async move {
            let Some(from) = from else { return Ok::<_, SpinError>(None) };
            let page = store.page(from.as_deref()).await.map_err(SpinError::from)?;
            Ok(Some((page.keys, page.next.map(Some))))
        }
    });
    let keys = pages
        .map_ok(|keys| stream::iter(keys).map(|key| Ok((size_of_val(key.as_str()), key))))
        .try_flatten()
        .map_ok(|(bytes, key)| (key, bytes));
    let nothing_more = || {};
    Ok((access.with(|access| streamed::stream(access, Box::pin(keys), nothing_more))?,))
}
