//! The functions of `wasi:http` 0.2 that give the host something to keep, each defined again over
//! wasmtime-wasi-http's with a look at the instance's [`Budget`](super::budget::Budget) first.

use wasmtime::component::{Linker, LinkerInstance, Resource};
use wasmtime::{StoreContextMut, bail};
use wasmtime_wasi_http::p2::HeaderResult;
use wasmtime_wasi_http::p2::bindings::http::types::{
    HeaderError, Host as _, HostFields, HostOutgoingRequest, HostOutgoingResponse, Method,
    OutgoingBody, OutgoingRequest, OutgoingResponse, Scheme,
};
use wasmtime_wasi_http::{FieldMap, WasiHttpCtxView};

use crate::HostState;

/// How many requests and responses with a body of their own an instance may hold: each keeps what
/// was written and nobody has taken yet.
const BODIES: usize = 128;

type Store<'a> = StoreContextMut<'a, HostState>;
type Fields = Resource<FieldMap>;
type Request = Resource<OutgoingRequest>;
type Text = Option<String>;
type Set = (Result<(), ()>,);
type Answer<T> = (Result<T, HeaderError>,);

/// Puts the bounds over what the linker has.
pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let mut types = linker.instance("wasi:http/types@0.2.12")?;
    fields(&mut types)?;
    requests(&mut types)?;
    types.func_wrap(
        "[method]outgoing-request.body",
        |mut store: Store, (request,): (Request,)| {
            let state = may_have_body(store.data_mut())?;
            Ok((HostOutgoingRequest::body(&mut state.http_view(), request)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-response.body",
        |mut store: Store, (response,): (Resource<OutgoingResponse>,)| {
            let state = may_have_body(store.data_mut())?;
            Ok((HostOutgoingResponse::body(&mut state.http_view(), response)?,))
        },
    )
}

fn fields(types: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[static]fields.from-list",
        |mut store: Store, (entries,): (Vec<(String, Vec<u8>)>,)| {
            let made = from_list(store.data_mut(), entries);
            answer(store.data_mut(), made)
        },
    )?;
    types.func_wrap(
        "[method]fields.set",
        |mut store: Store, (fields, name, values): (Fields, String, Vec<Vec<u8>>)| {
            let done = set(store.data_mut(), fields, name, values);
            answer(store.data_mut(), done)
        },
    )?;
    types.func_wrap(
        "[method]fields.append",
        |mut store: Store, (fields, name, value): (Fields, String, Vec<u8>)| {
            let done = append(store.data_mut(), fields, name, value);
            answer(store.data_mut(), done)
        },
    )?;
    types.func_wrap("[method]fields.clone", |mut store: Store, (fields,): (Fields,)| {
        Ok((copy(store.data_mut(), &fields)?,))
    })
}

fn requests(types: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: Store, (request, method): (Request, Method)| -> wasmtime::Result<Set> {
            Ok((set_method(store.data_mut(), request, method)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-scheme",
        |mut store: Store, (request, scheme): (Request, Option<Scheme>)| -> wasmtime::Result<Set> {
            Ok((set_scheme(store.data_mut(), request, scheme)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: Store, (request, authority): (Request, Text)| -> wasmtime::Result<Set> {
            Ok((set_authority(store.data_mut(), request, authority)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-path-with-query",
        |mut store: Store, (request, path): (Request, Text)| -> wasmtime::Result<Set> {
            Ok((set_path(store.data_mut(), request, path)?,))
        },
    )
}

fn answer<T>(state: &mut HostState, done: HeaderResult<T>) -> wasmtime::Result<Answer<T>> {
    match done {
        Ok(done) => Ok((Ok(done),)),
        Err(error) => Ok((Err(state.http_view().convert_header_error(error)?),)),
    }
}

pub(crate) fn from_list(
    state: &mut HostState,
    entries: Vec<(String, Vec<u8>)>,
) -> HeaderResult<Fields> {
    state.budget().headers(&entries)?;
    state.http_view().from_list(entries)
}

pub(crate) fn set(
    state: &mut HostState,
    fields: Fields,
    name: String,
    values: Vec<Vec<u8>>,
) -> HeaderResult<()> {
    state.budget().header(&name, &values)?;
    HostFields::set(&mut state.http_view(), fields, name, values)
}

pub(crate) fn append(
    state: &mut HostState,
    fields: Fields,
    name: String,
    value: Vec<u8>,
) -> HeaderResult<()> {
    state.budget().header(&name, [&value])?;
    HostFields::append(&mut state.http_view(), fields, name, value)
}

/// A copy of fields, which the guest may change.
pub(crate) fn copy(state: &mut HostState, fields: &Fields) -> wasmtime::Result<Fields> {
    state.pay_for_copy(fields)?;
    let fields = Resource::new_borrow(fields.rep());
    <WasiHttpCtxView<'_> as HostFields>::clone(&mut state.http_view(), fields)
}

pub(crate) fn set_method(
    state: &mut HostState,
    request: Request,
    method: Method,
) -> wasmtime::Result<Result<(), ()>> {
    match &method {
        Method::Other(word) if !state.budget().word(word) => Ok(Err(())),
        _ => state.http_view().set_method(request, method),
    }
}

pub(crate) fn set_scheme(
    state: &mut HostState,
    request: Request,
    scheme: Option<Scheme>,
) -> wasmtime::Result<Result<(), ()>> {
    match &scheme {
        Some(Scheme::Other(word)) if !state.budget().word(word) => Ok(Err(())),
        _ => state.http_view().set_scheme(request, scheme),
    }
}

pub(crate) fn set_authority(
    state: &mut HostState,
    request: Request,
    authority: Text,
) -> wasmtime::Result<Result<(), ()>> {
    match state.budget().target(authority.as_ref()) {
        true => state.http_view().set_authority(request, authority),
        false => Ok(Err(())),
    }
}

pub(crate) fn set_path(
    state: &mut HostState,
    request: Request,
    path: Text,
) -> wasmtime::Result<Result<(), ()>> {
    match state.budget().target(path.as_ref()) {
        true => state.http_view().set_path_with_query(request, path),
        false => Ok(Err(())),
    }
}

/// The state, if the instance may give a request or a response a body. Bodies are counted by what
/// has them, because they stay when the guest drops its end. All resources are looked at, as in
/// `wasi/bounded.rs`: most instances have a handful, and those with many have few bodies.
fn may_have_body(state: &mut HostState) -> wasmtime::Result<&mut HostState> {
    let holds_body = |entry: &dyn std::any::Any| {
        entry.is::<OutgoingRequest>()
            || entry.is::<OutgoingResponse>()
            || entry.is::<OutgoingBody>()
    };
    let held = state.table().iter_mut().filter(|entry| holds_body(&**entry)).count();
    if held > 2 * BODIES {
        bail!("the instance holds more than {BODIES} requests and responses with a body");
    }
    Ok(state)
}
