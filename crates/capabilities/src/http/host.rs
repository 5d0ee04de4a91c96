//! The host's side of `wasi:http`: what happens when a guest sends a request.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dayfly_engine::Flavour;
use dayfly_telemetry::trace::Span;
use http::HeaderName;
use http_body::Body;
use http_body_util::BodyExt;
use hyper_util::client::legacy;
use tokio::time::timeout;
use wasmtime::component::Linker;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpHooks, WasiHttpView,
};

use super::body::Timed;
use super::internal::{self, Callee};
use super::unread::Unread;
use super::{bounded02, bounded03, client, relative, spin};
use crate::dial;
use crate::refusals::{Refusal, shortened};
use crate::rehearsal::{self, Rehearsed};
use crate::{Behind, Grants, HostState};

/// How long a guest waits for a response, and for each piece of it, unless it asks for less.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a guest of WASI 0.2 may write to a body before someone takes it, in bytes; twice that waits
/// at most.
const BODY_BYTES: usize = 128 << 10;

/// The headers that guests neither see nor set.
static FORBIDDEN: [HeaderName; 9] = DEFAULT_FORBIDDEN_HEADERS;

type Sent = Box<
    dyn Future<
            Output = Result<
                (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>),
                Error,
            >,
        > + Send,
>;

pub(super) fn link(linker: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    if flavour.is_concurrent() {
        wasmtime_wasi_http::p3::add_to_linker(linker)?;
    }
    linker.allow_shadowing(true);
    bounded02::link(linker)?;
    relative::link02(linker)?;
    if flavour.is_concurrent() {
        bounded03::link(linker)?;
        relative::link03(linker)?;
    }
    linker.allow_shadowing(false);
    spin::link(linker)
}

impl WasiHttpView for HostState {
    fn http(&mut self) -> wasmtime_wasi_http::WasiHttpCtxView<'_> {
        self.http_view()
    }
}

/// Sends the requests of one instance, within its component's grant.
pub struct Outbound {
    grants: Arc<Grants>,
    made: u32,
    /// What led to the instance.
    behind: Behind,
}

impl Outbound {
    pub(crate) fn new(grants: Arc<Grants>) -> Self {
        Self { grants, made: 0, behind: Behind::default() }
    }

    pub(crate) fn behind(&self) -> Behind {
        self.behind.clone()
    }

    pub(crate) fn set_behind(&mut self, behind: Behind) {
        self.behind = behind;
    }

    /// Takes one of the requests and connections that the instance may make; false if none is left.
    pub(crate) fn spend(&mut self) -> bool {
        let left = self.made < self.grants.limits.outbound;
        if left {
            self.made += 1;
            return self.grants.spend_outbound();
        }
        self.grants.refusals.note(Refusal::Outbound, |unsaid| {
            let (component, limit) = (&self.grants.component, self.grants.limits.outbound);
            tracing::warn!(%component, limit, unsaid, "refused: `limits.outbound`");
        });
        false
    }
}

impl WasiHttpHooks for Outbound {
    // The client sets it where the protocol wants one.
    fn set_host_header(&mut self) -> bool {
        false
    }

    // The same as by itself, which makes a closure and the list anew for each name.
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        FORBIDDEN.contains(name)
    }

    // What is written and not yet taken is the host's to keep.
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_BYTES
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        // Resolves when the guest is done with the response; nothing here waits for that.
        _received: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Sent {
        let left = self.spend();
        let sending =
            send(self.grants.clone(), left, request, options.unwrap_or_default(), self.behind());
        Box::new(async move {
            let response = sending.await?;
            let sent: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(std::future::ready(Ok(())));
            Ok((response, sent))
        })
    }
}

/// Sends a request, within what the component was granted, if the instance has one `left`, which
/// `behind` led to. The call begins at once, wherever its future is polled.
pub(super) fn send(
    grants: Arc<Grants>,
    left: bool,
    mut request: http::Request<WasiBody>,
    options: RequestOptions,
    behind: Behind,
) -> impl Future<Output = Result<http::Response<WasiBody>, Error>> + Send {
    let method = request.method().clone();
    let mut call = grants.request(method.as_str(), request.headers_mut());
    if let Some(span) = call.span() {
        describe(span, &request);
    }
    async move {
        let response = match left {
            true => answered(&grants, request, options, behind).await,
            false => Err(Error::ConnectionLimitReached),
        };
        if let (Some(span), Ok(response)) = (call.span(), &response) {
            let status = response.status();
            span.integer("http.response.status_code", status.as_u16().into());
            if status.is_client_error() || status.is_server_error() {
                span.fail(status.as_str());
            }
        }
        call.end_with(response, is_refusal)
    }
}

async fn answered(
    grants: &Grants,
    request: http::Request<WasiBody>,
    options: RequestOptions,
    behind: Behind,
) -> Result<http::Response<WasiBody>, Error> {
    let uri = request.uri().clone();
    let (scheme, host, port) = dial::target(&uri).ok_or(Error::HttpRequestUriInvalid)?;
    let connect = options.connect_timeout.unwrap_or_default();
    let patience = options.first_byte_timeout.unwrap_or(PATIENCE).saturating_add(connect);
    let request = request.map(|body| Unread::new(body).boxed_unsync());
    let between = options.between_bytes_timeout.unwrap_or(PATIENCE).max(Duration::from_millis(1));
    if let Some(callee) = Callee::of(host) {
        let calling = internal::call(grants, callee, request, (scheme, host, port), behind)?;
        let response = timeout(patience, calling).await;
        let response = response.map_err(|_| Error::ConnectionReadTimeout)??;
        // What lies ready comes in time.
        let ready = response.body().size_hint().exact().is_some();
        return Ok(if ready { response } else { timed(response, between) });
    }
    if grants.names.hosts().check(scheme, host, port).is_none() {
        grants.refuse_destination(scheme, host, port);
        return Err(Error::HttpRequestDenied);
    }
    let rehearsed = timeout(patience, rehearsal::answer(grants, request)).await;
    let request = match rehearsed.map_err(|_| Error::ConnectionReadTimeout)?? {
        Rehearsed::Answered(response) => return Ok(response),
        Rehearsed::Real(request) => request,
    };
    let client = grants.http.client();
    match timeout(patience, client.request(request)).await {
        Ok(Ok(response)) => Ok(timed(response, between)),
        Ok(Err(error)) => Err(failed(grants, &error)),
        Err(_) => Err(Error::ConnectionReadTimeout),
    }
}

/// A response whose body may take so long for each piece.
fn timed<B>(response: http::Response<B>, between: Duration) -> http::Response<WasiBody>
where
    B: Body<Data = Bytes, Error: Into<Error>> + Unpin + Send + 'static,
{
    response.map(|body| Timed::new(body, between).boxed_unsync())
}

/// Says what a request is, by OpenTelemetry's conventions for HTTP clients. The query stays the
/// guest's own business.
fn describe(span: &mut Span, request: &http::Request<WasiBody>) {
    if let Some((scheme, host, port)) = dial::target(request.uri()) {
        let path = request.uri().path();
        span.text("url.full", shortened(&format!("{scheme}://{host}:{port}{path}")));
        span.text("server.address", shortened(host));
        span.integer("server.port", port.into());
    }
}

/// Whether the guest was not granted what it asked for, or over a limit.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::ConnectionLimitReached | Error::HttpRequestDenied | Error::DestinationIpProhibited
    )
}

/// What the guest is told; the operator is told of what is the operator's to change.
fn failed(grants: &Grants, error: &legacy::Error) -> Error {
    let error = client::explain(error);
    if matches!(error, Error::ConnectionLimitReached) {
        grants.refusals.note(Refusal::Connection, |unsaid| {
            let component = &grants.component;
            tracing::warn!(%component, unsaid, "refused: too many outbound connections are open");
        });
    }
    error
}
