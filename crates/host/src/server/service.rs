//! One request: checked, handed to the handler, its answer watched until the last byte.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::ext::Protocol as Asked;

use super::activity::{Activity, Order, Running};
use super::connection::{Connection, Protocol};
use super::handler::Handler;
use super::tunnels;
use super::unread::Impatient;
use super::unsent::ClientBody;
use super::upgrade::Upgrade;
use super::worker::Worker;
use crate::access_log::Record;
use crate::body::{Body, BodyStream, BoxError, is_bodiless};
use crate::error::{EdgeError, Problem};

/// A connection whose protocol is known, as its requests see it.
pub(super) struct Session<H> {
    pub(super) worker: Arc<Worker<H>>,
    pub(super) connection: Arc<Connection>,
    pub(super) activity: Arc<Activity>,
    /// What takes a connection of HTTP/1 over once it was answered with 101.
    pub(super) upgrade: OnceLock<Upgrade>,
}

impl<H: Handler> Session<H> {
    /// Answers a request. Never fails: hyper would take an error for a reason to close.
    ///
    /// What one async function calls is copied into it as it begins, with all that it calls in turn. So few
    /// such levels lie on the way of every request: there were twelve, and 35 kB of copies.
    pub(super) async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<Response<WatchedBody>, std::convert::Infallible> {
        let http1 = self.connection.protocol == Protocol::Http1;
        let has_body = http1 && !request.body().is_end_stream();
        let mut running = Running::begin(&self.activity, has_body);
        if !http1 {
            running.set_working(true);
        }
        let opening = is_extended(&request).then(|| hyper::upgrade::on(&mut request));
        let mut record = Record::begin(&request, &self.connection);
        let is_head = request.method() == Method::HEAD;
        let mut response = match self.check(&request) {
            // Whoever looks after this process must not take a busy one for a dead one.
            Ok(()) if self.worker.lag.is_too_long() && !is_about_host(&request) => {
                EdgeError::new(Problem::NodeBusy).because("no time on this core").respond()
            }
            Ok(()) => {
                let request = request.map(|body| ClientBody::new(body, &self.activity));
                let answer = self.worker.handler.handle(request, &self.connection);
                // A panic is our own mistake; it must cost one request, not all that share the connection.
                let answer = AssertUnwindSafe(answer).catch_unwind().await;
                answer.unwrap_or_else(|_| {
                    EdgeError::new(Problem::Internal).because("panicked").respond()
                })
            }
            Err(problem) => {
                let mut response = EdgeError::new(problem).respond();
                if http1 {
                    // What breaks the rules once may have its body's length wrong, too.
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                response
            }
        };
        if !http1 {
            strip_body(is_head, &mut response);
            running.set_working(false);
            response = response.map(|body| self.impatient(body));
        }
        if http1
            && self.activity.ordered() != Order::Serve
            && response.status() != StatusCode::SWITCHING_PROTOCOLS
        {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(record) = &mut record {
            record.answered(&mut response);
        }
        match (response.extensions_mut().remove::<Upgrade>(), opening) {
            (Some(upgrade), Some(opening)) => {
                tokio::spawn(tunnels::serve(opening, upgrade, self.activity.clone()));
            }
            // There is only one: nothing of HTTP comes after it.
            (Some(upgrade), None) => drop(self.upgrade.set(upgrade)),
            (None, _) => {}
        }
        Ok(response.map(|body| WatchedBody { body, record, http1, running }))
    }

    /// A body of HTTP/2 that does not wait for its client for ever.
    fn impatient(&self, body: Body) -> Body {
        let stream: BodyStream = match body {
            Body::Stream(stream) => stream,
            Body::Full(bytes) if bytes.len() > SMALL_BYTES => Box::pin(Body::Full(bytes)),
            small => return small,
        };
        Body::from_stream(Box::pin(Impatient::new(stream, self.activity.clone())))
    }

    /// What hyper leaves to us of HTTP's rules and of our bounds.
    fn check(&self, request: &Request<Incoming>) -> Result<(), Problem> {
        let config = &self.worker.config;
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if target > config.max_uri_bytes {
            return Err(Problem::UriTooLong);
        }
        if request.headers().len() > config.max_headers {
            return Err(Problem::HeadersTooLarge);
        }
        if *request.method() == Method::CONNECT && !is_extended(request) {
            return Err(Problem::Malformed);
        }
        // It is no path, and asks about the server alone (RFC 9112, section 3.2.4).
        if request.uri().path() == "*" && *request.method() != Method::OPTIONS {
            return Err(Problem::Malformed);
        }
        check_coding(request.headers())?;
        check_host(request.version(), request.headers())?;
        check_authority(request)
    }
}

/// Answers up to this size may lie ready for a client of HTTP/2 for as long as its connection.
const SMALL_BYTES: usize = 4 << 10;

/// Whether it asks for another protocol on a stream of HTTP/2.
fn is_extended<B>(request: &Request<B>) -> bool {
    *request.method() == Method::CONNECT && request.extensions().get::<Asked>().is_some()
}

/// Whether it asks about the host rather than its app.
fn is_about_host<B>(request: &Request<B>) -> bool {
    request.uri().path().starts_with("/.well-known/dayfly/")
}

/// The authority of a target is a host as well (no user before it), and where `Host` is there too,
/// they are the same: else two readers could take the request for two different ones.
fn check_authority<B>(request: &Request<B>) -> Result<(), Problem> {
    let Some(authority) = request.uri().authority() else { return Ok(()) };
    let host = request.headers().get(header::HOST);
    let same =
        host.is_none_or(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()));
    if same && is_host(authority.as_str().as_bytes()) { Ok(()) } else { Err(Problem::Malformed) }
}

/// Takes the body from an answer that may have none (RFC 9110, sections 9.3.2 and 15), which hyper
/// does in HTTP/1 only.
fn strip_body(is_head: bool, response: &mut Response<Body>) {
    let bodiless = is_bodiless(response.status());
    if !is_head && !bodiless {
        return;
    }
    let body = std::mem::take(response.body_mut());
    if is_head
        && !bodiless
        && let Some(length) = body.size_hint().exact()
        && let header::Entry::Vacant(entry) = response.headers_mut().entry(header::CONTENT_LENGTH)
    {
        entry.insert(HeaderValue::from(length));
    }
}

/// Exactly one `Host` in HTTP/1.1, at most one elsewhere, and nothing in it that could be taken
/// for another part of a URL (RFC 9112, section 3.2).
fn check_host(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let Some(host) = hosts.next() else {
        return if version == Version::HTTP_11 { Err(Problem::Malformed) } else { Ok(()) };
    };
    if hosts.next().is_some() || !is_host(host.as_bytes()) {
        return Err(Problem::Malformed);
    }
    Ok(())
}

/// A name or an address, an IPv6 one in brackets, and a port if there is one.
fn is_host(host: &[u8]) -> bool {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
    let (name, port) = match host.strip_prefix(b"[") {
        Some(rest) => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            let address = &rest[..end];
            if !address.iter().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(byte)) {
                return false;
            }
            (&b""[..], &rest[end + 1..])
        }
        None => host.split_at(host.iter().position(|byte| *byte == b':').unwrap_or(host.len())),
    };
    let is_port = match port.split_first() {
        None => true,
        Some((colon, digits)) => *colon == b':' && digits.iter().all(u8::is_ascii_digit),
    };
    is_port && name.iter().all(legal)
}

/// The one transfer coding that there is, once (RFC 9112, section 7). Hyper lets others by that
/// come before it, and would leave them to the guest, which does not see them.
fn check_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    let chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    if chunked && codings.next().is_none() { Ok(()) } else { Err(Problem::Malformed) }
}

/// An answer's body, which counts as the request's end when it is dropped.
pub(super) struct WatchedBody {
    body: Body,
    record: Option<Box<Record>>,
    http1: bool,
    running: Running,
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let watched = &mut *self;
        if !watched.http1 {
            watched.running.set_working(polled.is_pending());
        }
        if let (Some(record), Poll::Ready(frame)) = (&mut watched.record, &polled) {
            match frame {
                Some(Ok(frame)) => record.sent(frame.data_ref().map_or(0, Bytes::len)),
                Some(Err(error)) => record.failed(error),
                None => record.complete(),
            }
            if !matches!(frame, Some(Err(_))) && watched.body.is_end_stream() {
                record.complete();
            }
        }
        polled
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

    fn check(version: Version, hosts: &[&'static str]) -> Result<(), Problem> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_static(host));
        }
        check_host(version, &headers)
    }

    #[test]
    fn one_host_is_the_rule() {
        assert!(check(Version::HTTP_11, &["localhost:3000"]).is_ok());
        assert!(check(Version::HTTP_11, &["[::1]:80"]).is_ok());
        assert!(check(Version::HTTP_11, &[""]).is_ok());
        assert!(check(Version::HTTP_11, &[]).is_err());
        assert!(check(Version::HTTP_10, &[]).is_ok());
        assert!(check(Version::HTTP_2, &[]).is_ok());
        assert!(check(Version::HTTP_11, &["a", "a"]).is_err());
        for host in
            ["a/b", "a@b", "a b", "a?b", "a#b", "a\\b", "a:b", "a:1:2", "[::1", "[a]x", "[g]"]
        {
            assert!(check(Version::HTTP_11, &[host]).is_err(), "{host}");
        }
    }
}
