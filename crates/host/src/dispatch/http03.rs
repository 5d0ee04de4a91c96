//! A handler of `wasi:http/handler@0.3`: one call of an instance, which is made for it unless another
//! one waits, on an engine with concurrency.

use std::future::poll_fn;
use std::pin::Pin;

use dayfly_capabilities::HostState;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{Request, Uri};
use tokio::sync::oneshot;
use wasmtime::component::Accessor;
use wasmtime_wasi_http::p3::bindings::{Service, ServicePre};
use wasmtime_wasi_http::{Error as HttpError, WasiBody, WasiHttpView, p3};

use super::failure::Failure;
use super::guest::Answer;
use super::keep::Start;

pub(super) async fn run(
    start: Start<Service>,
    pre: ServicePre<HostState>,
    request: Request<WasiBody>,
    scheme: crate::Scheme,
    sender: oneshot::Sender<Answer>,
) -> Result<(), Failure> {
    let request = with_authority(request, scheme);
    let mut life = start.begin();
    let store = &mut life.store;
    let called = async {
        let service = match life.instance.take() {
            Some(service) => service,
            None => start.code.instantiating(pre.instantiate_async(&mut *store)).await?,
        };
        let is_done = store
            .run_concurrent(async |accessor| call(accessor, &service, request, sender).await)
            .await??;
        Ok(is_done.then_some(service))
    };
    life.instance = called.await.map_err(|error| Failure::of_call(error, store))?;
    if life.instance.is_some() {
        start.end(life);
    }
    Ok(())
}

/// Names the scheme and the host in the request's target, where HTTP/1.1 leaves them out: the guest
/// reads both there.
fn with_authority(request: Request<WasiBody>, scheme: crate::Scheme) -> Request<WasiBody> {
    let (mut parts, body) = request.into_parts();
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    if uri.authority.is_none() {
        let host = parts.headers.get(HOST).map(|host| host.as_bytes());
        uri.authority = host.and_then(|host| Authority::try_from(host).ok());
    }
    uri.scheme = uri.authority.as_ref().map(|_| match scheme {
        crate::Scheme::Http => Scheme::HTTP,
        crate::Scheme::Https => Scheme::HTTPS,
    });
    parts.uri = Uri::from_parts(uri).unwrap_or_default();
    Request::from_parts(parts, body)
}

/// Whether the guest has nothing left to do.
async fn call(
    accessor: &Accessor<HostState>,
    service: &Service,
    request: Request<WasiBody>,
    sender: oneshot::Sender<Answer>,
) -> wasmtime::Result<bool> {
    let (request, sent) = accessor.with(|mut access| -> wasmtime::Result<_> {
        let view = access.get().http();
        let (request, sent) = p3::Request::from_http(view.hooks, request);
        // Boxed, because its type would otherwise keep the hooks borrowed.
        let sent: Pin<Box<dyn Future<Output = Result<(), HttpError>> + Send>> = Box::pin(sent);
        Ok((view.table.push(request)?, sent))
    })?;
    let answer = match service.wasi_http_handler().call_handle(accessor, request).await? {
        Ok(response) => accessor.with(|mut access| {
            let response = access.get().http().table.delete(response)?;
            response.into_http_with_getter(&mut access, sent, HostState::http)
        })?,
        Err(code) => {
            let _ = sender.send(Err(Failure::Guest(format!("{code:?}"))));
            return Ok(false);
        }
    };
    // Nobody listens any more if the request timed out; the guest's tasks end with its store.
    if sender.send(Ok(answer)).is_err() {
        return Ok(false);
    }
    // What the guest still writes, and what else it wants to finish.
    poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
    Ok(true)
}
