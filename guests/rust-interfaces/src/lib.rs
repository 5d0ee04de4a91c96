//! A handler of wasi:http 0.2 that calls interfaces which no SDK of today binds: Spin's as they
//! were before they had versions, and drafts of WASI's. The first segment of a path says which.

mod blobstore;
mod config;
#[allow(dead_code, reason = "each guest uses its part")]
#[path = "../../rust-http/src/exchange.rs"]
mod exchange;
#[macro_use]
#[path = "../../rust-spin-3/src/script.rs"]
mod script;

mod databases;
mod keyvalue;
mod logging;
mod messaging;
mod old_key_value;
mod old_llm;
mod old_redis;
mod otel;
mod sqlite;

use exchange::{Exchange, Failure};
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

/// The bindings of all of them.
mod bindings {
    wit_bindgen::generate!({
        path: ["../wit/wasi-0.2/io.wit", "wit"],
        world: "dayfly:interfaces/imports",
        with: {
            "wasi:io/error@0.2.12": wasip2::io::error,
            "wasi:io/poll@0.2.12": wasip2::io::poll,
            "wasi:io/streams@0.2.12": wasip2::io::streams,
        },
        generate_all,
    });
}

struct Handler;

impl Guest for Handler {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let mut exchange = Exchange::new(request, out);
        if let Err(failure) = dispatch(&mut exchange) {
            exchange.fail(failure);
        }
    }
}

fn dispatch(exchange: &mut Exchange) -> Result<(), Failure> {
    let path = exchange.path();
    let (interface, operation) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    match interface {
        "config" => config::call(exchange, operation),
        "blobs" => blobstore::call(exchange, operation),
        "db" => databases::call(exchange, operation),
        "logging" => logging::call(exchange, operation),
        "old-kv" => old_key_value::call(exchange, operation),
        "old-llm" => old_llm::ask(exchange, operation),
        "messages" => messaging::call(exchange, operation),
        "otel" => otel::call(exchange, operation),
        "redis" => old_redis::call(exchange, operation),
        "sqlite" => sqlite::call(exchange, operation),
        "wasi-kv" => keyvalue::call(exchange, operation),
        _ if path == "/" || path == "/hello" => exchange.text("hello world"),
        _ => exchange.answer(404, &format!("no such path: {path}\n")),
    }
}

/// The request's whole body.
fn body(exchange: &Exchange) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let (_body, mut stream) = exchange.body()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(bytes)
}

wasip2::http::proxy::export!(Handler);
