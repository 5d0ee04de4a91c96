//! A handler of wasi:http 0.3 that needs other components, which are of WASI 0.2.

#[path = "../../rust-p3-echo/src/answer.rs"]
mod answer;

use answer::{Answer, respond};
use dayfly::parts::{greeter, probe};
use wasip3::http::types::Request;

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
    world: "dayfly:parts/composed-p3",
});

struct Handler;

impl wasip3::exports::http::handler::Guest for Handler {
    async fn handle(request: Request) -> Answer {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, argument) = target.split_once('?').unwrap_or((&target, ""));
        let answer = match path.split('/').collect::<Vec<_>>()[1..] {
            ["greet"] => Ok(greeter::greet(argument)),
            ["attempt", what] => probe::attempt(what, argument),
            ["headers"] => Ok(headers(&request)),
            _ => Err(format!("no such path: {path}")),
        };
        match answer {
            Ok(text) => respond(200, &text),
            Err(text) => respond(502, &text),
        }
    }
}

/// `name: value`, a line each.
fn headers(request: &Request) -> String {
    let line = |(name, value): (String, Vec<u8>)| {
        format!("{name}: {}\n", String::from_utf8_lossy(&value))
    };
    request.get_headers().copy_all().into_iter().map(line).collect()
}

wasip3::http::service::export!(Handler);
