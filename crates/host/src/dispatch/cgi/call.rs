//! The request as a command sees it: the meta-variables of RFC 3875, and what Spin adds.

use dayfly_capabilities::Behind;
use dayfly_capabilities::wasi::Invocation;
use dayfly_model::Executor;
use dayfly_model::route::Route;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, Request};
use http_body::Body;

use crate::dispatch::Arrival;
use crate::events::Event;
use crate::triggers::http::headers;
use crate::{Connection, Peer};

/// Spin's default for `argv`.
const ARGV: &str = "${SCRIPT_NAME} ${ARGS}";

/// The arguments and variables of one call.
pub(crate) struct Call {
    invocation: Invocation,
    behind: Behind,
    is_event: bool,
}

impl Call {
    pub(crate) fn new<B: Body>(request: &Request<B>, arrival: Arrival<'_>) -> Self {
        let Arrival { connection, executor, behind, event } = arrival;
        if let Some(event) = event {
            let arguments = vec![event.kind.clone()];
            let mut variables = Variables(of_event(event));
            variables.headers(&event.headers);
            let invocation = Invocation { arguments, environment: variables.0 };
            return Self { invocation, behind, is_event: true };
        }
        let argv = match executor {
            Executor::Wagi { argv, .. } => argv,
            Executor::Detected => ARGV,
        };
        let arguments = arguments(argv, request.uri().path(), request.uri().query());
        let mut variables = Variables(Vec::with_capacity(32));
        variables.request(request, connection);
        variables.server(request, connection);
        variables.headers(request.headers());
        let invocation = Invocation { arguments, environment: variables.0 };
        Self { invocation, behind, is_event: false }
    }

    /// Whether it is an event's, whose command answers with whatever it writes.
    pub(super) const fn is_event(&self) -> bool {
        self.is_event
    }

    /// The call's arguments and variables, and what led to it.
    pub(super) fn into_parts(self) -> (Invocation, Behind) {
        (self.invocation, self.behind)
    }
}

/// An event's attributes as variables, `CE_ID` and the like.
fn of_event(event: &Event) -> Vec<(String, String)> {
    let attributes = event.attributes().into_iter();
    let attributes = attributes.map(|(name, value)| (meta("CE", name), value));
    let content_type = event.content_type.clone().map(|it| ("CONTENT_TYPE".to_owned(), it));
    let length = ("CONTENT_LENGTH".to_owned(), event.data.len().to_string());
    attributes.chain(content_type).chain([length]).collect()
}

/// The argument list: the template's words, the query's parameters each a word.
fn arguments(argv: &str, path: &str, query: Option<&str>) -> Vec<String> {
    let query = query.unwrap_or_default().replace('&', " ");
    argv.replace("${SCRIPT_NAME}", path)
        .replace("${ARGS}", &query)
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect()
}

struct Variables(Vec<(String, String)>);

impl Variables {
    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    fn request<B: Body>(&mut self, request: &Request<B>, connection: &Connection) {
        let headers = request.headers();
        let length = match headers.get(CONTENT_LENGTH) {
            Some(length) => Some(text(length)),
            // A chunked body has no length to tell: the guest reads to its end.
            None => request.body().is_end_stream().then(|| "0".to_owned()),
        };
        if let Some(length) = length {
            self.set("CONTENT_LENGTH", length);
        }
        self.set("CONTENT_TYPE", headers.get(CONTENT_TYPE).map(text).unwrap_or_default());
        self.set("REQUEST_METHOD", request.method().as_str());
        self.set("QUERY_STRING", request.uri().query().unwrap_or_default());
        let address = match connection.peer {
            Peer::Tcp(peer) => peer.ip().to_string(),
            Peer::Unix => String::new(),
        };
        self.set("REMOTE_ADDR", address.clone());
        self.set("REMOTE_HOST", address);
        self.set("REMOTE_USER", "");
        self.set("AUTH_TYPE", "");
    }

    fn server<B>(&mut self, request: &Request<B>, connection: &Connection) {
        let host = headers::host(request);
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name, port),
            _ => (&*host, default_port(connection)),
        };
        self.set("SERVER_NAME", name);
        self.set("SERVER_PORT", port);
        self.set("SERVER_PROTOCOL", format!("{:?}", request.version()));
        self.set("SERVER_SOFTWARE", concat!("Dayfly/", env!("CARGO_PKG_VERSION")));
        self.set("GATEWAY_INTERFACE", "CGI/1.1");
        if connection.scheme == crate::Scheme::Https {
            self.set("HTTPS", "on");
        }
    }

    /// The request's headers, and the variables that Spin makes of its own. A header that came
    /// several times is one variable (RFC 3875, section 4.1.18).
    fn headers(&mut self, headers: &HeaderMap) {
        for name in headers.keys() {
            let value = joined(name, headers);
            match name.as_str() {
                "spin-path-info" => self.path_info(&value),
                "spin-matched-route" => {
                    self.set("SCRIPT_NAME", Route::stem(&value));
                    self.set("X_MATCHED_ROUTE", value);
                }
                "spin-full-url"
                | "spin-component-route"
                | "spin-base-path"
                | "spin-raw-component-route"
                | "spin-client-addr" => {
                    self.set(&meta("X", &name.as_str()["spin-".len()..]), value);
                }
                spin if spin.starts_with("spin-path-match-") => {
                    self.set(&meta("X", &spin["spin-".len()..]), value);
                }
                _ if is_passed(name) => self.set(&meta("HTTP", name.as_str()), value),
                _ => {}
            }
        }
    }

    /// As Spin has it: `PATH_INFO` as it came, where RFC 3875 has it decoded.
    fn path_info(&mut self, raw: &str) {
        let decoded = percent_encoding::percent_decode_str(raw).decode_utf8_lossy().into_owned();
        self.set("PATH_INFO", raw);
        self.set("PATH_TRANSLATED", decoded);
        self.set("X_RAW_PATH_INFO", raw);
    }
}

fn default_port(connection: &Connection) -> &'static str {
    match connection.scheme {
        crate::Scheme::Http => "80",
        crate::Scheme::Https => "443",
    }
}

/// Whether a header is a variable, by RFC 3875 (4.1.18): not those of the connection, not `Proxy`, which
/// many programs would take for their own `HTTP_PROXY`, and none with an underscore, which could not
/// be told from the one with a hyphen. `Authorization` is the guest's business: nothing before it
/// looked at it, and nobody else reads a guest's variables.
fn is_passed(name: &HeaderName) -> bool {
    let withheld = [PROXY_AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE];
    !withheld.contains(name) && name != "proxy" && !name.as_str().contains('_')
}

/// A header's values as one (RFC 9110, section 5.3; for cookies RFC 9113, section 8.2.3).
fn joined(name: &HeaderName, headers: &HeaderMap) -> String {
    let values: Vec<String> = headers.get_all(name).iter().map(text).collect();
    values.join(if *name == COOKIE { "; " } else { ", " })
}

fn meta(prefix: &str, name: &str) -> String {
    format!("{prefix}_{}", name.to_ascii_uppercase().replace('-', "_"))
}

fn text(value: &http::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_becomes_arguments_as_in_spin() {
        assert_eq!(arguments(ARGV, "/a/b", Some("x=1&y=2")), ["/a/b", "x=1", "y=2"]);
        assert_eq!(arguments("run ${SCRIPT_NAME} last", "/a", None), ["run", "/a", "last"]);
    }

    #[test]
    fn headers_of_proxies_and_connections_stay_outside() {
        let mut headers = HeaderMap::new();
        for name in ["proxy-authorization", "proxy", "connection", "x-one", "x_one"] {
            headers.insert(HeaderName::from_static(name), "v".parse().unwrap());
        }
        let mut variables = Variables(Vec::new());
        variables.headers(&headers);
        assert_eq!(variables.0, [("HTTP_X_ONE".to_owned(), "v".to_owned())]);
    }

    #[test]
    fn what_came_several_times_is_one_variable() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("cookie", "a=1"), ("accept", "x"), ("cookie", "b=2"), ("accept", "y")]
        {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let mut variables = Variables(Vec::new());
        variables.headers(&headers);
        variables.0.sort();
        let expected = [("HTTP_ACCEPT", "x, y"), ("HTTP_COOKIE", "a=1; b=2")];
        assert_eq!(variables.0, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
