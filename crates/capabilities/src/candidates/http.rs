//! `wasi:http` as the candidates had it: constructors that take all at once, errors of four cases,
//! header functions that cannot fail.

use std::time::Duration;

use wasmtime::component::{ComponentType, Lift, Linker, LinkerInstance, Lower, Resource};
use wasmtime::{StoreContextMut, bail};
use wasmtime_wasi_http::p2::HeaderResult;
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::bindings::http::types::{
    ErrorCode, FutureIncomingResponse, FutureTrailers, Host as _, HostFields,
    HostFutureIncomingResponse, HostFutureTrailers, HostOutgoingBody, HostOutgoingRequest,
    HostOutgoingResponse, HostResponseOutparam, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, OutgoingResponse, ResponseOutparam, Scheme,
};
use wasmtime_wasi_http::{FieldMap, RequestOptions, WasiHttpCtxView};

use super::release;
use crate::HostState;
use crate::http::{bounded02, relative};

/// Why a request failed, as 2023-10-18 knew it.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "invalid-url")]
    InvalidUrl(String),
    #[component(name = "timeout-error")]
    Timeout(String),
    #[component(name = "protocol-error")]
    Protocol(String),
    #[component(name = "unexpected-error")]
    Unexpected(String),
}

/// How long to wait for what, in milliseconds.
#[derive(ComponentType, Lift)]
#[component(record)]
struct Options {
    #[component(name = "connect-timeout-ms")]
    connect: Option<u32>,
    #[component(name = "first-byte-timeout-ms")]
    first_byte: Option<u32>,
    #[component(name = "between-bytes-timeout-ms")]
    between_bytes: Option<u32>,
}

type Store<'a> = StoreContextMut<'a, HostState>;
type Http<'a> = WasiHttpCtxView<'a>;
type Fields = Resource<FieldMap>;
type NewRequest = (Method, Option<String>, Option<Scheme>, Option<String>, Fields);
type SetResponse = (Resource<ResponseOutparam>, Result<Resource<OutgoingResponse>, Error>);
type Handle = (Resource<OutgoingRequest>, Option<Options>);
type Handled = Result<Resource<FutureIncomingResponse>, Error>;
type Response = Result<Result<Resource<IncomingResponse>, Error>, ()>;

pub(super) fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let mut types = release(linker, "wasi:http/types")?;
    fields(&mut types)?;
    requests_and_responses(&mut types)?;
    futures(&mut types)?;
    release(linker, "wasi:http/outgoing-handler")?.func_wrap(
        "handle-rc1018",
        |mut store: Store, (request, options): Handle| {
            Ok((handle(&mut store.data_mut().http_view(), request, options)?,))
        },
    )
}

fn fields(types: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[static]fields.new-rc1018",
        |mut store: Store, (entries,): (Vec<(String, Vec<u8>)>,)| {
            let made = bounded02::from_list(store.data_mut(), entries);
            Ok((infallible(&mut store.data_mut().http_view(), made)?,))
        },
    )?;
    types.func_wrap(
        "[method]fields.set-rc1018",
        |mut store: Store, (fields, name, values): (Fields, String, Vec<Vec<u8>>)| {
            let set = bounded02::set(store.data_mut(), fields, name, values);
            infallible(&mut store.data_mut().http_view(), set)
        },
    )?;
    types.func_wrap(
        "[method]fields.append-rc1018",
        |mut store: Store, (fields, name, value): (Fields, String, Vec<u8>)| {
            let appended = bounded02::append(store.data_mut(), fields, name, value);
            infallible(&mut store.data_mut().http_view(), appended)
        },
    )?;
    types.func_wrap(
        "[method]fields.delete-rc1018",
        |mut store: Store, (fields, name): (Fields, String)| {
            let mut http = store.data_mut().http_view();
            let deleted = http.delete(fields, name);
            infallible(&mut http, deleted)
        },
    )
}

/// The release's answer where the candidate has none: what could not be done is a trap.
fn infallible<T>(http: &mut Http<'_>, done: HeaderResult<T>) -> wasmtime::Result<T> {
    match done {
        Ok(done) => Ok(done),
        Err(error) => bail!("a header was refused: {}", http.convert_header_error(error)?),
    }
}

fn requests_and_responses(types: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    types
        .func_wrap("[static]outgoing-request.new-rc1018", |mut store: Store, new: NewRequest| {
            Ok((new_request(store.data_mut(), new)?,))
        })?;
    types.func_wrap(
        "[static]outgoing-response.new-rc1018",
        |mut store: Store, (status, headers): (u16, Fields)| {
            Ok((new_response(store.data_mut(), status, &headers)?,))
        },
    )?;
    types.func_wrap(
        "[static]outgoing-body.finish-rc1018",
        |mut store: Store, (body, trailers): (Resource<OutgoingBody>, Option<Fields>)| {
            let mut http = store.data_mut().http_view();
            match HostOutgoingBody::finish(&mut http, body, trailers) {
                Ok(()) => Ok(()),
                Err(error) => bail!("a body was refused: {}", http.convert_error_code(error)?),
            }
        },
    )?;
    types.func_wrap(
        "[static]response-outparam.set-rc1018",
        |mut store: Store, (to, response): SetResponse| {
            let response = response.map_err(|error| ErrorCode::InternalError(Some(error.text())));
            HostResponseOutparam::set(&mut store.data_mut().http_view(), to, response)
        },
    )
}

fn new_request(
    state: &mut HostState,
    (method, path_with_query, scheme, authority, headers): NewRequest,
) -> wasmtime::Result<Resource<OutgoingRequest>> {
    let headers = bounded02::copy(state, &headers)?;
    let request = HostOutgoingRequest::new(&mut state.http_view(), headers)?;
    let this = || Resource::new_borrow(request.rep());
    let parts = [
        ("method", bounded02::set_method(state, this(), method)?),
        ("path", bounded02::set_path(state, this(), path_with_query)?),
        ("scheme", bounded02::set_scheme(state, this(), scheme)?),
        ("authority", bounded02::set_authority(state, this(), authority)?),
    ];
    match parts.iter().find(|(_, set)| set.is_err()) {
        Some((part, _)) => bail!("the {part} of an outgoing request is malformed"),
        None => Ok(request),
    }
}

fn new_response(
    state: &mut HostState,
    status: u16,
    headers: &Fields,
) -> wasmtime::Result<Resource<OutgoingResponse>> {
    // The candidate lends its headers to a message, the release gives them away.
    let headers = bounded02::copy(state, headers)?;
    let mut http = state.http_view();
    let response = HostOutgoingResponse::new(&mut http, headers)?;
    match http.set_status_code(Resource::new_borrow(response.rep()), status)? {
        Ok(()) => Ok(response),
        Err(()) => bail!("{status} is no status of a response"),
    }
}

fn futures(types: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]future-incoming-response.get-rc1018",
        |mut store: Store, (future,): (Resource<FutureIncomingResponse>,)| {
            let mut http = store.data_mut().http_view();
            let answer = HostFutureIncomingResponse::get(&mut http, future)?;
            let answer: Option<Response> =
                answer.map(|once| once.map(|response| response.map_err(Error::from)));
            Ok((answer,))
        },
    )?;
    types.func_wrap(
        "[method]future-trailers.get-rc1018",
        |mut store: Store, (future,): (Resource<FutureTrailers>,)| {
            let mut http = store.data_mut().http_view();
            let trailers = match once(HostFutureTrailers::get(&mut http, future)?)? {
                None => None,
                Some(Err(error)) => Some(Err(Error::from(error))),
                Some(Ok(Some(trailers))) => Some(Ok(trailers)),
                Some(Ok(None)) => Some(Ok(HostFields::new(&mut http)?)),
            };
            Ok((trailers,))
        },
    )?;
    types.func_wrap(
        "[method]future-trailers.get-rc1110",
        |mut store: Store, (future,): (Resource<FutureTrailers>,)| {
            let mut http = store.data_mut().http_view();
            Ok((once(HostFutureTrailers::get(&mut http, future)?)?,))
        },
    )
}

/// The candidates cannot say that trailers were taken before.
fn once<T>(trailers: Option<Result<T, ()>>) -> wasmtime::Result<Option<T>> {
    match trailers {
        None => Ok(None),
        Some(Ok(trailers)) => Ok(Some(trailers)),
        Some(Err(())) => bail!("the trailers were taken before"),
    }
}

fn handle(
    http: &mut Http<'_>,
    request: Resource<OutgoingRequest>,
    options: Option<Options>,
) -> wasmtime::Result<Handled> {
    let options = match options {
        Some(options) => Some(http.table.push(RequestOptions::from(options))?),
        None => None,
    };
    let lent = options.as_ref().map(|options| Resource::new_borrow(options.rep()));
    relative::complete(http.table, &request)?;
    let handled = outgoing_handler::Host::handle(http, request, lent);
    if let Some(options) = options {
        http.table.delete(options)?;
    }
    match handled {
        Ok(response) => Ok(Ok(response)),
        Err(error) => Ok(Err(Error::from(http.convert_error_code(error)?))),
    }
}

impl From<Options> for RequestOptions {
    fn from(options: Options) -> Self {
        let time = |ms: Option<u32>| ms.map(|ms| Duration::from_millis(ms.into()));
        Self {
            connect_timeout: time(options.connect),
            first_byte_timeout: time(options.first_byte),
            between_bytes_timeout: time(options.between_bytes),
        }
    }
}

impl Error {
    fn text(self) -> String {
        match self {
            Self::InvalidUrl(text)
            | Self::Timeout(text)
            | Self::Protocol(text)
            | Self::Unexpected(text) => text,
        }
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        let text = code.to_string();
        match code {
            ErrorCode::HttpRequestUriInvalid | ErrorCode::HttpRequestUriTooLong => {
                Self::InvalidUrl(text)
            }
            ErrorCode::DnsTimeout
            | ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionReadTimeout
            | ErrorCode::ConnectionWriteTimeout
            | ErrorCode::HttpResponseTimeout => Self::Timeout(text),
            ErrorCode::HttpProtocolError
            | ErrorCode::HttpResponseIncomplete
            | ErrorCode::HttpUpgradeFailed => Self::Protocol(text),
            _ => Self::Unexpected(text),
        }
    }
}
