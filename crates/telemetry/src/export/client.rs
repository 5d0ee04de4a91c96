//! The exporter's own client: OTLP over HTTP with protobuf, or over gRPC, which is one more frame
//! around the same bytes. It has nothing to do with the clients of guests.

use std::io::Write as _;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, TE, USER_AGENT,
};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prost::Message as _;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::time::timeout;

use super::settings::{Protocol, Signal};
use crate::proto::collector::trace::v1::ExportTraceServiceResponse;

/// How long an answer may be: there is little to say.
const ANSWER_BYTES: usize = 64 << 10;

/// How long an unused connection is kept; collectors close theirs sooner or later.
const IDLE: Duration = Duration::from_secs(30);

const USER: HeaderValue =
    HeaderValue::from_static(concat!("OTel-OTLP-Exporter-Dayfly/", env!("CARGO_PKG_VERSION")));
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_STATUS: &str = "grpc-status";

/// Sends one kind of what is told.
pub(super) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    signal: Signal,
}

/// Why something was not taken.
#[derive(Debug, Error)]
pub(super) enum SendError {
    #[error("the collector cannot be reached: {0}")]
    Unreachable(String),
    #[error("the collector did not answer in time")]
    Timeout,
    #[error("the collector answered with status {status}")]
    Status { status: u16, retry: bool, after: Option<Duration> },
    #[error("the collector answered with gRPC status {0}")]
    Grpc(i32),
}

impl SendError {
    /// Whether it may be taken later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout => true,
            Self::Status { retry, .. } => *retry,
            // Cancelled, deadline exceeded, aborted, out of range, unavailable, data loss.
            Self::Grpc(status) => matches!(status, 1 | 4 | 10 | 11 | 14 | 15),
        }
    }

    /// After how long, if the collector says.
    pub(super) fn after(&self) -> Option<Duration> {
        match self {
            Self::Status { after, .. } => *after,
            _ => None,
        }
    }
}

impl Client {
    pub(super) fn new(signal: Signal) -> Self {
        let tls = match &signal.tls {
            Some(tls) => (**tls).clone(),
            // Never asked.
            None => without_roots(),
        };
        let grpc = signal.protocol == Protocol::Grpc;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(signal.timeout));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let connector = match grpc {
            true => connector.enable_http2().wrap_connector(tcp),
            false => connector.enable_all_versions().wrap_connector(tcp),
        };
        let http = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .http2_only(grpc)
            .build(connector);
        Self { http, signal }
    }

    /// Sends a message; says how much of it the collector rejected, and why.
    pub(super) async fn send(&self, message: Vec<u8>) -> Result<(u64, String), SendError> {
        let answer = timeout(self.signal.timeout, self.exchange(message)).await;
        let answer = answer.unwrap_or(Err(SendError::Timeout))?;
        // The three answers differ in their names only.
        let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
        let partial = answer.partial_success.unwrap_or_default();
        Ok((u64::try_from(partial.rejected_spans).unwrap_or(0), partial.error_message))
    }

    async fn exchange(&self, message: Vec<u8>) -> Result<Bytes, SendError> {
        let response = self.http.request(self.request(message)).await;
        let response = response.map_err(|error| SendError::Unreachable(explain(&error)))?;
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        if status != 200 {
            let retry = matches!(status, 429 | 502 | 503 | 504);
            let after = head.headers.get(RETRY_AFTER).and_then(|after| after.to_str().ok());
            let after = after.and_then(|after| after.parse().ok()).map(Duration::from_secs);
            return Err(SendError::Status { status, retry, after });
        }
        let body = Limited::new(body, ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| SendError::Unreachable(error.to_string()))?;
        if self.signal.protocol == Protocol::Http {
            return Ok(body.to_bytes());
        }
        let none = HeaderMap::new();
        let trailers = body.trailers().unwrap_or(&none);
        let status = trailers.get(GRPC_STATUS).or(head.headers.get(GRPC_STATUS));
        match status.and_then(|status| status.to_str().ok()?.parse().ok()) {
            Some(0) => {}
            // Unknown.
            other => return Err(SendError::Grpc(other.unwrap_or(2))),
        }
        let framed = body.to_bytes();
        Ok(if framed.len() < 5 { Bytes::new() } else { framed.slice(5..) })
    }

    fn request(&self, message: Vec<u8>) -> Request<Full<Bytes>> {
        let Signal { endpoint, protocol, headers, gzip, .. } = &self.signal;
        let zipped = if *gzip { zip(&message) } else { None };
        let is_zipped = zipped.is_some();
        let message = zipped.unwrap_or(message);
        let grpc = *protocol == Protocol::Grpc;
        let body = if grpc { frame(&message, is_zipped) } else { message.into() };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.clone();
        let sent = request.headers_mut();
        sent.insert(USER_AGENT, USER);
        sent.extend(headers.clone());
        let media = if grpc { "application/grpc" } else { "application/x-protobuf" };
        sent.insert(CONTENT_TYPE, HeaderValue::from_static(media));
        if grpc {
            sent.insert(TE, HeaderValue::from_static("trailers"));
        }
        if is_zipped {
            sent.insert(if grpc { GRPC_ENCODING } else { CONTENT_ENCODING }, GZIP);
        }
        request
    }
}

fn without_roots() -> ClientConfig {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        // The provider has what its own defaults want.
        .unwrap_or_else(|error| unreachable!("{error}"));
    builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}

fn zip(message: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(message).ok()?;
    encoder.finish().ok()
}

/// A message as gRPC has it: whether it is compressed, its length, itself.
fn frame(message: &[u8], is_zipped: bool) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(u8::from(is_zipped));
    // Batches are far smaller than what the length can say.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// An error and its causes; the address is the operator's own and is not repeated.
fn explain(error: &legacy::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text = source.to_string();
        cause = source.source();
    }
    text
}
