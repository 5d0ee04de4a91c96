//! A handler of wasi:http 0.2 that needs other components: what it calls of theirs is chosen by the
//! path. `/own` does by itself what `/attempt` lets the library do.

#[path = "../../rust-library/src/attempt.rs"]
mod attempt;

use dayfly::parts::{greeter, probe, stamp};
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

wit_bindgen::generate!({
    path: [
        "../wit/wasi-0.2/io.wit",
        "../wit/wasi-0.2/clocks.wit",
        "../wit/wasi-0.2/random.wit",
        "../wit/wasi-0.2/filesystem.wit",
        "../wit/wasi-0.2/sockets.wit",
        "../wit/wasi-0.2/cli.wit",
        "../wit/wasi-0.2/http.wit",
        "../rust-library/wit/parts.wit",
    ],
    world: "dayfly:parts/composed",
    with: {
        "wasi:http/types@0.2.12": wasip2::http::types,
        "wasi:io/error@0.2.12": wasip2::io::error,
        "wasi:io/poll@0.2.12": wasip2::io::poll,
        "wasi:io/streams@0.2.12": wasip2::io::streams,
        "wasi:clocks/monotonic-clock@0.2.12": wasip2::clocks::monotonic_clock,
    },
});

struct Handler;

impl Guest for Handler {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, argument) = target.split_once('?').unwrap_or((&target, ""));
        let mut fields = Fields::new();
        let answer = match path.split('/').collect::<Vec<_>>()[1..] {
            ["greet"] => Ok(greeter::greet(argument)),
            ["shout"] => Ok(shout(argument)),
            ["attempt", what] => probe::attempt(what, argument),
            ["own", what] => attempt::attempt(what, argument),
            ["stamp"] => {
                fields = stamp::stamp(fields);
                Ok("stamped".to_owned())
            }
            ["headers"] => Ok(headers(&request)),
            _ => Err(format!("no such path: {path}")),
        };
        respond(out, fields, answer);
    }
}

/// `name: value`, a line each.
fn headers(request: &IncomingRequest) -> String {
    let line = |(name, value): (String, Vec<u8>)| {
        format!("{name}: {}\n", String::from_utf8_lossy(&value))
    };
    request.headers().entries().into_iter().map(line).collect()
}

/// What went well with status 200, what did not with 502.
fn respond(out: ResponseOutparam, fields: Fields, answer: Result<String, String>) {
    let (status, text) = match answer {
        Ok(text) => (200, text),
        Err(text) => (502, text),
    };
    let response = OutgoingResponse::new(fields);
    response.set_status_code(status).expect("the status is legal");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    // A client that left has no use for it.
    let _ = stream.blocking_write_and_flush(text.as_bytes());
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

wasip2::http::proxy::export!(Handler);
