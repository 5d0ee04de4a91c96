//! A collector of OpenTelemetry: it takes OTLP over HTTP and gRPC, and keeps what it is told. It
//! reads the messages by the types that OTLP's authors generate.

use std::convert::Infallible;
use std::io::Read as _;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::Certificate;
use crate::upstream::acceptor;

/// How long something may take to be told.
const SOON: Duration = Duration::from_secs(30);

/// What a collector was told so far, each with who told it.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Spans.
    pub spans: Vec<(Resource, InstrumentationScope, Span)>,
    /// Metrics.
    pub metrics: Vec<(Resource, InstrumentationScope, Metric)>,
    /// Log records.
    pub logs: Vec<(Resource, InstrumentationScope, LogRecord)>,
    /// The path and the headers of each request.
    pub requests: Vec<(String, HeaderMap)>,
}

impl Told {
    /// The spans of this name, in the order in which they came.
    pub fn spans_named(&self, name: &str) -> Vec<&Span> {
        self.spans.iter().map(|(_, _, span)| span).filter(|span| span.name == name).collect()
    }

    /// The only span of this name.
    ///
    /// # Panics
    /// If there is none, or another one.
    pub fn span(&self, name: &str) -> &Span {
        match self.spans_named(name)[..] {
            [span] => span,
            ref spans => panic!("not one span {name}: {spans:#?} of {:#?}", self.names()),
        }
    }

    /// The names of all spans.
    pub fn names(&self) -> Vec<&str> {
        self.spans.iter().map(|(_, _, span)| span.name.as_str()).collect()
    }
}

/// The value of an attribute.
pub fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

/// The text of an attribute; empty if it is not there.
pub fn text<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    match attribute(attributes, key) {
        Some(Value::StringValue(text)) => text,
        _ => "",
    }
}

/// The whole number of an attribute.
pub fn number(attributes: &[KeyValue], key: &str) -> Option<i64> {
    match attribute(attributes, key) {
        Some(Value::IntValue(number)) => Some(*number),
        _ => None,
    }
}

/// A collector on a free port of this machine.
pub struct Collector {
    shared: Arc<Shared>,
    url: String,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    told: Mutex<Told>,
    changed: Notify,
    /// The status of its answers.
    status: AtomicU16,
}

impl Collector {
    /// Starts one that takes everything.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start() -> Self {
        Self::with(None).await
    }

    /// Starts one that speaks TLS, with clients that show a certificate of the authority of
    /// `clients`; its URL has `localhost` as host.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start_tls(certificate: &Certificate, clients: &Certificate) -> Self {
        Self::with(Some(acceptor(certificate, Some(clients)))).await
    }

    async fn with(acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let url = match acceptor {
            Some(_) => format!("https://localhost:{}", address.port()),
            None => format!("http://{address}"),
        };
        let shared = Arc::new(Shared { status: AtomicU16::new(200), ..Shared::default() });
        let served = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, acceptor) = (served.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let Some(acceptor) = acceptor else {
                        let mut first = [0; 3];
                        let length = stream.peek(&mut first).await.unwrap_or(0);
                        return serve(shared, stream, &first[..length] == b"PRI").await;
                    };
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                        serve(shared, stream, http2).await;
                    }
                });
            }
        });
        Self { shared, url, task }
    }

    /// Its URL, without a path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers with this status from now on, and takes nothing unless it is 200.
    pub fn answer(&self, status: u16) {
        self.shared.status.store(status, Relaxed);
    }

    /// What it was told so far.
    pub fn told(&self) -> Told {
        self.shared.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it was told as soon as that is enough, which must be soon.
    ///
    /// # Panics
    /// If it is not.
    pub async fn until(&self, enough: impl Fn(&Told) -> bool) -> Told {
        let waited = timeout(SOON, async {
            loop {
                let changed = self.shared.changed.notified();
                let told = self.told();
                if enough(&told) {
                    return told;
                }
                changed.await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("it is not told enough: {:#?}", self.told()))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves one connection; how it ends is its client's business.
async fn serve(
    shared: Arc<Shared>,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    http2: bool,
) {
    let service = service_fn(move |request| take(shared.clone(), request));
    let stream = TokioIo::new(stream);
    if http2 {
        let builder = http2::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(stream, service).await;
    } else {
        let _ = http1::Builder::new().serve_connection(stream, service).await;
    }
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn take(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let is_grpc = head.headers.get("content-type").is_some_and(|of| of == "application/grpc");
    let status = shared.status.load(Relaxed);
    {
        let mut told = shared.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.requests.push((head.uri.path().to_owned(), head.headers.clone()));
        if status == 200 {
            keep(&mut told, head.uri.path(), &message(&head.headers, &body, is_grpc));
        }
    }
    shared.changed.notify_waiters();
    Ok(if is_grpc { grpc(status) } else { plain(status) })
}

/// The message in a body.
fn message(headers: &HeaderMap, body: &Bytes, is_grpc: bool) -> Vec<u8> {
    let (framed, encoding) = if is_grpc { (5, "grpc-encoding") } else { (0, "content-encoding") };
    let message = &body[framed..];
    match headers.get(encoding) {
        Some(encoding) if encoding == "gzip" => {
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(message).read_to_end(&mut read).expect("gzip");
            read
        }
        _ => message.to_vec(),
    }
}

fn keep(told: &mut Told, path: &str, message: &[u8]) {
    if path.ends_with("/v1/traces") || path.ends_with("TraceService/Export") {
        let request = ExportTraceServiceRequest::decode(message).expect("spans");
        for of in request.resource_spans {
            let resource = of.resource.expect("a resource");
            for of in of.scope_spans {
                let scope = of.scope.expect("a scope");
                let spans = of.spans.into_iter();
                told.spans.extend(spans.map(|span| (resource.clone(), scope.clone(), span)));
            }
        }
    } else if path.ends_with("/v1/metrics") || path.ends_with("MetricsService/Export") {
        let request = ExportMetricsServiceRequest::decode(message).expect("metrics");
        for of in request.resource_metrics {
            let resource = of.resource.expect("a resource");
            for of in of.scope_metrics {
                let scope = of.scope.expect("a scope");
                let metrics = of.metrics.into_iter();
                told.metrics.extend(metrics.map(|data| (resource.clone(), scope.clone(), data)));
            }
        }
    } else if path.ends_with("/v1/logs") || path.ends_with("LogsService/Export") {
        let request = ExportLogsServiceRequest::decode(message).expect("log records");
        for of in request.resource_logs {
            let resource = of.resource.expect("a resource");
            for of in of.scope_logs {
                let scope = of.scope.expect("a scope");
                let records = of.log_records.into_iter();
                told.logs.extend(records.map(|data| (resource.clone(), scope.clone(), data)));
            }
        }
    } else {
        panic!("nothing is collected at {path}");
    }
}

fn plain(status: u16) -> Answer {
    let mut response = Response::new(Full::new(Bytes::new()).boxed());
    *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    response
}

/// An answer by gRPC: an empty message, then the status.
fn grpc(status: u16) -> Answer {
    let code = if status == 200 { "0" } else { "14" };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(body.boxed());
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    response
}
