//! The headers that Spin hands to its guests (`spin-path-info` and its kin), so that apps which
//! read them find them; the host by which components reach one another; and static responses.
//!
//! What depends on the route alone is made once, when the route is.

use std::borrow::Cow;

use bytes::Bytes;
use dayfly_model::StaticResponse;
use dayfly_model::route::Route;
use http::header::{COOKIE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode};

use crate::{Body, Connection};

const PATH_INFO: HeaderName = HeaderName::from_static("spin-path-info");
const FULL_URL: HeaderName = HeaderName::from_static("spin-full-url");
const MATCHED_ROUTE: HeaderName = HeaderName::from_static("spin-matched-route");
const BASE_PATH: HeaderName = HeaderName::from_static("spin-base-path");
const RAW_COMPONENT_ROUTE: HeaderName = HeaderName::from_static("spin-raw-component-route");
const COMPONENT_ROUTE: HeaderName = HeaderName::from_static("spin-component-route");
const CLIENT_ADDR: HeaderName = HeaderName::from_static("spin-client-addr");

/// What the hosts end in by which components of an app reach one another.
pub(super) const INTERNAL: &str = ".spin.internal";

/// What the headers of a route's parameters begin with.
const MATCH: &str = "spin-path-match-";

/// The headers of one route's requests.
pub(super) struct RouteHeaders {
    matched: HeaderValue,
    base: HeaderValue,
    raw: HeaderValue,
    component: HeaderValue,
    params: Vec<HeaderName>,
}

impl RouteHeaders {
    pub(super) fn new(route: &Route) -> Self {
        let or_root = |path: &str| value(if path.is_empty() { "/" } else { path });
        Self {
            component: value(Route::stem(route.raw())),
            matched: or_root(&route.full()),
            base: or_root(route.base()),
            raw: value(route.raw()),
            params: route.params().map(param_name).collect(),
        }
    }

    /// The route as a manifest would have it, with the base path.
    pub(super) fn route(&self) -> &str {
        self.matched.to_str().unwrap_or_default()
    }

    /// Sets the headers of one request; what a client sent under these names is replaced.
    pub(super) fn apply<B>(
        &self,
        request: &mut Request<B>,
        connection: &Connection,
        params: &[(&str, &str)],
        rest: Option<&str>,
    ) {
        let url = full_url(request, connection);
        // HTTP/1.0 may leave the host out; guests are made for requests that have one.
        let hostless = request.uri().authority().is_none();
        let headers = request.headers_mut();
        headers.reserve(8 + params.len());
        if hostless && !headers.contains_key(HOST) {
            headers.insert(HOST, HeaderValue::from_static("localhost"));
        }
        let forged: Vec<HeaderName> =
            headers.keys().filter(|name| name.as_str().starts_with(MATCH)).cloned().collect();
        for name in forged {
            headers.remove(name);
        }
        headers.insert(PATH_INFO, value(rest.unwrap_or_default()));
        headers.insert(FULL_URL, url);
        headers.insert(MATCHED_ROUTE, self.matched.clone());
        headers.insert(BASE_PATH, self.base.clone());
        headers.insert(RAW_COMPONENT_ROUTE, self.raw.clone());
        headers.insert(COMPONENT_ROUTE, self.component.clone());
        headers.insert(CLIENT_ADDR, connection.peer_header().clone());
        for (name, (_, text)) in self.params.iter().zip(params) {
            headers.insert(name.clone(), value(text));
        }
    }
}

/// Takes away a host that only components of the app have for one another: what comes from outside
/// must not look as if it came from inside.
pub(super) fn hide_internal_host(headers: &mut HeaderMap) {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_end_matches('.');
    let end = name.len().checked_sub(INTERNAL.len()).and_then(|at| name.get(at..));
    if end.is_some_and(|end| end.eq_ignore_ascii_case(INTERNAL)) {
        headers.insert(HOST, HeaderValue::from_static("localhost"));
    }
}

/// Makes one header of the cookies that a client of HTTP/2 sends in several, as RFC 9113 (section 8.2.3) wants
/// it before anybody else sees them: who reads the first would miss the others.
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return;
    }
    if let Ok(mut joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        joined.set_sensitive(true);
        headers.insert(COOKIE, joined);
    }
}

/// The URL that the client asked for, as far as it told.
fn full_url<B>(request: &Request<B>, connection: &Connection) -> HeaderValue {
    let scheme = connection.scheme.as_str();
    let host = host(request);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    // `OPTIONS *` is about the host, whose name a star is no part of.
    let path = if path == "*" { "" } else { path };
    let url = Bytes::from([scheme, "://", &host, path].concat());
    // Without a copy, if a header can carry it.
    HeaderValue::from_maybe_shared(url.clone())
        .unwrap_or_else(|_| value(&String::from_utf8_lossy(&url)))
}

/// The host that the client named: HTTP/2's authority or HTTP/1.1's header.
pub(crate) fn host<B>(request: &Request<B>) -> Cow<'_, str> {
    if let Some(authority) = request.uri().authority() {
        return authority.as_str().into();
    }
    match request.headers().get(HOST) {
        Some(host) => String::from_utf8_lossy(host.as_bytes()),
        None => "localhost".into(),
    }
}

fn param_name(name: &str) -> HeaderName {
    let name = format!("{MATCH}{}", name.to_ascii_lowercase().replace('_', "-"));
    // A parameter's name that no header can have gets a header of its own all the same.
    HeaderName::try_from(name).unwrap_or(HeaderName::from_static("spin-path-match"))
}

/// A header's value; what no header can carry is percent-encoded.
fn value(text: &str) -> HeaderValue {
    if text.is_empty() {
        return HeaderValue::from_static("");
    }
    HeaderValue::from_str(text).unwrap_or_else(|_| {
        let encoded: String = text
            .bytes()
            .map(|byte| match byte {
                b' '..=b'~' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect();
        // Printable ASCII is always a legal value.
        HeaderValue::from_str(&encoded).unwrap_or(HeaderValue::from_static(""))
    })
}

/// The answer of a route that needs no component. The model has checked status and headers.
pub(super) fn static_response(response: &StaticResponse) -> Response<Body> {
    let body = response.body.clone().unwrap_or_default();
    let mut answer = Response::new(Body::from(Bytes::from(body)));
    *answer.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::OK);
    for (name, text) in &response.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(text)) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;
    use crate::{LocalAddr, Peer, Protocol, Scheme};

    #[test]
    fn a_star_is_no_part_of_the_host() {
        let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let (peer, local) = (Peer::Tcp(nowhere), LocalAddr::Tcp(nowhere));
        let connection = Connection::new(peer, local, Scheme::Http, Protocol::Http1, 0);
        for (target, url) in [("*", "http://a"), ("/b?c", "http://a/b?c"), ("/", "http://a/")] {
            let request = Request::options(target).header(HOST, "a").body(()).unwrap();
            assert_eq!(full_url(&request, &connection), url);
        }
    }

    #[test]
    fn cookies_are_joined_in_their_order() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        join_cookies(&mut headers);
        assert_eq!(headers[COOKIE], "a=1; b=2; ");
        assert_eq!((headers.len(), headers.get_all(COOKIE).iter().count()), (2, 1));
    }
}
