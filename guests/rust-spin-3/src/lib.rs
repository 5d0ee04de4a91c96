//! A handler by spin-sdk 3 with its router: bodies come and go whole. It is built as a core
//! module, the way in which Spin's own template did, so a host has to componentise it.

#[macro_use]
mod script;

mod databases;
mod key_value;
mod llm;
mod mqtt;
mod redis;
mod sqlite;

use spin_sdk::http::{Params, Request, Response, Router};
use spin_sdk::{http_component, variables};

#[http_component]
fn handle(request: Request) -> Response {
    let mut router = Router::new();
    router.get("/", hello);
    router.get("/hello", hello);
    router.get("/hello/:name", hello);
    router.any("/echo", echo);
    router.any("/headers", headers);
    router.get("/variable/:name", variable);
    router.any("/kv/:op", key_value);
    router.post("/llm/:operation", llm);
    router.any("/redis/:call", redis);
    router.get("/mqtt/:call", mqtt);
    router.post("/db/:interface", databases::handle);
    router.any("/sqlite/:label", sqlite::run);
    router.handle(request)
}

fn hello(_request: Request, params: Params) -> anyhow::Result<Response> {
    let name = params.get("name").unwrap_or("world");
    Ok(Response::new(200, format!("hello {name}")))
}

fn echo(request: Request, _params: Params) -> anyhow::Result<Response> {
    Ok(Response::new(200, request.into_body()))
}

/// Lines `method …`, `uri …`, then `name: value` as they came.
fn headers(request: Request, _params: Params) -> anyhow::Result<Response> {
    let mut lines = format!("method {}\nuri {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        lines += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
    }
    Ok(Response::new(200, lines))
}

fn variable(_request: Request, params: Params) -> anyhow::Result<Response> {
    let name = params.get("name").unwrap_or_default();
    Ok(match variables::get(name) {
        Ok(value) => Response::new(200, value),
        Err(error) => Response::new(502, format!("{error:?}\n")),
    })
}

/// A parameter of the query, with `%XX` decoded.
fn query(request: &Request, name: &str) -> Option<String> {
    let pairs = request.query().split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let decoded = hex.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok()
}

fn key_value(request: Request, params: Params) -> anyhow::Result<Response> {
    let operation = params.get("op").unwrap_or_default();
    let (status, body) =
        key_value::handle(operation, |name| query(&request, name), request.body());
    Ok(Response::new(status, body))
}

fn llm(request: Request, params: Params) -> anyhow::Result<Response> {
    let operation = params.get("operation").unwrap_or_default();
    let (status, text) = llm::handle(operation, request.query(), request.body());
    Ok(Response::new(status, text))
}

fn redis(request: Request, params: Params) -> anyhow::Result<Response> {
    let call = params.get("call").unwrap_or_default();
    let (status, text) = redis::handle(call, request.query(), request.body());
    Ok(Response::new(status, text))
}

fn mqtt(request: Request, params: Params) -> anyhow::Result<Response> {
    let (status, text) = mqtt::handle(params.get("call").unwrap_or_default(), request.query());
    Ok(Response::new(status, text))
}
