//! A handler of `fermyon:spin/inbound-http`, as Spin 1 had them: bodies come and go whole.

use dayfly_capabilities::http::whole::{self, Held, NotHeld};
use dayfly_capabilities::{HostState, Part, Share};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full};
use tokio::sync::oneshot;
use wasmtime::component::{ComponentExportIndex, InstancePre, TypedFunc};
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error, WasiBody};

use super::failure::Failure;
use super::guest::Answer;
use super::keep::Start;

const INTERFACE: &str = "fermyon:spin/inbound-http";

/// A linked component, and where its handler is.
#[derive(Clone)]
pub(super) struct SpinHttpPre {
    pre: InstancePre<HostState>,
    handle: ComponentExportIndex,
}

impl SpinHttpPre {
    pub(super) fn new(pre: InstancePre<HostState>) -> wasmtime::Result<Self> {
        let component = pre.component();
        let ty = component.component_type();
        // Some versions, or none; all are the same.
        let mut exports = ty.exports(component.engine());
        let is_handler = |name: &str| name.split('@').next() == Some(INTERFACE);
        let handle = exports.find(|(name, _)| is_handler(name)).and_then(|(name, _)| {
            let instance = component.get_export_index(None, name)?;
            component.get_export_index(Some(&instance), "handle-request")
        });
        let handle =
            handle.ok_or_else(|| wasmtime::format_err!("`{INTERFACE}` has no `handle-request`"))?;
        drop(exports);
        Ok(Self { pre, handle })
    }
}

/// What handles requests.
pub(super) type Handle = TypedFunc<(whole::Request,), (whole::Response,)>;

pub(super) async fn run(
    start: Start<Handle>,
    SpinHttpPre { pre, handle }: SpinHttpPre,
    request: Request<WasiBody>,
    sender: oneshot::Sender<Answer>,
) -> Result<(), Failure> {
    let Some(method) = whole::Method::of(request.method()) else {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        let _ = sender.send(Ok(response));
        return Ok(());
    };
    let limits = &start.grants.limits;
    let (limit, header_bytes) = (whole::BODY_BYTES.min(limits.memory_bytes), limits.header_bytes);
    // The call keeps the body until the guest returns.
    let (request, part) = received(method, request, limit, start.grants.whole()).await?;
    let mut life = start.begin();
    let store = &mut life.store;
    let called = async {
        let handle = match life.instance.take() {
            Some(handle) => handle,
            None => {
                let made = pre.instantiate_async(&mut *store);
                let instance = start.code.instantiating(made).await?;
                instance.get_typed_func(&mut *store, handle)?
            }
        };
        Ok((handle.call_async(&mut *store, (request,)).await?, handle))
    };
    let ((answer,), handle) = called.await.map_err(|error| Failure::of_call(error, store))?;
    drop(part);
    // Nobody listens any more if the request timed out.
    let _ = sender.send(response(answer, header_bytes, start.grants.whole()));
    life.instance = Some(handle);
    start.end(life);
    Ok(())
}

/// The request with its whole body.
async fn received(
    method: whole::Method,
    request: Request<WasiBody>,
    limit: u64,
    share: &Share,
) -> Result<(whole::Request, Option<Part>), Failure> {
    let (parts, body) = request.into_parts();
    let held = Held::receive(body, limit, share).await.map_err(|error| match error {
        NotHeld::TooLong => Failure::BodyTooLarge(limit),
        NotHeld::NoRoom => Failure::NoRoom,
        NotHeld::Broken(error) => Failure::Request(wasmtime::Error::from(error)),
    })?;
    let (body, part) = held.into_parts();
    let uri = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let headers = parts.headers.iter().map(text).collect();
    let (params, body) = (Vec::new(), Some(body));
    Ok((whole::Request { method, uri, headers, params, body }, part))
}

/// What each header is counted as beside its text, so that empty ones are bounded, too; as those are that
/// guests build by `wasi:http`.
const HEADER_BYTES: usize = size_of::<HeaderName>() + size_of::<HeaderValue>();

/// The response as a server sends it, with so many bytes of headers at most. Headers that are the
/// connection's to set are left out. It lies there until its client has taken it: where no room is left for
/// that, there is none.
fn response(answer: whole::Response, header_bytes: u64, share: &Share) -> Answer {
    let malformed = |what: &str| Failure::Guest(format!("its {what} cannot be sent"));
    let body = match answer.body {
        Some(body) => {
            let held = Held::of(body, share).ok_or(Failure::NoRoom)?;
            Full::new(held.into()).map_err(Error::from).boxed_unsync()
        }
        None => empty(),
    };
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(answer.status).map_err(|_| malformed("status"))?;
    let headers = answer.headers.unwrap_or_default();
    let bytes = headers.iter().map(|(name, value)| name.len() + value.len() + HEADER_BYTES);
    if bytes.sum::<usize>() as u64 > header_bytes {
        return Err(Failure::Guest(format!("its headers are larger than {header_bytes} bytes")));
    }
    for (name, value) in headers {
        let name = HeaderName::try_from(name).map_err(|_| malformed("header"))?;
        let value = HeaderValue::try_from(value).map_err(|_| malformed("header"))?;
        if !DEFAULT_FORBIDDEN_HEADERS.contains(&name) {
            let added = response.headers_mut().try_append(name, value);
            added.map_err(|_| malformed("number of headers"))?;
        }
    }
    Ok(response)
}

fn empty() -> WasiBody {
    Empty::new().map_err(Error::from).boxed_unsync()
}
