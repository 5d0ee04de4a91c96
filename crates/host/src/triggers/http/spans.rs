//! The spans of requests, by OpenTelemetry's conventions for HTTP servers
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>). The query is left out, as in the
//! access log: clients put tokens there.

use std::sync::Arc;

use dayfly_telemetry::Telemetry;
use dayfly_telemetry::trace::{Span, known_method};
use http::header::USER_AGENT;
use http::uri::Authority;
use http::{Request, Response, Version};

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
    let method = known_method(request.method().as_str());
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
    let method = request.method().as_str();
    span.text("http.request.method", known_method(method).unwrap_or("_OTHER"));
    if known_method(method).is_none() {
        span.text("http.request.method_original", cut(method));
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
    let authority = host.parse::<Authority>().ok();
    let (name, port) = match &authority {
        Some(authority) => (authority.host(), authority.port_u16()),
        None => (&*host, None),
    };
    span.text("server.address", cut(name));
    if let Some(port) = port {
        span.integer("server.port", port.into());
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

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES)]
}
