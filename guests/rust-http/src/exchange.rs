//! One request and its answer: reading the target's parts, and sending a response
//! either whole or as a stream.

use std::io::{Read, Write};

use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse,
    ResponseOutparam,
};
use wasip2::io::streams::{InputStream, OutputStream};

/// What a path answers with status 502: the text of the error that the host gave.
pub struct Failure(pub String);

impl<E: std::fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure(error.to_string())
    }
}

/// An error of a WIT interface, shown as bindings print it.
pub fn wit_failure(what: &str, error: impl std::fmt::Debug) -> Failure {
    Failure(format!("{what}: {error:?}"))
}

pub struct Exchange {
    pub request: IncomingRequest,
    out: Option<ResponseOutparam>,
}

impl Exchange {
    pub fn new(request: IncomingRequest, out: ResponseOutparam) -> Self {
        Self { request, out: Some(out) }
    }

    /// The target's path, without its query.
    pub fn path(&self) -> String {
        self.target().split('?').next().unwrap_or_default().to_owned()
    }

    pub fn target(&self) -> String {
        self.request.path_with_query().unwrap_or_default()
    }

    /// The decoded value of a query parameter.
    pub fn query(&self, name: &str) -> Option<String> {
        let target = self.target();
        let (_, query) = target.split_once('?')?;
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| percent_decode(value))
    }

    pub fn required(&self, name: &str) -> Result<String, Failure> {
        self.query(name).ok_or_else(|| Failure(format!("the query lacks `{name}`")))
    }

    /// A number of the query, or `default`.
    pub fn number(&self, name: &str, default: u64) -> Result<u64, Failure> {
        match self.query(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|error| Failure(format!("`{name}`: {error}"))),
        }
    }

    /// The request's body, which can be taken once.
    pub fn body(&self) -> Result<(IncomingBody, InputStream), Failure> {
        let body = self.request.consume().map_err(|()| Failure::from("the body was taken"))?;
        let stream = body.stream().map_err(|()| Failure::from("the stream was taken"))?;
        Ok((body, stream))
    }

    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.answer(200, text)
    }

    pub fn answer(&mut self, status: u16, text: &str) -> Result<(), Failure> {
        let headers = [("content-type", b"text/plain; charset=utf-8".to_vec())];
        let mut body = self.start(status, &headers)?;
        body.write_all(text.as_bytes())?;
        body.finish(None)
    }

    /// Sends the status and headers; the body follows through what this returns.
    pub fn start(&mut self, status: u16, headers: &[(&str, Vec<u8>)]) -> Result<Body, Failure> {
        let out = self.out.take().ok_or_else(|| Failure::from("the response was sent"))?;
        let fields = Fields::new();
        for (name, value) in headers {
            fields.append(name, value).map_err(|error| wit_failure(name, error))?;
        }
        let response = OutgoingResponse::new(fields);
        response
            .set_status_code(status)
            .map_err(|()| Failure(format!("the host refuses status {status}")))?;
        let body = response.body().map_err(|()| Failure::from("the body was taken"))?;
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().map_err(|()| Failure::from("the stream was taken"))?;
        Ok(Body { stream, body })
    }

    /// Sends an error code in place of a response.
    pub fn refuse(&mut self, code: ErrorCode) {
        if let Some(out) = self.out.take() {
            ResponseOutparam::set(out, Err(code));
        }
    }

    /// Answers 502, or writes to stderr when the response has begun.
    pub fn fail(&mut self, failure: Failure) {
        eprintln!("{}", failure.0);
        if self.out.is_some() {
            let _ = self.answer(502, &format!("{}\n", failure.0));
        }
    }
}

/// A response's body while it is written.
pub struct Body {
    // Declared first, since the stream has to be dropped before its body.
    stream: OutputStream,
    body: OutgoingBody,
}

impl Body {
    /// Sends all of `source`, each piece as it comes.
    pub fn pump(&mut self, mut source: impl Read) -> std::io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = source.read(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            self.write_all(&buffer[..length])?;
            self.flush()?;
        }
    }

    pub fn finish(mut self, trailers: Option<Fields>) -> Result<(), Failure> {
        self.flush()?;
        drop(self.stream);
        OutgoingBody::finish(self.body, trailers).map_err(|error| wit_failure("finish", error))
    }
}

impl Write for Body {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Write::write(&mut self.stream, bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Write::flush(&mut self.stream)
    }
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| hex_pair(tail)).flatten();
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let pair = std::str::from_utf8(bytes.get(..2)?).ok()?;
    u8::from_str_radix(pair, 16).ok()
}
