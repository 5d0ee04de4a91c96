//! A handler by spin-sdk 5 in its asynchronous form: bodies stream both ways.

#[macro_use]
#[path = "../../rust-spin-3/src/script.rs"]
mod script;

mod databases;
#[path = "../../rust-spin-3/src/key_value.rs"]
mod key_value;
#[path = "../../rust-spin-3/src/llm.rs"]
mod llm;
#[path = "../../rust-spin-3/src/mqtt.rs"]
mod mqtt;
#[path = "../../rust-spin-3/src/redis.rs"]
mod redis;
mod sqlite;

use futures::{SinkExt as _, StreamExt as _};
use spin_sdk::http::{
    Headers, IncomingRequest, Method, OutgoingResponse, Request, Response, ResponseOutparam, send,
};
use spin_sdk::{http_component, variables};

#[http_component]
async fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let target = request.path_with_query().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (status, text) = match path {
        "/" | "/hello" => (200, "hello world".to_owned()),
        "/echo" => return echo(request, out).await,
        "/headers" => (200, headers(&request)),
        _ if path.starts_with("/mqtt/") => mqtt::handle(&path["/mqtt/".len()..], query),
        _ if path.starts_with("/redis/") => redis::handle(&path["/redis/".len()..], query, &[]),
        "/variable" => variable(query.strip_prefix("name=").unwrap_or_default()),
        "/fetch" => fetch(query.strip_prefix("url=").unwrap_or_default()).await,
        other => match other.trim_start_matches('/').split_once('/') {
            Some(("db", interface)) => databases::run(interface, &whole(request).await),
            Some(("sqlite", label)) => sqlite::run(label, whole(request).await.as_bytes()),
            Some(("llm", operation)) => {
                llm::handle(operation, query, whole(request).await.as_bytes())
            }
            Some(("kv", operation)) => {
                let value = |name: &str| {
                    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
                };
                let (status, body) =
                    key_value::handle(operation, value, whole(request).await.as_bytes());
                (status, String::from_utf8_lossy(&body).into_owned())
            }
            _ => (404, format!("no such path: {other}\n")),
        },
    };
    answer(out, status, text).await;
}

/// The request's whole body.
async fn whole(request: IncomingRequest) -> String {
    let mut stream = request.into_body_stream();
    let mut body = Vec::new();
    while let Some(Ok(piece)) = stream.next().await {
        body.extend_from_slice(&piece);
    }
    String::from_utf8_lossy(&body).into_owned()
}

/// Sends the request's body back piece by piece.
async fn echo(request: IncomingRequest, out: ResponseOutparam) {
    let response = OutgoingResponse::new(Headers::new());
    let mut sink = response.take_body();
    out.set(response);
    let mut stream = request.into_body_stream();
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(bytes) => {
                if sink.send(bytes).await.is_err() {
                    return;
                }
            }
            Err(error) => return eprintln!("failed to read the body: {error:?}"),
        }
    }
}

async fn answer(out: ResponseOutparam, status: u16, text: String) {
    let response = OutgoingResponse::new(Headers::new());
    if response.set_status_code(status).is_err() {
        eprintln!("the host refuses status {status}");
    }
    let mut sink = response.take_body();
    out.set(response);
    if let Err(error) = sink.send(text.into_bytes()).await {
        eprintln!("failed to write the body: {error:?}");
    }
}

/// Lines `method …`, `uri …`, then `name: value` as they came.
fn headers(request: &IncomingRequest) -> String {
    let mut lines = format!("method {}\nuri {}\n", request.method(), request.uri());
    for (name, value) in request.headers().entries() {
        lines += &format!("{name}: {}\n", String::from_utf8_lossy(&value));
    }
    lines
}

fn variable(name: &str) -> (u16, String) {
    match variables::get(name) {
        Ok(value) => (200, value),
        Err(error) => (502, format!("{error:?}\n")),
    }
}

async fn fetch(url: &str) -> (u16, String) {
    match send::<_, Response>(Request::new(Method::Get, url)).await {
        Ok(response) => {
            let body = String::from_utf8_lossy(response.body()).into_owned();
            (200, format!("status {}\n{body}", response.status()))
        }
        Err(error) => (502, format!("{error}\n")),
    }
}
