//! The spans of requests, by OpenTelemetry's conventions for HTTP servers
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>). The query is left out, as in the
//! access log: clients put tokens there.

use std::sync::Arc;

use dayfly_telemetry::Telemetry;
use dayfly_telemetry::trace::Span;
use http::header::USER_AGENT;
use http::{Method, Request, Response, Version};

use super::headers::host;
use crate::{Body, Connection};

/// How much of what a client sent stands in an attribute, in bytes.
const TEXT_BYTES: usize = 1024;

/// Begins the span of a request. `to` is its route and component.
pub(super) fn begin<B>(
    telemetry: &Arc<Telemetry>,
    request: &Request<B>,
    connection: &Connection,
    to: Option<(&str, &str)>,
) -> Span {
    let method = known(request.method());
    let mut span = telemetry.request(request.headers(), || {
        let shown = method.unwrap_or("HTTP");
        to.map_or(shown.to_owned(), |(route, _)| format!("{shown} {route}"))
    });
    if span.is_recorded() {
        describe(&mut span, request, connection);
        if let Some((route, component)) = to {
            span.text("http.route", route);
            span.text("dayfly.component", component);
        }
    }
    span
}

fn describe<B>(span: &mut Span, request: &Request<B>, connection: &Connection) {
    span.text("http.request.method", known(request.method()).unwrap_or("_OTHER"));
    if known(request.method()).is_none() {
        span.text("http.request.method_original", cut(request.method().as_str()));
    }
    span.text("url.scheme", connection.scheme.as_str());
    span.text("url.path", cut(request.uri().path()));
    let version = match request.version() {
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        _ => "2",
    };
    span.text("network.protocol.version", version);
    let host = host(request);
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().ok()),
        None => (&*host, None),
    };
    span.text("server.address", cut(name));
    if let Some(port) = port {
        span.integer("server.port", port);
    }
    if let Some(peer) = connection.peer.tcp() {
        span.text("client.address", peer.ip().to_string());
        span.text("network.peer.address", peer.ip().to_string());
        span.integer("network.peer.port", peer.port().into());
    }
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    if let Some(agent) = agent {
        span.text("user_agent.original", cut(agent));
    }
}

/// Ends the span of a request that no component got.
pub(super) fn ended(span: Option<Span>, response: Response<Body>) -> Response<Body> {
    if let Some(mut span) = span {
        span.integer("http.response.status_code", response.status().as_u16().into());
    }
    response
}

/// The names of methods that a span's name may hold: clients make up others.
fn known(method: &Method) -> Option<&str> {
    let standard = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::CONNECT,
        Method::OPTIONS,
        Method::TRACE,
        Method::PATCH,
    ];
    standard.contains(method).then(|| method.as_str())
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES)]
}
