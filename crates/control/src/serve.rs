//! The admin API's server: HTTP/1.1, bounded in connections and in time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use dayfly_store::{Actor, Store, StoreError, Terms, TokenScope, TokenText};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower_service::Service as _;

use crate::caller::{Peer, authenticate};
use crate::follow::Hangup;
use crate::guesses::whose;
use crate::idempotency::once;
use crate::places::Each;
use crate::prepare::Preparer;
use crate::shared::{Inner, Shared};
use crate::{AcmeConfig, acme, heal, making, routes};

/// How many connections there are at once.
const CONNECTIONS: usize = 512;

/// How many of them one address may have: somebody without a token keeps nobody else out.
const CONNECTIONS_EACH: usize = 384;

/// How long a client may take to send a request's head.
const HEAD: Duration = Duration::from_secs(10);

/// How long a request may take in all; making a release ready has a bound of its own below that.
const WHOLE: Duration = Duration::from_secs(30 * 60);

/// How the control plane is set up.
#[derive(Debug, Clone)]
pub struct ControlConfig {
    /// The domain below which apps have their addresses.
    pub base_domain: String,
    /// How clients reach the node: `http` or `https`, and a port if it is not the usual one.
    pub reached_by: Option<(String, Option<u16>)>,
    /// How many releases are made ready at once.
    pub workers: usize,
    /// How many tenants may have a process of their own.
    pub own_processes: u32,
    /// Where certificates are ordered, if anywhere.
    pub acme: Option<AcmeConfig>,
    /// How long who follows a log may take nothing; and how long again, until the connection is cut.
    pub follower_patience: Duration,
}

/// The control plane cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing can be listened to.
    #[error("failed to serve the admin API")]
    Io(#[from] std::io::Error),
}

/// The control plane.
pub struct Control {
    shared: Shared,
    router: Router,
}

/// The requests that are being answered.
pub struct UnderWay(Shared);

impl UnderWay {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.running.load(Relaxed)
    }
}

/// One of them.
struct Counted(Shared);

impl Counted {
    fn new(shared: Shared) -> Self {
        shared.running.fetch_add(1, Relaxed);
        Self(shared)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Relaxed);
    }
}

impl ControlConfig {
    /// Where a host of an app's is reached.
    pub(crate) fn url_of(&self, host: &str) -> Option<String> {
        let (scheme, port) = self.reached_by.as_ref()?;
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{scheme}://{host}{port}/"))
    }
}

impl Control {
    /// The control plane of a store.
    #[must_use]
    pub fn new(store: Arc<Store>, preparer: Arc<dyn Preparer>, config: ControlConfig) -> Self {
        let shared = Inner::new(store, preparer, config);
        let router = routes::router()
            .route_layer(middleware::from_fn_with_state(shared.clone(), once))
            .route_layer(middleware::from_fn_with_state(shared.clone(), authenticate))
            .layer(middleware::from_fn_with_state(shared.clone(), guarded))
            .with_state(shared.clone());
        Self { shared, router }
    }

    /// Makes what a new platform begins with, unless it is there: the tenant `default`, and a token of
    /// the operator's, whose text is given. `is_kept` says whether the text of one that was given before
    /// lies where the operator finds it: one that nobody has used, and that lies nowhere, was lost.
    ///
    /// # Errors
    /// If the store fails.
    pub fn begin(store: &Store, is_kept: bool) -> Result<Option<TokenText>, ServeError> {
        if store.has_operator(is_kept)? {
            return Ok(None);
        }
        let by = Actor { name: Some("dayfly serve".to_owned()), ..Actor::default() };
        let default = dayfly_model::platform::TenantId::DEFAULT.parse();
        let default = default.map_err(|error| std::io::Error::other(format!("{error}")))?;
        match store.make_tenant(&by, &default, Terms::default()) {
            Ok(_) | Err(StoreError::Taken(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let (_, text) = store.make_token(&by, None, "operator", TokenScope::Admin, None)?;
        Ok(Some(text))
    }

    /// How many requests are being answered.
    #[must_use]
    pub fn under_way(&self) -> UnderWay {
        UnderWay(self.shared.clone())
    }

    /// Serves as long as the process runs.
    ///
    /// # Errors
    /// If the listener fails for good.
    pub async fn serve(self, listener: TcpListener) -> Result<(), ServeError> {
        tokio::spawn(heal::run(self.shared.clone()));
        tokio::spawn(heal::expire(self.shared.clone()));
        tokio::spawn(making::run(self.shared.clone()));
        if let Some(acme) = self.shared.config.acme.clone() {
            tokio::spawn(acme::run(self.shared.clone(), acme));
        }
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let addresses = Each::new(CONNECTIONS_EACH);
        loop {
            let Ok(permit) = connections.clone().acquire_owned().await else { return Ok(()) };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Too few descriptors, or a client that left: the next one may be luckier.
                    tracing::debug!(%error, "a connection to the admin API was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(of_address) = addresses.of(&whose(peer.ip())).try_acquire_owned() else {
                tracing::debug!(%peer, "a connection to the admin API is one too many of its address");
                continue;
            };
            let router = self.router.clone();
            tokio::spawn(async move {
                converse(stream, peer, router).await;
                drop((permit, of_address));
            });
        }
    }
}

/// Answers the requests of one connection.
async fn converse(stream: TcpStream, peer: SocketAddr, router: Router) {
    let _ = stream.set_nodelay(true);
    let hangup = Hangup::default();
    let own = hangup.clone();
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        request.extensions_mut().insert(own.clone());
        let mut router = router.clone();
        async move {
            let answered = router.call(request.map(Body::new)).await;
            let Ok(response) = answered;
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 << 10);
    tokio::select! {
        served = builder.serve_connection(TokioIo::new(stream), service) => {
            if let Err(error) = served {
                tracing::debug!(%error, "a connection to the admin API broke");
            }
        }
        () = hangup.0.notified() => {}
    }
}

/// Bounds the time of a request, and says to browsers that there is nothing for them in the answer.
async fn guarded(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    use axum::response::IntoResponse as _;
    let _counted = Counted::new(shared);
    let done = tokio::time::timeout(WHOLE, next.run(request)).await;
    let late = |_| crate::failure::Failure::unavailable("it took too long").into_response();
    let mut response = done.unwrap_or_else(late);
    let headers = response.headers_mut();
    let own: [(HeaderName, &'static str); 4] = [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in own {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
