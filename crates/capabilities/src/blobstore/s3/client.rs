//! The HTTP client by which buckets are reached: Dayfly's own, with its bounds. Of errors that a
//! server answers it keeps the code alone, because their texts repeat what was signed.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{self, connect};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use thiserror::Error as ThisError;
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::tls::usual;

/// How long a server may take to be reached, to begin its answer, and between pieces of it.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(60);
const PIECE: Duration = Duration::from_secs(30);

/// How many requests wait for an answer at once, of all guests, and how long others wait.
static TURNS: Semaphore = Semaphore::const_new(128);
const WAIT: Duration = Duration::from_secs(10);

/// The longest text of an error that is looked at, and the longest code in it, in bytes.
const ERROR_BYTES: usize = 64 << 10;
const CODE_BYTES: usize = 64;

type Hyper = legacy::Client<HttpsConnector<connect::HttpConnector>, HttpRequestBody>;

/// What went wrong with a request, in words for the log.
#[derive(Debug, ThisError)]
#[error("{0}")]
struct Failed(String);

/// A client, made with its first use: reading the platform's roots takes milliseconds.
pub(super) struct Client {
    in_the_clear: bool,
    hyper: OnceLock<Hyper>,
}

impl Client {
    /// One that speaks TLS alone, unless it may do without.
    pub(super) fn new(in_the_clear: bool) -> Self {
        Self { in_the_clear, hyper: OnceLock::new() }
    }

    fn hyper(&self) -> &Hyper {
        self.hyper.get_or_init(|| {
            let mut http = connect::HttpConnector::new();
            http.enforce_http(false);
            http.set_nodelay(true);
            http.set_connect_timeout(Some(CONNECT));
            let connector =
                hyper_rustls::HttpsConnectorBuilder::new().with_tls_config((*usual()).clone());
            let connector =
                if self.in_the_clear { connector.https_or_http() } else { connector.https_only() };
            let mut builder = legacy::Client::builder(TokioExecutor::new());
            builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new());
            builder.pool_max_idle_per_host(16);
            builder.build(connector.enable_http1().wrap_connector(http))
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl HttpConnector for Client {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Self::new(self.in_the_clear)))
    }
}

#[async_trait::async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let turn = timeout(WAIT, TURNS.acquire()).await;
        let _turn = turn.map_err(|_| late("too many requests to servers are under way"))?;
        let answer = timeout(ANSWER, self.hyper().request(request)).await;
        let response = answer.map_err(|_| late("the server does not answer"))?.map_err(explain)?;
        let (parts, body) = response.into_parts();
        let body = Timed::new(body);
        let body = if parts.status.is_client_error() || parts.status.is_server_error() {
            code(body).await.into()
        } else {
            HttpResponseBody::new(body)
        };
        Ok(HttpResponse::from_parts(parts, body))
    }
}

fn late(text: &str) -> HttpError {
    HttpError::new(HttpErrorKind::Timeout, Failed(text.to_owned()))
}

/// Tells what may be sent again from what may not.
fn explain(error: legacy::Error) -> HttpError {
    let of_hyper = error.source().and_then(|source| source.downcast_ref::<hyper::Error>());
    let kind = match of_hyper {
        _ if error.is_connect() => HttpErrorKind::Connect,
        Some(error) if error.is_canceled() => HttpErrorKind::Request,
        Some(error) if error.is_timeout() => HttpErrorKind::Timeout,
        Some(error) if error.is_parse() => HttpErrorKind::Decode,
        _ => HttpErrorKind::Interrupted,
    };
    HttpError::new(kind, Failed(chain(&error)))
}

fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

/// The code in an error of S3.
async fn code(body: Timed) -> Bytes {
    let Ok(body) = Limited::new(body, ERROR_BYTES).collect().await else { return Bytes::new() };
    code_in(&body.to_bytes()).into()
}

fn code_in(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let code = code.map_or("", |(code, _)| code);
    let is_code = code.len() <= CODE_BYTES && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_code { code.to_owned() } else { String::new() }
}

/// An answer that must not stand still while it is read.
struct Timed {
    body: Incoming,
    patience: Pin<Box<Sleep>>,
    waits: bool,
}

impl Timed {
    fn new(body: Incoming) -> Self {
        Self { body, patience: Box::pin(sleep(PIECE)), waits: false }
    }
}

impl Body for Timed {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.waits = false;
            return Poll::Ready(frame.map(|frame| {
                frame.map_err(|error| {
                    HttpError::new(HttpErrorKind::Interrupted, Failed(chain(&error)))
                })
            }));
        }
        if !self.waits {
            self.waits = true;
            self.patience.as_mut().reset(Instant::now() + PIECE);
        }
        ready!(self.patience.as_mut().poll(cx));
        Poll::Ready(Some(Err(late("the server stopped in the middle of its answer"))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_error_its_code_alone_is_kept() {
        let text = b"<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code>\
                     <AWSAccessKeyId>id</AWSAccessKeyId></Error>";
        assert_eq!(code_in(text), "SignatureDoesNotMatch");
        for other in [&b""[..], b"<Code>", b"<Code>a b</Code>", b"\xff", b"<Code>\n</Code>"] {
            assert_eq!(code_in(other), "");
        }
        assert_eq!(format!("{:?}", Client::new(true)), "Client");
    }
}
