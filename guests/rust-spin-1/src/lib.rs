//! A handler as the SDKs of Spin 1 made them: `fermyon:spin/inbound-http`, which calls out by
//! `fermyon:spin/http`. Bodies come and go whole.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use exports::fermyon::spin::inbound_http::Guest;
use fermyon::spin::http::send_request;
use fermyon::spin::http_types::{Method, Request, Response};

wit_bindgen::generate!({ path: "wit", world: "handler", generate_all });

/// The requests that this instance has had.
static COUNT: AtomicU32 = AtomicU32::new(0);

struct Handler;

impl Guest for Handler {
    fn handle_request(request: Request) -> Response {
        let (path, query) = request.uri.split_once('?').unwrap_or((&request.uri, ""));
        match path {
            "/" | "/hello" => answer(200, "hello world"),
            "/headers" => answer(200, headers(&request)),
            "/echo" => answer(200, request.body.unwrap_or_default()),
            "/fetch" => fetch(query, &request),
            "/times" => times(query),
            "/large" => answer(200, vec![b'x'; 24 << 20]),
            "/status" => answer(query.parse().unwrap_or_default(), ""),
            "/count" => answer(200, (COUNT.fetch_add(1, Relaxed) + 1).to_string()),
            "/cookies" => cookies(),
            "/many-headers" => many_headers(query),
            "/panic" => panic!("this handler panics when asked to"),
            other => answer(404, format!("no such path: {other}\n")),
        }
    }
}

/// So many headers without a value.
fn many_headers(count: &str) -> Response {
    let count: usize = count.parse().unwrap_or_default();
    let headers = (0..count).map(|n| (format!("x-{n}"), String::new())).collect();
    Response { status: 200, headers: Some(headers), body: None }
}

/// Lines `method …`, `uri …`, then `name: value` as they came.
fn headers(request: &Request) -> String {
    let mut lines = format!("method {:?}\nuri {}\n", request.method, request.uri);
    for (name, value) in &request.headers {
        lines += &format!("{name}: {value}\n");
    }
    lines
}

/// Asks `url` by this request's method, body and headers that begin with `x-`.
fn fetch(query: &str, request: &Request) -> Response {
    let is_passed = |(name, _): &&(String, String)| name.starts_with("x-");
    let mut headers: Vec<_> = request.headers.iter().filter(is_passed).cloned().collect();
    // What is not for a guest to say.
    headers.push(("content-length".to_owned(), "3".to_owned()));
    headers.push(("transfer-encoding".to_owned(), "chunked".to_owned()));
    let uri = query.strip_prefix("url=").unwrap_or_default().to_owned();
    let (params, body) = (Vec::new(), request.body.clone());
    match send_request(&Request { method: request.method, uri, headers, params, body }) {
        Ok(response) => {
            let mut text = format!("status {}\n", response.status).into_bytes();
            text.extend(response.body.unwrap_or_default());
            answer(200, text)
        }
        Err(error) => answer(502, format!("{error:?}\n")),
    }
}

/// Asks `url` until it is refused, and says how often it was not.
fn times(query: &str) -> Response {
    let uri = query.strip_prefix("url=").unwrap_or_default();
    let mut asked = 0;
    loop {
        let (headers, params) = Default::default();
        let uri = uri.to_owned();
        match send_request(&Request { method: Method::Get, uri, headers, params, body: None }) {
            Ok(_) => asked += 1,
            Err(error) => return answer(200, format!("{asked} {error:?}")),
        }
    }
}

fn cookies() -> Response {
    let cookie = |value: &str| ("set-cookie".to_owned(), value.to_owned());
    Response { status: 200, headers: Some(vec![cookie("a=1"), cookie("b=2")]), body: None }
}

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Response {
    Response { status, headers: None, body: Some(body.into()) }
}

export!(Handler);
