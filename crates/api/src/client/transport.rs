//! HTTP with TLS by the machine's roots, and no wait without an end.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use url::{Host, Url};

use super::ClientError;
use super::upload::Payload;

const CONNECT: Duration = Duration::from_secs(10);

/// How long a server may take nothing of what is sent.
const STALL: Duration = Duration::from_secs(30);

/// How long what is sent goes on between two words about progress.
const PACE: Duration = Duration::from_millis(100);

/// The longest answer.
const MAX_ANSWER_BYTES: usize = 16 << 20;

pub(super) struct Transport {
    runtime: Runtime,
    http: legacy::Client<HttpsConnector<HttpConnector>, Payload>,
}

/// An answer, whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Transport {
    pub(super) fn new() -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|_| ClientError::NoClient)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls().ok_or(ClientError::NoClient)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { runtime, http })
    }

    /// Sends a request and reads its answer; `told` hears how many bytes of the body were sent.
    pub(super) fn send(
        &self,
        request: Request<Payload>,
        patience: Duration,
        told: &mut dyn FnMut(u64),
    ) -> Result<Answer, ClientError> {
        self.runtime.block_on(async {
            let answer = self.begin(request, patience, told).await?;
            whole(answer).await
        })
    }

    /// Sends a request and hands over its answer piece by piece, as long as `told` wants more and no
    /// piece takes longer than `silence`. What is no success is given whole instead.
    pub(super) fn stream(
        &self,
        request: Request<Payload>,
        silence: Duration,
        told: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<Answer, ClientError> {
        self.runtime.block_on(async {
            let answer = self.begin(request, silence, &mut |_| ()).await?;
            let status = answer.status();
            if !status.is_success() {
                return whole(answer).await;
            }
            let mut body = answer.into_body();
            loop {
                let frame = timeout(silence, body.frame()).await;
                let Some(frame) = frame.map_err(|_| ClientError::Stalled(silence))? else { break };
                let frame = frame.map_err(|error| ClientError::Broken(error.into()))?;
                if frame.data_ref().is_some_and(|piece| !told(piece)) {
                    break;
                }
            }
            Ok(Answer { status, body: Bytes::new() })
        })
    }

    /// Sends a request, until its answer begins.
    async fn begin(
        &self,
        mut request: Request<Payload>,
        patience: Duration,
        told: &mut dyn FnMut(u64),
    ) -> Result<Response<Incoming>, ClientError> {
        let agent = HeaderValue::from_static(concat!("dayfly/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        let sent = request.body().sent();
        let whole = hyper::body::Body::size_hint(request.body()).exact().unwrap_or(0);
        let mut answer = pin!(self.http.request(request));
        let (mut taken, mut since) = (0, Instant::now());
        let answer = loop {
            if let Ok(answer) = timeout(PACE, &mut answer).await {
                break answer.map_err(|error| match error.is_connect() {
                    true => ClientError::Connect(error.into()),
                    false => ClientError::Broken(error.into()),
                })?;
            }
            let now = sent.load(Relaxed);
            let wait = if now < whole { STALL } else { patience };
            if now > taken {
                (taken, since) = (now, Instant::now());
                told(taken);
            } else if since.elapsed() > wait {
                return Err(ClientError::Stalled(wait));
            }
        };
        told(sent.load(Relaxed));
        Ok(answer)
    }
}

/// Reads an answer to its end.
async fn whole(answer: Response<Incoming>) -> Result<Answer, ClientError> {
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect();
    let body = timeout(STALL, body).await.map_err(|_| ClientError::Stalled(STALL))?;
    let body = body.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
        true => ClientError::Long,
        false => ClientError::Broken(error),
    })?;
    Ok(Answer { status, body: body.to_bytes() })
}

/// Refuses an address by which a token would be shown to whoever is on the way.
pub(super) fn check(url: &Url) -> Result<(), ClientError> {
    let host = url.host().ok_or_else(|| ClientError::Address(url.to_string()))?;
    let is_here = match &host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_here => Ok(()),
        _ => Err(ClientError::Insecure { host: host.to_string() }),
    }
}

fn tls() -> Option<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().ok()?;
    Some(builder.try_with_platform_verifier().ok()?.with_no_client_auth())
}
