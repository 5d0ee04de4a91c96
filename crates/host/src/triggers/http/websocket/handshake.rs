//! The request that is to become a WebSocket (RFC 6455, section 4.2, and over HTTP/2 RFC 8441), and which pages
//! may send one.

use dayfly_model::websocket::is_origin;
use http::header::{
    CONNECTION, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::ext::Protocol;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::triggers::http::headers;
use crate::{Body, EdgeError, Problem};

/// The version of RFC 6455.
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// A request that is one.
pub(super) struct Handshake {
    /// What shows that it was understood; nothing over HTTP/2, where the status does.
    accept: Option<HeaderValue>,
    protocols: Vec<String>,
}

/// Why a request is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It asks for something else, or by another version of HTTP.
    NoWebsocket,
    /// It speaks another version of the protocol.
    Version,
    /// It breaks the rules.
    Malformed,
}

impl Refused {
    pub(super) fn respond(self) -> Response<Body> {
        let problem = match self {
            Self::Malformed => Problem::Malformed,
            Self::NoWebsocket | Self::Version => Problem::UpgradeRequired,
        };
        let mut response = EdgeError::new(problem).respond();
        if problem == Problem::UpgradeRequired {
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
        }
        response
    }
}

impl Handshake {
    pub(super) fn of<B>(request: &Request<B>, has_body: bool) -> Result<Self, Refused> {
        let headers = request.headers();
        let is_stream = is_stream(request);
        let asks = is_stream
            || request.version() == Version::HTTP_11
                && *request.method() == Method::GET
                && tokens(headers, &CONNECTION).any(|it| it.eq_ignore_ascii_case("upgrade"))
                && tokens(headers, &UPGRADE).any(|it| it.eq_ignore_ascii_case("websocket"));
        if !asks {
            return Err(Refused::NoWebsocket);
        }
        if headers.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
            return Err(Refused::Version);
        }
        let protocols = tokens(headers, &SEC_WEBSOCKET_PROTOCOL).map(str::to_owned).collect();
        if is_stream {
            return Ok(Self { accept: None, protocols });
        }
        let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
        let (key, other) = (keys.next(), keys.next());
        let key = key.filter(|key| other.is_none() && is_key(key.as_bytes()));
        // What comes behind it is frames, and no body.
        let key = key.filter(|_| !has_body).ok_or(Refused::Malformed)?;
        let accept = derive_accept_key(key.as_bytes());
        let accept = HeaderValue::try_from(accept).map_err(|_| Refused::Malformed)?;
        Ok(Self { accept: Some(accept), protocols })
    }

    /// The answer that lets the connection be.
    pub(super) fn accepted(&self) -> Response<Body> {
        let mut answer = Response::new(Body::Empty);
        let Some(accept) = self.accept.clone() else { return answer };
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        answer
    }

    /// Whether the client speaks this protocol on top.
    pub(super) fn offers(&self, protocol: &HeaderValue) -> bool {
        self.protocols.iter().any(|offered| offered.as_bytes() == protocol.as_bytes())
    }
}

/// Whether it asks for a WebSocket on a stream of HTTP/2.
fn is_stream<B>(request: &Request<B>) -> bool {
    let asked = request.extensions().get::<Protocol>();
    *request.method() == Method::CONNECT && asked.is_some_and(|it| it.as_str() == "websocket")
}

/// Sixteen bytes in base64.
fn is_key(key: &[u8]) -> bool {
    let digit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(digit)
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// Whether whoever asks may: a browser sends the origin of the page that does, and its cookies
/// whatever page that is.
pub(super) fn is_welcome<B>(request: &Request<B>, origins: &[String]) -> bool {
    let mut stated = request.headers().get_all(ORIGIN).iter();
    let Some(origin) = stated.next() else { return true };
    if origins.iter().any(|listed| listed == "*") {
        return true;
    }
    let Ok(origin) = origin.to_str() else { return false };
    let origin = origin.to_ascii_lowercase();
    if stated.next().is_some() || !is_origin(&origin) {
        return false;
    }
    origins.contains(&origin) || is_same_host(&origin, &headers::host(request))
}

/// Whether an origin is of a host. Its scheme may be another, as it is behind a proxy that speaks TLS.
fn is_same_host(origin: &str, host: &str) -> bool {
    let Some((scheme, of)) = origin.split_once("://") else { return false };
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let of = of.strip_suffix(port).unwrap_or(of);
    let host = host.to_ascii_lowercase();
    of == host.strip_suffix(port).unwrap_or(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(change: impl FnOnce(&mut Request<()>)) -> Request<()> {
        let mut request = Request::get("/chat")
            .header("host", "a.example")
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "WebSocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", "one, two")
            .body(())
            .unwrap();
        change(&mut request);
        request
    }

    #[test]
    fn the_example_of_the_standard_is_understood() {
        let handshake = Handshake::of(&request(|_| {}), false).ok().unwrap();
        assert_eq!(
            handshake.accepted().headers()[SEC_WEBSOCKET_ACCEPT],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert!(handshake.offers(&HeaderValue::from_static("two")));
        assert!(!handshake.offers(&HeaderValue::from_static("one, two")));
    }

    #[test]
    fn a_stream_of_http_2_needs_no_key() {
        let ask = |protocol: &'static str| {
            let request = request(|it| {
                *it.method_mut() = Method::CONNECT;
                *it.version_mut() = Version::HTTP_2;
                it.extensions_mut().insert(Protocol::from_static(protocol));
                for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_KEY] {
                    it.headers_mut().remove(name);
                }
            });
            Handshake::of(&request, false)
        };
        let handshake = ask("websocket").ok().unwrap();
        let answer = handshake.accepted();
        assert_eq!((answer.status(), answer.headers().len()), (StatusCode::OK, 0));
        assert!(handshake.offers(&HeaderValue::from_static("one")));
        assert_eq!(ask("connect-udp").err(), Some(Refused::NoWebsocket));
    }

    #[test]
    fn what_is_no_handshake_is_told_so() {
        let set = |name: &'static str, value: &'static str| {
            let request = request(|it| {
                it.headers_mut().insert(name, HeaderValue::from_static(value));
            });
            Handshake::of(&request, false).err()
        };
        assert_eq!(set("connection", "keep-alive"), Some(Refused::NoWebsocket));
        assert_eq!(set("upgrade", "h2c"), Some(Refused::NoWebsocket));
        assert_eq!(set("sec-websocket-version", "8"), Some(Refused::Version));
        assert_eq!(set("sec-websocket-key", "short"), Some(Refused::Malformed));
        let post = request(|it| *it.method_mut() = Method::POST);
        assert_eq!(Handshake::of(&post, false).err(), Some(Refused::NoWebsocket));
    }

    #[test]
    fn pages_of_other_hosts_are_not_welcome() {
        let from = |origin: &'static str, listed: &[&str]| {
            let listed: Vec<String> = listed.iter().map(|it| (*it).to_owned()).collect();
            let request = request(|it| {
                it.headers_mut().insert("origin", HeaderValue::from_static(origin));
            });
            is_welcome(&request, &listed)
        };
        assert!(is_welcome(&request(|_| {}), &[]), "no browser");
        assert!(from("https://a.example", &[]) && from("http://A.example:80", &[]));
        assert!(!from("https://a.example:8443", &[]) && !from("https://b.example", &[]));
        assert!(!from("null", &[]) && !from("https://a.example.b.example", &[]));
        assert!(from("https://b.example", &["https://b.example"]) && from("null", &["*"]));
        assert!(!from("http://b.example", &["https://b.example"]));
    }
}
