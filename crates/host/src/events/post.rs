//! Events for whoever answers HTTP: a POST in the binary mode of CloudEvents' HTTP binding.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use dayfly_capabilities::queue::{Content, MESSAGE_BYTES};
use dayfly_model::runtime_config::OutboundNetworking;
use http::header::CONTENT_TYPE;
use http::uri::Scheme;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use tower_service::Service;

use super::Event;
use super::vouch::vouch;
use crate::dispatch::content_type;
use crate::error::chain;

/// Where an event comes from that somebody sends to a route.
const SOURCE: &str = "/send";

/// Sends events.
pub(super) struct Poster {
    networking: OutboundNetworking,
    plain: Client<Connector, Full<Bytes>>,
    /// Made when it is needed first: without any authorities there is none.
    secure: OnceLock<Client<HttpsConnector<Connector>, Full<Bytes>>>,
}

type Connector = HttpConnector<Addresses>;

/// The addresses of names, but for those that nobody reaches.
#[derive(Clone)]
struct Addresses {
    all: GaiResolver,
    networking: OutboundNetworking,
}

impl Service<Name> for Addresses {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.all.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (found, networking) = (self.all.call(name), self.networking.clone());
        Box::pin(async move {
            let is_free = |address: &SocketAddr| !networking.blocks(address.ip());
            let addresses: Vec<SocketAddr> = found.await?.filter(is_free).collect();
            match addresses.is_empty() {
                true => Err(io::Error::other("it has no address that may be reached")),
                false => Ok(addresses.into_iter()),
            }
        })
    }
}

/// Why an event was not sent.
pub(super) enum NotPosted {
    /// The URL is none.
    Url(String),
    /// This machine is not set up for TLS.
    Tls(rustls::Error),
    /// No answer came.
    Lost(legacy::Error),
}

impl fmt::Display for NotPosted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => f.write_str(error),
            Self::Tls(error) => write!(f, "no certificate authorities can be trusted: {error}"),
            Self::Lost(error) => f.write_str(&chain(error)),
        }
    }
}

impl Poster {
    /// One that trusts the platform's authorities, and reaches none of the addresses that nobody does.
    pub(super) fn new(networking: OutboundNetworking) -> Self {
        let plain = Client::builder(TokioExecutor::new()).build(connector(&networking));
        Self { networking, plain, secure: OnceLock::new() }
    }

    fn secure(&self) -> Result<&Client<HttpsConnector<Connector>, Full<Bytes>>, rustls::Error> {
        if let Some(secure) = self.secure.get() {
            return Ok(secure);
        }
        let mut tcp = connector(&self.networking);
        tcp.enforce_http(false);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .try_with_platform_verifier()?
            .https_only()
            .enable_all_versions()
            .wrap_connector(tcp);
        let made = Client::builder(TokioExecutor::new()).build(connector);
        Ok(self.secure.get_or_init(|| made))
    }

    /// Sends an event; of a `plain` one the data alone, and its media type.
    pub(super) async fn post(
        &self,
        url: &str,
        event: &Event,
        plain: bool,
    ) -> Result<Response<Incoming>, NotPosted> {
        let body = Full::new(event.data.clone());
        let request = Request::post(url).body(body);
        let mut request =
            request.map_err(|error| NotPosted::Url(format!("`{url}` is no URL: {error}")))?;
        // Whoever writes an address asks for none.
        let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']);
        if host.parse::<IpAddr>().is_ok_and(|address| self.networking.blocks(address)) {
            return Err(NotPosted::Url(format!("`{host}` may not be reached")));
        }
        let headers = request.headers_mut();
        let mut own = event.own_headers();
        match plain {
            true => headers.extend(own.remove(CONTENT_TYPE).map(|value| (CONTENT_TYPE, value))),
            false => {
                headers.extend(own);
                vouch(headers, event);
            }
        }
        headers.extend(event.trace());
        let answering = match request.uri().scheme() == Some(&Scheme::HTTPS) {
            true => self.secure().map_err(NotPosted::Tls)?.request(request),
            false => self.plain.request(request),
        };
        answering.await.map_err(NotPosted::Lost)
    }
}

fn connector(networking: &OutboundNetworking) -> Connector {
    let all = GaiResolver::new();
    HttpConnector::new_with_resolver(Addresses { all, networking: networking.clone() })
}

/// Sends an event to a URL as somebody does who tries a route, and waits for the answer. What the content's
/// attributes leave open is made up; of a `plain` one only the data is sent, with its media type.
///
/// # Errors
/// Why there is no answer that says that it went well, for people.
pub async fn send(
    url: &str,
    content: Content,
    plain: bool,
    patience: Duration,
) -> Result<Content, String> {
    let event = Event::of_content(content, Event::new(SOURCE, "dayfly.test", Bytes::new()));
    let exchange = async {
        let poster = Poster::new(OutboundNetworking::default());
        let response = poster.post(url, &event, plain).await.map_err(|error| error.to_string())?;
        let (head, body) = response.into_parts();
        let data = Limited::new(body, MESSAGE_BYTES).collect().await;
        let data = data.map_err(|error| format!("its answer broke off: {error}"))?.to_bytes();
        if !head.status.is_success() {
            let said = String::from_utf8_lossy(&data).lines().next().map(str::to_owned);
            let said = said.map(|line| format!(": {line}")).unwrap_or_default();
            return Err(format!("{url} answered with status {}{said}", head.status));
        }
        let content_type = content_type(&head.headers);
        Ok(Content { attributes: Vec::new(), content_type, data })
    };
    let answered = tokio::time::timeout(patience, exchange).await;
    answered.unwrap_or_else(|_| Err(format!("{url} did not answer within {patience:?}")))
}
