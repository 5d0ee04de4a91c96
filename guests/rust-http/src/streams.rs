//! Bodies that stream: both ways, large ones, slow ones.

use std::io::Write as _;
use std::time::Duration;

use wasip2::http::types::{Fields, IncomingBody, IncomingRequest};

use crate::exchange::{Exchange, Failure, wit_failure};

const CHUNK: usize = 64 * 1024;

/// Sends the request's body back as it arrives, then its trailers.
pub fn echo(exchange: &mut Exchange) -> Result<(), Failure> {
    let headers: Vec<_> = content_type(&exchange.request)
        .into_iter()
        .map(|value| ("content-type", value))
        .collect();
    let (incoming, mut stream) = exchange.body()?;
    let mut body = exchange.start(200, &headers)?;
    body.pump(&mut stream)?;
    drop(stream);
    body.finish(trailers(incoming)?)
}

fn content_type(request: &IncomingRequest) -> Option<Vec<u8>> {
    request.headers().get("content-type").into_iter().next()
}

fn trailers(body: IncomingBody) -> Result<Option<Fields>, Failure> {
    let future = IncomingBody::finish(body);
    loop {
        match future.get() {
            Some(Ok(Ok(trailers))) => return Ok(trailers.map(|fields| fields.clone())),
            Some(Ok(Err(error))) => return Err(wit_failure("trailers", error)),
            Some(Err(())) => return Err(Failure::from("the trailers were taken")),
            None => future.subscribe().block(),
        }
    }
}

/// Streams `bytes` bytes of the letter `x`.
pub fn large(exchange: &mut Exchange) -> Result<(), Failure> {
    let mut left = exchange.number("bytes", 1 << 20)?;
    let mut body = exchange.start(200, &[])?;
    let chunk = vec![b'x'; CHUNK];
    while left > 0 {
        let length = left.min(CHUNK as u64);
        body.write_all(&chunk[..length as usize])?;
        left -= length;
    }
    body.finish(None)
}

/// `chunks` lines (5 unless told), each after `ms` milliseconds (100 unless told).
pub fn slow(exchange: &mut Exchange) -> Result<(), Failure> {
    let pause = Duration::from_millis(exchange.number("ms", 100)?);
    let chunks = exchange.number("chunks", 5)?;
    let mut body = exchange.start(200, &[])?;
    for number in 1..=chunks {
        std::thread::sleep(pause);
        writeln!(body, "chunk {number}")?;
        body.flush()?;
    }
    body.finish(None)
}

/// Reads the request's body to its end, and answers how many bytes it had.
pub fn sink(exchange: &mut Exchange) -> Result<(), Failure> {
    let (_body, mut stream) = exchange.body()?;
    let bytes = std::io::copy(&mut stream, &mut std::io::sink())?;
    exchange.text(&format!("{bytes}\n"))
}
