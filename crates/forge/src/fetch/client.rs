//! The HTTP client: TLS with the platform's roots, redirects that are counted, and no wait without
//! an end.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, LOCATION, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming as Body;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use url::{Host, Url};

use super::store::Store;
use super::{Copy, Fetching, Tell};
use crate::resolve::MAX_SOURCE_BYTES;

const CONNECT: Duration = Duration::from_secs(10);

/// How long one source may take in all.
const WHOLE: Duration = Duration::from_secs(30 * 60);

const MAX_REDIRECTS: usize = 5;

/// The largest answer that is read into memory.
const MAX_DOCUMENT_BYTES: u64 = 4 << 20;

/// How many bytes come between two words about progress.
const PACE_BYTES: u64 = 1 << 20;

/// Why a source could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchFailure {
    /// There is no way to ask anybody.
    #[error("no client could be made: the platform's certificate roots cannot be read")]
    NoClient,
    /// The address is none.
    #[error("the address is not a URL")]
    Address,
    /// An address that anybody on the way could answer for.
    #[error("`{host}` is asked without encryption, which only this machine itself may be")]
    Insecure {
        /// The host.
        host: String,
    },
    /// Nobody answered.
    #[error("there is no connection to the server")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// The server answered with something else.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// The server sends the client elsewhere again and again.
    #[error("the server redirects more than {MAX_REDIRECTS} times")]
    Redirects,
    /// The server fell silent.
    #[error("the server sent nothing for {} seconds", .0.as_secs())]
    Stalled(Duration),
    /// It takes too long.
    #[error("it takes more than {} minutes", WHOLE.as_secs() / 60)]
    Slow,
    /// The connection broke.
    #[error("the connection broke off")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// It is too large.
    #[error("it is larger than {} MiB", limit_bytes >> 20)]
    TooLarge {
        /// The bound.
        limit_bytes: u64,
    },
    /// It is something else.
    #[error("its digest is `sha256:{actual}`, where `sha256:{expected}` was expected")]
    Digest {
        /// The digest that was stated.
        expected: String,
        /// The digest that it has.
        actual: String,
    },
    /// It cannot be written.
    #[error("failed to write `{}`", path.display())]
    Keep {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Nobody says which registry serves a package.
    #[error("no registry is known for namespace `{namespace}`")]
    NoRegistry {
        /// The package's namespace.
        namespace: String,
    },
    /// The registry has no such version.
    #[error("registry `{registry}` has no version that fits; it has {has}")]
    NoVersion {
        /// The registry.
        registry: String,
        /// What it has.
        has: String,
    },
    /// The registry answered with what cannot be understood.
    #[error("registry `{registry}` {what}")]
    Registry {
        /// The registry.
        registry: String,
        /// What is wrong with its answer.
        what: String,
    },
}

/// A client with a runtime of its own.
pub(super) struct Client {
    runtime: Runtime,
    asker: Asker,
}

/// What asks servers.
pub(super) struct Asker {
    http: legacy::Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    patience: Duration,
}

impl Client {
    pub(super) fn new(patience: Duration) -> Result<Self, FetchFailure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|_| FetchFailure::NoClient)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls().ok_or(FetchFailure::NoClient)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { runtime, asker: Asker { http, patience } })
    }

    /// Runs what asks servers to its end, which comes after half an hour at the latest.
    pub(super) fn run<'a, T, F>(
        &'a self,
        work: impl FnOnce(&'a Asker) -> F,
    ) -> Result<T, FetchFailure>
    where
        F: Future<Output = Result<T, FetchFailure>>,
    {
        let work = work(&self.asker);
        let whole = async { timeout(WHOLE, work).await.unwrap_or(Err(FetchFailure::Slow)) };
        self.runtime.block_on(whole)
    }
}

fn tls() -> Option<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().ok()?;
    Some(builder.try_with_platform_verifier().ok()?.with_no_client_auth())
}

impl Asker {
    /// What a server answers with a success, wherever it redirects to.
    pub(super) async fn get(
        &self,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Response<Body>, FetchFailure> {
        let response = self.ask(url, headers).await?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(FetchFailure::Status(status.as_u16())),
        }
    }

    /// What a server answers, wherever it redirects to. Another server than the first gets no
    /// credentials.
    pub(super) async fn ask(
        &self,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Response<Body>, FetchFailure> {
        let mut at = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let same = at.origin() == url.origin();
            let response = self.ask_once(&at, headers, same).await?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).and_then(|it| it.to_str().ok());
            let location = location.ok_or(FetchFailure::Status(response.status().as_u16()))?;
            at = at.join(location).map_err(|_| FetchFailure::Address)?;
        }
        Err(FetchFailure::Redirects)
    }

    async fn ask_once(
        &self,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        with_credentials: bool,
    ) -> Result<Response<Body>, FetchFailure> {
        secure(url)?;
        let mut request = Request::get(url.as_str())
            .header(USER_AGENT, concat!("dayfly/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            if with_credentials || *name != AUTHORIZATION {
                request = request.header(name, value);
            }
        }
        let request = request.body(Empty::new()).map_err(|_| FetchFailure::Address)?;
        let asked = timeout(CONNECT + self.patience, self.http.request(request)).await;
        let asked = asked.map_err(|_| FetchFailure::Stalled(self.patience))?;
        asked.map_err(|error| FetchFailure::Connect(error.into()))
    }

    /// Reads an answer into a file that must have this digest.
    pub(super) async fn keep(
        &self,
        mut response: Response<Body>,
        store: &Store,
        digest: &str,
        tell: Tell<'_>,
    ) -> Result<(Copy, u64), FetchFailure> {
        let length = length(&response);
        let mut incoming = store.incoming()?;
        let mut told = 0;
        while let Some(chunk) =
            self.chunk(&mut response, incoming.bytes(), MAX_SOURCE_BYTES).await?
        {
            incoming.write(&chunk)?;
            if incoming.bytes() - told >= PACE_BYTES {
                told = incoming.bytes();
                tell(Fetching::Comes(told, length));
            }
        }
        let bytes = incoming.bytes();
        Ok((incoming.finish(store, digest)?, bytes))
    }

    /// Reads an answer into memory.
    pub(super) async fn document(
        &self,
        mut response: Response<Body>,
    ) -> Result<Vec<u8>, FetchFailure> {
        let mut document = Vec::new();
        let mut had = 0;
        while let Some(chunk) = self.chunk(&mut response, had, MAX_DOCUMENT_BYTES).await? {
            document.extend_from_slice(&chunk);
            had = document.len() as u64;
        }
        Ok(document)
    }

    /// The next piece of an answer of which so many bytes have come, and so many may.
    async fn chunk(
        &self,
        response: &mut Response<Body>,
        had: u64,
        limit_bytes: u64,
    ) -> Result<Option<Bytes>, FetchFailure> {
        if length(response).is_some_and(|length| length > limit_bytes) {
            return Err(FetchFailure::TooLarge { limit_bytes });
        }
        loop {
            let frame = timeout(self.patience, response.body_mut().frame()).await;
            let frame = frame.map_err(|_| FetchFailure::Stalled(self.patience))?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| FetchFailure::Broken(error.into()))?;
            let Ok(chunk) = frame.into_data() else { continue };
            if had + chunk.len() as u64 > limit_bytes {
                return Err(FetchFailure::TooLarge { limit_bytes });
            }
            return Ok(Some(chunk));
        }
    }
}

/// The length that a server states.
fn length(response: &Response<Body>) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads an address.
pub(super) fn parse(url: &str) -> Result<Url, FetchFailure> {
    Url::parse(url).map_err(|_| FetchFailure::Address)
}

/// Whether a host is this machine itself.
pub(super) fn is_here(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

fn secure(url: &Url) -> Result<(), FetchFailure> {
    let host = url.host().ok_or(FetchFailure::Address)?;
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_here(&host) => Ok(()),
        _ => Err(FetchFailure::Insecure { host: host.to_string() }),
    }
}
