//! The functions of `wasi:http` 0.3 that give the host something to keep, bounded as those of 0.2.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource};
use wasmtime_wasi::TrappableError;
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::http::types::{
    HeaderError, Host as _, HostFields, HostRequest as _, Method, Scheme,
};
use wasmtime_wasi_http::{FieldMap, FieldMapError, WasiHttpCtxView};

use crate::HostState;

type Store<'a> = StoreContextMut<'a, HostState>;
type Http<'a> = WasiHttpCtxView<'a>;
type Fields = Resource<FieldMap>;
type Text = Option<String>;
type Set = (Result<(), ()>,);
type Answer<T> = (Result<T, HeaderError>,);

/// Puts the bounds over what the linker has.
pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let mut types = linker.instance("wasi:http/types@0.3.0")?;
    fields(&mut types)?;
    requests(&mut types)
}

fn fields(types: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[static]fields.from-list",
        |mut store: Store, (entries,): (Vec<(String, Vec<u8>)>,)| {
            let state = store.data_mut();
            let paid = state.budget().headers(&entries);
            let mut http = state.http_view();
            let made = paid.map_err(Into::into).and_then(|()| http.from_list(entries));
            match made {
                Ok(fields) => Ok((Ok(fields),)),
                Err(error) => Ok((Err(http.convert_header_error(error)?),)),
            }
        },
    )?;
    types.func_wrap(
        "[method]fields.set",
        |mut store: Store, (fields, name, values): (Fields, String, Vec<Vec<u8>>)| {
            let state = store.data_mut();
            let paid = state.budget().header(&name, &values);
            changed(state, paid, |http| HostFields::set(http, fields, name, values))
        },
    )?;
    types.func_wrap(
        "[method]fields.append",
        |mut store: Store, (fields, name, value): (Fields, String, Vec<u8>)| {
            let state = store.data_mut();
            let paid = state.budget().header(&name, [&value]);
            changed(state, paid, |http| HostFields::append(http, fields, name, value))
        },
    )?;
    types.func_wrap("[method]fields.clone", |mut store: Store, (fields,): (Fields,)| {
        let state = store.data_mut();
        state.pay_for_copy(&fields)?;
        Ok((<Http as HostFields>::clone(&mut state.http_view(), fields)?,))
    })
}

fn changed(
    state: &mut HostState,
    paid: Result<(), FieldMapError>,
    change: impl FnOnce(&mut Http<'_>) -> Result<(), TrappableError<HeaderError>>,
) -> wasmtime::Result<Answer<()>> {
    let mut http = state.http_view();
    match paid.map_err(Into::into).and_then(|()| change(&mut http)) {
        Ok(()) => Ok((Ok(()),)),
        Err(error) => Ok((Err(http.convert_header_error(error)?),)),
    }
}

fn requests(types: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]request.set-method",
        |mut store: Store, (request, method): (Resource<Request>, Method)| {
            let state = store.data_mut();
            let paid = match &method {
                Method::Other(word) => state.budget().word(word),
                _ => true,
            };
            set(state, paid, |http| http.set_method(request, method))
        },
    )?;
    types.func_wrap(
        "[method]request.set-scheme",
        |mut store: Store, (request, scheme): (Resource<Request>, Option<Scheme>)| {
            let state = store.data_mut();
            let paid = match &scheme {
                Some(Scheme::Other(word)) => state.budget().word(word),
                _ => true,
            };
            set(state, paid, |http| http.set_scheme(request, scheme))
        },
    )?;
    types.func_wrap(
        "[method]request.set-authority",
        |mut store: Store, (request, authority): (Resource<Request>, Text)| {
            let state = store.data_mut();
            let paid = state.budget().target(authority.as_ref());
            set(state, paid, |http| http.set_authority(request, authority))
        },
    )?;
    types.func_wrap(
        "[method]request.set-path-with-query",
        |mut store: Store, (request, path): (Resource<Request>, Text)| {
            let state = store.data_mut();
            let paid = state.budget().target(path.as_ref());
            set(state, paid, |http| http.set_path_with_query(request, path))
        },
    )
}

fn set(
    state: &mut HostState,
    paid: bool,
    set: impl FnOnce(&mut Http<'_>) -> wasmtime::Result<Result<(), ()>>,
) -> wasmtime::Result<Set> {
    if paid { Ok((set(&mut state.http_view())?,)) } else { Ok((Err(()),)) }
}
