//! The chat of `examples/chat`: who is in a room hears what others say there. A room is a topic, named by
//! the connection's path. Asked for by HTTP, it is the chat's page, a file that it is granted.

use dayfly::websocket::connections::{self, Message};
use serde_json::{Value, json};
use wstd::http::{Body, Error, HeaderMap, Request, Response, StatusCode};

wit_bindgen::generate!({
    path: "../../crates/capabilities/wit/deps/websocket@0.1.0",
    world: "imports",
});

/// How long a name and a text may be, in characters.
const NAME: usize = 40;
const TEXT: usize = 2000;

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let headers = request.headers().clone();
    let data = request.into_body().contents().await?.to_vec();
    let (id, room) = (header(&headers, "ce-subject"), header(&headers, "ce-path"));
    match &*header(&headers, "ce-type") {
        "dayfly.websocket.open" => open(&id, &room),
        "dayfly.websocket.message" => said(&id, &room, &data),
        "dayfly.websocket.close" => {
            tell(&room, json!({ "kind": "left" }));
            empty(StatusCode::NO_CONTENT)
        }
        _ => page(),
    }
}

/// Lets a connection into its room. The answer is the first that its page hears.
fn open(id: &str, room: &str) -> Result<Response<Body>, Error> {
    if connections::join(id, room).is_err() {
        return empty(StatusCode::BAD_REQUEST);
    }
    let here = tell(room, json!({ "kind": "came" }));
    answer(json!({ "kind": "welcome", "you": id, "here": here }))
}

/// Passes on what somebody said, who hears it as the others do.
fn said(id: &str, room: &str, data: &[u8]) -> Result<Response<Body>, Error> {
    let said: Value = serde_json::from_slice(data).unwrap_or_default();
    let part = |name: &str, most: usize| {
        let text = said[name].as_str()?.trim();
        (!text.is_empty() && text.chars().count() <= most).then(|| text.to_owned())
    };
    let (Some(name), Some(text)) = (part("name", NAME), part("text", TEXT)) else {
        let why = format!("a name has 1 to {NAME} characters, a message 1 to {TEXT}");
        return answer(json!({ "kind": "refused", "why": why }));
    };
    tell(room, json!({ "kind": "said", "from": id, "name": name, "text": text }));
    empty(StatusCode::NO_CONTENT)
}

/// Tells all in a room; how many they are.
fn tell(room: &str, message: Value) -> u32 {
    connections::publish(room, &Message::Text(message.to_string())).unwrap_or_default()
}

fn page() -> Result<Response<Body>, Error> {
    let page = std::fs::read_to_string("/page/index.html")?;
    let response = Response::builder().header("content-type", "text/html; charset=utf-8");
    Ok(response.header("content-security-policy", "frame-ancestors 'self'").body(Body::from(page))?)
}

fn answer(message: Value) -> Result<Response<Body>, Error> {
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(Body::from(message.to_string()))?)
}

fn empty(status: StatusCode) -> Result<Response<Body>, Error> {
    Ok(Response::builder().status(status).body(Body::empty())?)
}

fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name);
    value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}
