//! The HTTP client: TLS with the platform's roots, redirects that are counted, and no wait without
//! an end.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, LOCATION, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming as Body, SizeHint};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use url::{Host, Url};

use super::store::Store;
use super::{Copy, Fetching, Tell};

const CONNECT: Duration = Duration::from_secs(10);

/// How long one source may take in all.
const WHOLE: Duration = Duration::from_secs(30 * 60);

const MAX_REDIRECTS: usize = 5;

/// The largest answer that is read into memory.
const MAX_DOCUMENT_BYTES: u64 = 4 << 20;

/// How many bytes come between two words about progress.
const PACE_BYTES: u64 = 1 << 20;

/// How long what is sent goes on between two words about progress.
const PACE: Duration = Duration::from_millis(200);

/// How much is handed to the connection at once.
const PIECE_BYTES: usize = 64 << 10;

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
    /// A server elsewhere sends its clients to their own machine.
    #[error("`{host}` leads to this machine itself, which only this machine may")]
    Inwards {
        /// The server's host.
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
    /// There is more of it than was said.
    #[error("it is longer than the {stated_bytes} bytes that its manifest states")]
    Longer {
        /// The length that was said.
        stated_bytes: u64,
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
pub(crate) struct Client {
    runtime: Runtime,
    asker: Asker,
}

/// What asks servers.
pub(crate) struct Asker {
    http: legacy::Client<HttpsConnector<HttpConnector>, Payload>,
    patience: Duration,
}

/// A request.
pub(crate) struct Message<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl<'a> Message<'a> {
    /// A request without headers or a body.
    pub(crate) fn new(method: Method, url: &'a Url) -> Self {
        Self { method, url, headers: Vec::new(), body: Bytes::new() }
    }

    /// The same with a header.
    pub(crate) fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }
}

/// What is sent, in pieces that are counted as the connection takes them.
struct Payload {
    left: Bytes,
    sent: Arc<AtomicU64>,
}

impl hyper::body::Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.left.len().min(PIECE_BYTES);
        let piece = self.left.split_to(length);
        self.sent.fetch_add(length as u64, Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

impl Client {
    pub(crate) fn new(patience: Duration) -> Result<Self, FetchFailure> {
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

    /// What asks servers, within [`Self::run`].
    pub(crate) fn asker(&self) -> &Asker {
        &self.asker
    }

    /// Runs what asks servers to its end, which comes after half an hour at the latest.
    pub(crate) fn run<'a, T, F>(
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
        let message = Message { headers: headers.to_vec(), ..Message::new(Method::GET, url) };
        Ok(self.follow(&message).await?.0)
    }

    /// The same for any request without a body; says also who answered.
    pub(super) async fn follow(
        &self,
        message: &Message<'_>,
    ) -> Result<(Response<Body>, Url), FetchFailure> {
        let url = message.url;
        let mut at = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut headers = message.headers.clone();
            if at.origin() != url.origin() {
                headers.retain(|(name, _)| *name != AUTHORIZATION);
            }
            let message = Message { headers, ..Message::new(message.method.clone(), &at) };
            let response = self.send(&message, &mut |_| ()).await?;
            if !response.status().is_redirection() {
                return Ok((response, at));
            }
            let location = response.headers().get(LOCATION).and_then(|it| it.to_str().ok());
            let location = location.ok_or(FetchFailure::Status(response.status().as_u16()))?;
            at = led(&at, location)?;
        }
        Err(FetchFailure::Redirects)
    }

    /// What a server answers to a request, which may be that it is elsewhere.
    pub(super) async fn send(
        &self,
        message: &Message<'_>,
        tell: Tell<'_>,
    ) -> Result<Response<Body>, FetchFailure> {
        let Message { method, url, headers, body } = message;
        secure(url)?;
        let mut request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(USER_AGENT, concat!("dayfly/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let sent = Arc::new(AtomicU64::new(0));
        let payload = Payload { left: body.clone(), sent: sent.clone() };
        let request = request.body(payload).map_err(|_| FetchFailure::Address)?;
        let mut answer = pin!(self.http.request(request));
        let (mut taken, mut since) = (0, Instant::now());
        loop {
            if let Ok(answer) = timeout(PACE, &mut answer).await {
                return answer.map_err(|error| FetchFailure::Connect(error.into()));
            }
            let now = sent.load(Relaxed);
            if now > taken {
                (taken, since) = (now, Instant::now());
                tell(Fetching::Comes(taken, Some(body.len() as u64)));
            } else if since.elapsed() > CONNECT + self.patience {
                return Err(FetchFailure::Stalled(self.patience));
            }
        }
    }

    /// Reads an answer into a file that must have this digest, and may have so many bytes.
    pub(super) async fn keep(
        &self,
        mut response: Response<Body>,
        store: &Store,
        digest: &str,
        limit_bytes: u64,
        tell: Tell<'_>,
    ) -> Result<(Copy, u64), FetchFailure> {
        let length = length(&response);
        let mut incoming = store.incoming()?;
        let mut told = 0;
        while let Some(chunk) = self.chunk(&mut response, incoming.bytes(), limit_bytes).await? {
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

/// The address that a server at another one names. None leads from elsewhere to this machine, whose
/// services take what comes from here for their user's.
pub(super) fn led(from: &Url, to: &str) -> Result<Url, FetchFailure> {
    let to = from.join(to).map_err(|_| FetchFailure::Address)?;
    let is_local = |url: &Url| url.host().is_some_and(|host| is_here(&host));
    if is_local(&to) && !is_local(from) {
        let host = from.host_str().unwrap_or_default().to_owned();
        return Err(FetchFailure::Inwards { host });
    }
    Ok(to)
}

fn secure(url: &Url) -> Result<(), FetchFailure> {
    let host = url.host().ok_or(FetchFailure::Address)?;
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_here(&host) => Ok(()),
        _ => Err(FetchFailure::Insecure { host: host.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_elsewhere_leads_to_this_machine() {
        let led = |from: &str, to: &str| led(&Url::parse(from).unwrap(), to).map(String::from);
        let remote = "https://a.example/v2/";
        assert_eq!(led(remote, "../b").unwrap(), "https://a.example/b");
        assert_eq!(led(remote, "//b.example").unwrap(), "https://b.example/");
        assert_eq!(led("http://[::1]/", "//127.0.0.1/").unwrap(), "http://127.0.0.1/");
        assert!(led("http://localhost/", "https://b.example").is_ok());
        for to in ["http://localhost:80/", "https://127.0.0.1/", "http://[::1]/", "http://0x7f.1/"]
        {
            assert!(matches!(led(remote, to), Err(FetchFailure::Inwards { .. })), "{to}");
        }
    }
}
