//! HTTP to the ACME server: by TLS alone, bounded in size and in time. It is the operator's, and what
//! tenants' apps may reach has nothing to do with it.

use std::error::Error as StdError;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;

/// How long a connection may take, and an exchange in all.
const CONNECT: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest answer, in bytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;

pub(super) struct Transport(legacy::Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

type BoxError = Box<dyn StdError + Send + Sync>;

impl Transport {
    /// One that trusts the machine's roots, or those of a file.
    pub(super) fn new(roots: Option<&Path>) -> Result<Self, BoxError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(roots)?)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self(legacy::Client::builder(TokioExecutor::new()).build(connector)))
    }
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let sent = self.0.request(request);
        let exchange = async move {
            let (parts, body) = sent.await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?.to_bytes();
            Ok::<_, BoxError>(BytesResponse { parts, body: Box::new(body) })
        };
        Box::pin(async move {
            let exchanged = timeout(PATIENCE, exchange).await;
            let late = |_| Err("the ACME server did not answer in time".into());
            exchanged.unwrap_or_else(late).map_err(Error::Other)
        })
    }
}

fn tls(roots: Option<&Path>) -> Result<ClientConfig, BoxError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions()?;
    let Some(file) = roots else {
        return Ok(builder.try_with_platform_verifier()?.with_no_client_auth());
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)? {
        store.add(certificate?)?;
    }
    Ok(builder.with_root_certificates(store).with_no_client_auth())
}
