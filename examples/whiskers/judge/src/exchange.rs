//! Requests and answers: what wasi:http has in streams and resources, as texts.

use std::net::IpAddr;

use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::{InputStream, StreamError};

/// A request that came, its body not yet read.
pub struct Request {
    request: IncomingRequest,
    target: String,
}

impl Request {
    pub fn new(request: IncomingRequest) -> Self {
        let target = request.path_with_query().unwrap_or_default();
        Self { request, target }
    }

    /// Empty if it is one that nothing here answers.
    pub fn method(&self) -> &'static str {
        match self.request.method() {
            Method::Get => "GET",
            Method::Post => "POST",
            _ => "",
        }
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A header's first value; empty if there is none.
    pub fn header(&self, name: &str) -> String {
        let values = self.request.headers().get(name);
        String::from_utf8(values.into_iter().next().unwrap_or_default()).unwrap_or_default()
    }

    /// Whom clicks are counted for: an address, or of IPv6 the network that one customer has.
    pub fn visitor(&self) -> String {
        let address = self.header("spin-client-addr");
        let host = address.rsplit_once(':').map_or(&*address, |(host, _)| host);
        match host.trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| ip.to_canonical()) {
            Ok(IpAddr::V6(ip)) => format!("{:x?}", &ip.segments()[..4]),
            Ok(IpAddr::V4(ip)) => ip.to_string(),
            Err(_) => String::new(),
        }
    }

    /// The body as text. The manifest bounds its length.
    pub fn text(&self) -> Result<String, Failure> {
        let body = self.request.consume().ok();
        let stream = body.as_ref().and_then(|body| body.stream().ok());
        stream.and_then(|stream| drain(&stream)).ok_or(Failure::new(400, "a body is text"))
    }
}

/// What is left of a stream, if it is text and comes to its end.
pub fn drain(stream: &InputStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(4096) {
            Ok(piece) => bytes.extend(piece),
            Err(StreamError::Closed) => return String::from_utf8(bytes).ok(),
            Err(_) => return None,
        }
    }
}

/// Why there is no other answer: a status, and words for who asked, which are our own.
pub struct Failure {
    status: u16,
    words: &'static str,
}

impl Failure {
    pub fn new(status: u16, words: &'static str) -> Self {
        Self { status, words }
    }

    /// What the client has no part in: the log has the words, and the client may try again.
    pub fn host(words: &str) -> Self {
        eprintln!("{words}");
        Self::new(503, "the cat is busy: try again")
    }
}

pub fn respond(out: ResponseOutparam, answer: Result<String, Failure>) {
    let (status, text) = match answer {
        Ok(text) => (200, text),
        Err(failure) => (failure.status, format!("{{\"error\":\"{}\"}}", failure.words)),
    };
    let headers = Fields::new();
    let header = |name: &str, value: &str| {
        // These names and values are valid.
        let _ = headers.append(name, value.as_bytes());
    };
    header("content-type", "application/json");
    header("cache-control", "no-store");
    header("x-content-type-options", "nosniff");
    match status {
        405 => header("allow", "POST"),
        429 | 503 => header("retry-after", "1"),
        _ => {}
    }
    send(out, status, headers, &text);
}

fn send(out: ResponseOutparam, status: u16, headers: Fields, text: &str) {
    let response = OutgoingResponse::new(headers);
    let _ = response.set_status_code(status);
    let Ok(body) = response.body() else { return };
    ResponseOutparam::set(out, Ok(response));
    if let Ok(stream) = body.write() {
        for piece in text.as_bytes().chunks(4096) {
            // A client that left has no use for it.
            if stream.blocking_write_and_flush(piece).is_err() {
                break;
            }
        }
    }
    let _ = OutgoingBody::finish(body, None);
}
