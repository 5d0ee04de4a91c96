//! The pooled client: HTTP/1.1 and HTTP/2, TLS as the runtime configuration says of each host.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use tower_service::Service;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::dial::{DialError, Dialer};
use crate::names::LookupError;
use crate::tls::{Clients, canonical, usual};

/// How long an unused connection is kept: not so long that those of one component keep another
/// from opening any.
const IDLE: Duration = Duration::from_secs(10);

/// How many unused connections are kept to one host.
const IDLE_PER_HOST: usize = 32;

pub(super) type Client = legacy::Client<Connector, WasiBody>;

/// The component's client. Where `pooling` is off, no connection is kept for a second request.
pub(super) fn new(dialer: Dialer, tls: &Clients, pooling: bool) -> Client {
    legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(if pooling { IDLE_PER_HOST } else { 0 })
        .build(Connector::new(dialer, tls))
}

/// Connects to a host in the clear, or by TLS with the settings for that host.
#[derive(Clone)]
pub(super) struct Connector {
    usual: HttpsConnector<Dialer>,
    special: Arc<BTreeMap<String, HttpsConnector<Dialer>>>,
}

impl Connector {
    fn new(dialer: Dialer, tls: &Clients) -> Self {
        let connector = |config: &ClientConfig| {
            HttpsConnectorBuilder::new()
                .with_tls_config(config.clone())
                .https_or_http()
                .enable_all_versions()
                .wrap_connector(dialer.clone())
        };
        let special = tls.special().map(|(host, config)| (host.to_owned(), connector(config)));
        Self { usual: connector(&usual()), special: Arc::new(special.collect()) }
    }
}

impl Service<Uri> for Connector {
    type Response = <HttpsConnector<Dialer> as Service<Uri>>::Response;
    type Error = <HttpsConnector<Dialer> as Service<Uri>>::Error;
    type Future = <HttpsConnector<Dialer> as Service<Uri>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.usual.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let special = match self.special.is_empty() {
            true => None,
            false => uri.host().and_then(|host| self.special.get(&canonical(host))).cloned(),
        };
        match special {
            // The dialer is ready for one connection as for another.
            Some(mut connector) => connector.call(uri),
            None => self.usual.call(uri),
        }
    }
}

/// What a guest is told about a failed request.
pub(super) fn explain(error: &legacy::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(source) = cause {
        if let Some(dial) = source.downcast_ref::<DialError>() {
            return explain_dial(dial);
        }
        if let Some(tls) = source.downcast_ref::<rustls::Error>() {
            return explain_tls(tls);
        }
        // What an I/O error carries, which may be another one, is no `source` of it.
        let carried = source.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = match carried {
            Some(carried) => Some(carried),
            None => source.source(),
        };
    }
    tracing::debug!(error = ?error, "an outbound request failed");
    if error.is_connect() { Error::ConnectionRefused } else { Error::ConnectionTerminated }
}

fn explain_dial(error: &DialError) -> Error {
    match error {
        DialError::NoHost => Error::HttpRequestUriInvalid,
        DialError::NotGranted => Error::HttpRequestDenied,
        DialError::AddressRefused => Error::DestinationIpProhibited,
        DialError::Resolve(LookupError::Timeout) => Error::DnsTimeout,
        DialError::Resolve(_) => {
            Error::DnsError { rcode: Some("address not available".to_owned()), info_code: None }
        }
        DialError::Limit => Error::ConnectionLimitReached,
        DialError::ConnectTimeout => Error::ConnectionTimeout,
        DialError::Connect(_) => Error::ConnectionRefused,
    }
}

fn explain_tls(error: &rustls::Error) -> Error {
    tracing::debug!(%error, "an outbound TLS handshake failed");
    match error {
        rustls::Error::InvalidCertificate(_) => Error::TlsCertificateError,
        _ => Error::TlsProtocolError,
    }
}
