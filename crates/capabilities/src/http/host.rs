//! The host's side of `wasi:http`: what happens when a guest sends a request.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use dayfly_engine::Flavour;
use dayfly_model::outbound::service_of;
use http_body_util::BodyExt;
use hyper_util::client::legacy;
use tokio::time::timeout;
use wasmtime::component::Linker;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks, WasiHttpView};

use super::body::Timed;
use super::{bounded02, bounded03, client};
use crate::dial;
use crate::refusals::{Refusal, shortened};
use crate::{Grants, HostState};

/// How long a guest waits for a response, and for each piece of it, unless it asks for less.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a guest of WASI 0.2 may write to a body before someone takes it, in bytes; twice that waits
/// at most.
const BODY_BYTES: usize = 128 << 10;

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
    if flavour.is_concurrent() {
        bounded03::link(linker)?;
    }
    linker.allow_shadowing(false);
    Ok(())
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
}

impl Outbound {
    pub(crate) fn new(grants: Arc<Grants>) -> Self {
        Self { grants, made: 0 }
    }

    /// Takes one of the requests and connections that the instance may make; false if none is left.
    pub(crate) fn spend(&mut self) -> bool {
        let left = self.made < self.grants.limits.outbound;
        if left {
            self.made += 1;
        } else {
            self.grants.refusals.note(Refusal::Outbound, |unsaid| {
                let (component, limit) = (&self.grants.component, self.grants.limits.outbound);
                tracing::warn!(%component, limit, unsaid, "refused: `limits.outbound`");
            });
        }
        left
    }
}

impl WasiHttpHooks for Outbound {
    // The client sets it where the protocol wants one.
    fn set_host_header(&mut self) -> bool {
        false
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
        let grants = self.grants.clone();
        let left = self.spend();
        Box::new(async move {
            if !left {
                return Err(Error::ConnectionLimitReached);
            }
            let response = send(&grants, request, options.unwrap_or_default()).await?;
            let sent: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(std::future::ready(Ok(())));
            Ok((response, sent))
        })
    }
}

async fn send(
    grants: &Grants,
    request: http::Request<WasiBody>,
    options: RequestOptions,
) -> Result<http::Response<WasiBody>, Error> {
    let (scheme, host, port) = dial::target(request.uri()).ok_or(Error::HttpRequestUriInvalid)?;
    if service_of(host).is_some() {
        grants.refusals.note(Refusal::Component, |unsaid| {
            tracing::warn!(
                component = %grants.component, host = shortened(host), unsaid,
                "this version serves no calls between components (`*.spin.internal`)"
            );
        });
        return Err(Error::DestinationNotFound);
    }
    if grants.names.hosts().check(scheme, host, port).is_none() {
        grants.refusals.note(Refusal::Destination, |unsaid| {
            tracing::warn!(
                component = %grants.component, scheme, host = shortened(host), port, unsaid,
                "refused: `allowed_outbound_hosts` does not grant this destination"
            );
        });
        return Err(Error::HttpRequestDenied);
    }
    let client = grants.http.client().map_err(|_| Error::ConfigurationError)?;
    let connect = options.connect_timeout.unwrap_or_default();
    let patience = options.first_byte_timeout.unwrap_or(PATIENCE).saturating_add(connect);
    let response = match timeout(patience, client.request(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(failed(grants, &error)),
        Err(_) => return Err(Error::ConnectionReadTimeout),
    };
    let between = options.between_bytes_timeout.unwrap_or(PATIENCE).max(Duration::from_millis(1));
    Ok(response.map(|body| Timed::new(body, between).boxed_unsync()))
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
