//! A handler by spin-sdk 7, which speaks WASI 0.3: `wasi:http/handler@0.3.0`. With spin-sdk 6
//! (`rust-spin-6`) it speaks the release candidate `0.3.0-rc-2026-03-15`.

#[macro_use]
#[path = "../../rust-spin-3/src/script.rs"]
mod script;

#[macro_use]
mod databases;
mod key_value;
#[path = "../../rust-spin-3/src/llm.rs"]
mod llm;
mod mqtt;
#[cfg(not(feature = "sdk-6"))]
mod mysql;
#[cfg(feature = "sdk-6")]
#[path = "../../rust-spin-6/src/mysql.rs"]
mod mysql;
mod redis;
mod sqlite;

use std::fmt::Write as _;

use bytes::Bytes;
use futures::SinkExt as _;
use spin_sdk::http::body::{IncomingBodyExt as _, stream};
use spin_sdk::http::{FullBody, IntoResponse, Request, Response, StatusCode, get};
use spin_sdk::wasip3::http::types::{ErrorCode, Response as WasiResponse};
use spin_sdk::wasip3::spawn;
use spin_sdk::{http_service, variables};

type Answer = Result<WasiResponse, ErrorCode>;

#[http_service]
async fn handle(request: Request) -> Answer {
    let path = request.uri().path().to_owned();
    if let Some(name) = path.strip_prefix("/variable/") {
        return variable(name).await;
    }
    if let Some(operation) = path.strip_prefix("/kv/") {
        return key_value::handle(operation, request).await;
    }
    if let Some(call) = path.strip_prefix("/redis/") {
        let query = request.uri().query().unwrap_or_default();
        let (status, answer) = redis::handle(call, query).await;
        return text(StatusCode::from_u16(status).expect("a status"), answer);
    }
    if let Some(call) = path.strip_prefix("/mqtt/") {
        let query = request.uri().query().unwrap_or_default();
        let (status, answer) = mqtt::handle(call, query).await;
        return text(StatusCode::from_u16(status).expect("a status"), answer);
    }
    if let Some(operation) = path.strip_prefix("/llm/") {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let body = request.into_body().bytes().await.unwrap_or_default();
        let (status, answer) = llm::handle(operation, &query, &body);
        return text(StatusCode::from_u16(status).expect("a status"), answer);
    }
    if let Some(interface) = path.strip_prefix("/db/") {
        return databases::handle(interface, request).await;
    }
    if let Some(label) = path.strip_prefix("/sqlite/") {
        return sqlite::run(label, request).await;
    }
    match path.as_str() {
        "/" | "/hello" => "hello world".into_response(),
        "/echo" => Response::new(request.into_body()).into_response(),
        "/headers" => headers(&request).into_response(),
        "/large" => large(&request),
        "/fetch" => fetch(&request).await,
        "/panic" => panic!("this handler panics when asked to"),
        other => text(StatusCode::NOT_FOUND, format!("no such path: {other}\n")),
    }
}

/// Lines `method …`, `target …`, then `name: value` as they came.
fn headers(request: &Request) -> String {
    let mut lines = format!("method {}\nuri {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        writeln!(lines, "{name}: {value}").expect("writing to a string cannot fail");
    }
    lines
}

/// Streams `bytes` bytes of the letter `x` while the response is under way.
fn large(request: &Request) -> Answer {
    let mut left: usize = query(request, "bytes").and_then(|n| n.parse().ok()).unwrap_or(1 << 20);
    let (mut sender, body) = stream::<Bytes>();
    spawn(async move {
        let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
        while left > 0 {
            let piece = chunk.slice(..left.min(chunk.len()));
            left -= piece.len();
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    });
    Response::new(body).into_response()
}

/// Asks `url` and passes its body on, with the status that it had.
async fn fetch(request: &Request) -> Answer {
    let Some(url) = query(request, "url") else {
        return text(StatusCode::BAD_REQUEST, "the query lacks `url`\n".to_owned());
    };
    match get(url).await {
        Ok(response) => response.into_response(),
        Err(error) => text(StatusCode::BAD_GATEWAY, format!("{error:?}\n")),
    }
}

async fn variable(name: &str) -> Answer {
    match variables::get(name).await {
        Ok(value) => value.into_response(),
        Err(error) => text(StatusCode::BAD_GATEWAY, format!("{error:?}\n")),
    }
}

fn query<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let pairs = request.uri().query()?.split('&');
    pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, v)| v)
}

fn text(status: StatusCode, text: String) -> Answer {
    (status, FullBody::new(Bytes::from(text))).into_response()
}
