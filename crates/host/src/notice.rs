//! What is said instead of an app that cannot answer, such as one that does not build: a page to people,
//! a line to programs.

use bytes::Bytes;
use dayfly_telemetry::metrics::edge;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::{Body, Fault};

/// What is said instead of an app's answers.
#[derive(Debug, Clone)]
pub struct Notice {
    page: Bytes,
    line: Bytes,
}

impl Notice {
    /// A page in HTML for those that take one (500), and a line of text for all others (503).
    pub fn new(page: impl Into<Bytes>, line: &str) -> Self {
        Self { page: page.into(), line: format!("{line}\n").into() }
    }

    /// The answer to a request with these headers.
    pub(crate) fn respond(&self, headers: &HeaderMap) -> Response<Body> {
        let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|it| it.contains("text/html"));
        let (status, content_type, body) = match headers.get_all(ACCEPT).iter().any(accepts) {
            true => (StatusCode::INTERNAL_SERVER_ERROR, "text/html; charset=utf-8", &self.page),
            false => (StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", &self.line),
        };
        edge::count(status.as_u16(), Some(Fault::Operator));
        let mut response = Response::new(Body::from(body.clone()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
