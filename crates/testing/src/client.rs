//! A small HTTP client for one server, and its answers kept whole.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::body::{Body, Boxed};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(100);

/// A client of one server, in the clear.
#[derive(Clone)]
pub struct Client {
    base: String,
    client: legacy::Client<HttpConnector, Boxed>,
}

impl Client {
    /// A client of `base` (`http://HOST:PORT`) that speaks HTTP/1.1.
    pub fn http1(base: &str) -> Self {
        Self::new(base, false)
    }

    /// A client of `base` (`http://HOST:PORT`) that speaks HTTP/2 without asking first.
    pub fn http2(base: &str) -> Self {
        Self::new(base, true)
    }

    fn new(base: &str, http2: bool) -> Self {
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        let client = builder.http2_only(http2).build(HttpConnector::new());
        Self { base: base.to_owned(), client }
    }

    /// The server's URL, without a path.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request for a path of the server, to be completed and sent by [`Self::send`].
    pub fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("{}{path}", self.base))
    }

    /// The answer to a GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).body(Body::empty())).await
    }

    /// The answer to a GET with these headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.request(Method::GET, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty())).await
    }

    /// The text of the answer to a GET, which must be 200.
    ///
    /// # Panics
    /// If it is not.
    pub async fn text(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text()
    }

    /// The answer to a POST.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(self.request(Method::POST, path).body(Body::full(body))).await
    }

    /// The answer to a POST of `body` with these headers.
    pub async fn post_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = self.request(Method::POST, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::full(body))).await
    }

    /// The answer to a request, read to its end.
    ///
    /// # Panics
    /// If there is none, or not in time.
    pub async fn send(&self, request: http::Result<Request<Boxed>>) -> Answer {
        self.try_send(request).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The answer to a request, or how it broke off.
    ///
    /// # Errors
    /// The connection's.
    ///
    /// # Panics
    /// If there is no answer in time.
    pub async fn try_send(&self, request: http::Result<Request<Boxed>>) -> Result<Answer, String> {
        let request = request.expect("a legal request");
        let target = request.uri().clone();
        let answer = async { Answer::read(self.open(request).await?).await };
        let answer = timeout(PATIENCE, answer).await;
        answer.unwrap_or_else(|_| panic!("no answer to {target} in time"))
    }

    /// The head of the answer to a request; its body is to be read.
    ///
    /// # Errors
    /// The connection's.
    pub async fn open(&self, request: Request<Boxed>) -> Result<Response<Incoming>, String> {
        let target = request.uri().clone();
        let answer = self.client.request(request).await;
        answer.map_err(|error| format!("no answer to {target}: {error:?}"))
    }
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Its trailers, empty if there are none.
    pub trailers: HeaderMap,
}

impl Answer {
    /// Reads a body to its end.
    ///
    /// # Errors
    /// If it breaks off.
    pub async fn read(response: Response<Incoming>) -> Result<Self, String> {
        let (parts, body) = response.into_parts();
        let collected = body.collect().await.map_err(|e| format!("the body broke off: {e:?}"))?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Ok(Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: collected.to_bytes(),
            trailers,
        })
    }

    /// Its body as a text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header, empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The id in an error's line.
    ///
    /// # Panics
    /// If the body is not such a line.
    pub fn error_id(&self) -> String {
        let text = self.text();
        let id = text.strip_suffix(")\n").and_then(|text| text.rsplit_once(" (error "));
        let (line, id) = id.unwrap_or_else(|| panic!("no line with an error id: {text:?}"));
        assert!(!line.contains('\n'), "more than one line: {text:?}");
        id.to_owned()
    }
}
