//! A handler of wasi:http 0.3 without any SDK: bodies of any size, both directions at once,
//! in constant memory. `/echo` moves each byte through the guest; `/pass` hands the stream on.

mod answer;
mod fields;

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use answer::{Answer, respond, respond_with};
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::wit_bindgen::{StreamReader, StreamResult, StreamWriter, spawn_local};
use wasip3::{clocks::monotonic_clock, wit_future, wit_stream};

const CHUNK: usize = 64 * 1024;

/// The requests that this instance has had.
static COUNT: AtomicU32 = AtomicU32::new(0);

struct Handler;

impl wasip3::exports::http::handler::Guest for Handler {
    async fn handle(request: Request) -> Answer {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "/" | "/hello" => respond(200, "hello world"),
            "/echo" => echo(request),
            "/pass" => pass(request),
            "/sink" => sink(request).await,
            "/large" => large(number(query, "bytes", 1 << 20)),
            "/slow" => slow(number(query, "chunks", 5), number(query, "ms", 100)),
            "/headers" => headers(&request),
            "/fields" => fields::facts(&request),
            "/count" => respond(200, &(COUNT.fetch_add(1, Relaxed) + 1).to_string()),
            "/late" => late(number(query, "ms", 100)),
            "/refuse" => Err(ErrorCode::InternalError(Some("this handler refuses".to_owned()))),
            "/panic" => panic!("this handler panics when asked to"),
            "/spin" => loop {
                std::hint::black_box(0);
            },
            other => respond(404, &format!("no such path: {other}\n")),
        }
    }
}

wasip3::http::service::export!(Handler);

/// Sends the request's body back piece by piece, then its trailers.
fn echo(request: Request) -> Answer {
    let (mut body, trailers) = consume(request);
    let (mut sender, reader) = wit_stream::new();
    let (trailer_sender, trailer_reader) = wit_future::new(|| Ok(None));
    spawn_local(async move {
        pump(&mut body, &mut sender).await;
        drop(sender);
        // A client that left has no use for trailers.
        let _ = trailer_sender.write(trailers.await).await;
    });
    let (response, _sent) = Response::new(Fields::new(), Some(reader), trailer_reader);
    Ok(response)
}

/// Moves what `from` yields to `to`, holding one chunk at a time.
async fn pump(from: &mut StreamReader<u8>, to: &mut StreamWriter<u8>) {
    let mut buffer = Vec::with_capacity(CHUNK);
    loop {
        let (result, chunk) = from.read(buffer).await;
        let refused = to.write_all(chunk).await;
        if !refused.is_empty() || !matches!(result, StreamResult::Complete(_)) {
            return;
        }
        buffer = Vec::with_capacity(CHUNK);
    }
}

/// Sends the request's body back without looking at it.
fn pass(request: Request) -> Answer {
    let (body, trailers) = consume(request);
    let (response, _sent) = Response::new(Fields::new(), Some(body), trailers);
    Ok(response)
}

/// Reads the request's body to its end, and answers how many bytes it had.
async fn sink(request: Request) -> Answer {
    let (mut body, _trailers) = consume(request);
    let mut bytes = 0;
    let mut buffer = Vec::with_capacity(CHUNK);
    loop {
        let (result, mut chunk) = body.read(buffer).await;
        bytes += chunk.len();
        if !matches!(result, StreamResult::Complete(_)) {
            return respond(200, &format!("{bytes}\n"));
        }
        chunk.clear();
        buffer = chunk;
    }
}

fn large(mut bytes: usize) -> Answer {
    respond_with(200, async move |mut sender: StreamWriter<u8>| {
        while bytes > 0 {
            let chunk = vec![b'x'; bytes.min(CHUNK)];
            bytes -= chunk.len();
            if !sender.write_all(chunk).await.is_empty() {
                return;
            }
        }
    })
}

/// `chunks` lines, each after `ms` milliseconds.
fn slow(chunks: usize, ms: usize) -> Answer {
    respond_with(200, async move |mut sender: StreamWriter<u8>| {
        for number in 1..=chunks {
            monotonic_clock::wait_for(ms as u64 * 1_000_000).await;
            if !sender.write_all(format!("chunk {number}\n").into_bytes()).await.is_empty() {
                return;
            }
        }
    })
}

/// Answers at once, and goes on working for `ms` milliseconds after its body is complete.
fn late(ms: usize) -> Answer {
    respond_with(200, async move |mut sender: StreamWriter<u8>| {
        sender.write_all(b"answered\n".to_vec()).await;
        drop(sender);
        monotonic_clock::wait_for(ms as u64 * 1_000_000).await;
        println!("done after the answer");
    })
}

fn headers(request: &Request) -> Answer {
    let mut lines = vec![
        format!("method {:?}", request.get_method()),
        format!("scheme {:?}", request.get_scheme()),
        format!("authority {}", request.get_authority().unwrap_or_default()),
        format!("target {}", request.get_path_with_query().unwrap_or_default()),
    ];
    for (name, value) in request.get_headers().copy_all() {
        lines.push(format!("{name}: {}", String::from_utf8_lossy(&value)));
    }
    respond(200, &(lines.join("\n") + "\n"))
}

fn consume(request: Request) -> (StreamReader<u8>, answer::Trailers) {
    // Nobody is told that the body was consumed, so the default stands.
    let (_, done) = wit_future::new(|| Ok(()));
    Request::consume_body(request, done)
}

fn number(query: &str, name: &str, default: usize) -> usize {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| value.parse().ok()).unwrap_or(default)
}
