//! The pooled client: HTTP/1.1 and HTTP/2, TLS with the platform's roots.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::dial::{DialError, Dialer};
use crate::names::LookupError;

/// How long an unused connection is kept: not so long that those of one component keep another
/// from opening any.
const IDLE: Duration = Duration::from_secs(10);

/// How many unused connections are kept to one host.
const IDLE_PER_HOST: usize = 32;

pub(super) type Client = legacy::Client<HttpsConnector<Dialer>, WasiBody>;

/// The TLS settings of every client, made with the first: reading the platform's roots takes
/// milliseconds. The error is kept as text because every later client reports it again.
static TLS: LazyLock<Result<rustls::ClientConfig, String>> = LazyLock::new(|| {
    use hyper_rustls::ConfigBuilderExt;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = builder.try_with_platform_verifier().map_err(|error| error.to_string())?;
    Ok(builder.with_no_client_auth())
});

/// The TLS settings of clients that trust what the platform trusts.
pub(crate) fn tls() -> Result<rustls::ClientConfig, Error> {
    TLS.as_ref().cloned().map_err(|error| {
        tracing::error!(%error, "the platform's certificate roots cannot be read");
        Error::ConfigurationError
    })
}

pub(super) fn new(dialer: Dialer) -> Result<Client, Error> {
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls()?)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(dialer);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .build(connector))
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
