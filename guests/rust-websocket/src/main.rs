//! A handler of WebSockets: answers with what it got, unless that tells it to do something else. Events
//! of other triggers it publishes to the topic `news`.

use dayfly::websocket::connections::{self, Message};
use wstd::http::{Body, Error, HeaderMap, Request, Response, StatusCode};
use wstd::time::Duration;

wit_bindgen::generate!({
    path: "../../crates/capabilities/wit/deps/websocket@0.1.0",
    world: "imports",
});

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let headers = request.headers().clone();
    let data = request.into_body().contents().await?.to_vec();
    match &*header(&headers, "ce-type") {
        "dayfly.websocket.open" => open(&headers),
        "dayfly.websocket.message" => {
            if header(&headers, "content-type") == "text/plain" {
                heard(&headers, &String::from_utf8(data)?).await
            } else {
                Ok(Response::builder().body(Body::from(data))?)
            }
        }
        "dayfly.websocket.close" => {
            let (id, code) = (header(&headers, "ce-subject"), header(&headers, "ce-code"));
            println!("closed {id} {code} {}", header(&headers, "ce-reason"));
            let _ = connections::publish("gone", &Message::Text(format!("{id} {code}")));
            empty(StatusCode::NO_CONTENT)
        }
        _ => text(shown(connections::publish("news", &Message::Binary(data)))),
    }
}

/// The query says what becomes of the connection: `deny=STATUS`, `join=TOPIC`, `protocol=NAME`, `facts`.
fn open(headers: &HeaderMap) -> Result<Response<Body>, Error> {
    let (id, query) = (header(headers, "ce-subject"), header(headers, "ce-query"));
    let (word, rest) = query.split_once('=').unwrap_or((&query, ""));
    match word {
        "deny" => {
            let refused = Response::builder().status(rest.parse::<u16>()?);
            Ok(refused.body(Body::from("not you"))?)
        }
        "join" => text(shown(connections::join(&id, rest))),
        "protocol" => {
            Ok(Response::builder().header("sec-websocket-protocol", rest).body(Body::empty())?)
        }
        "facts" => {
            let names = ["ce-path", "cookie", "origin", "spin-path-info", "sec-websocket-key"];
            text(names.map(|name| header(headers, name)).join("|"))
        }
        _ => empty(StatusCode::NO_CONTENT),
    }
}

async fn heard(headers: &HeaderMap, message: &str) -> Result<Response<Body>, Error> {
    let id = header(headers, "ce-subject");
    let words: Vec<&str> = message.splitn(3, ' ').collect();
    let message = |text: &str| Message::Text(text.to_owned());
    match words[..] {
        ["whoami"] => text(id),
        ["join", topic] => text(shown(connections::join(&id, topic))),
        ["leave", topic] => text(shown(connections::leave(&id, topic))),
        ["say", topic, words] => text(shown(connections::publish(topic, &message(words)))),
        ["tell", other, words] => text(shown(connections::send(other, &message(words)))),
        ["close", code, reason] => {
            text(shown(connections::close(&id, code.parse()?, reason)))
        }
        ["burst", count, bytes] => {
            let message = message(&"x".repeat(bytes.parse()?));
            let sent = (0..count.parse()?).map(|_| connections::send(&id, &message));
            let refused = sent.filter_map(Result::err).next();
            text(format!("{refused:?}"))
        }
        ["fill", topic, bytes] => {
            // Until somebody is too slow for it.
            let message = message(&"x".repeat(bytes.parse()?));
            let mut count = 0;
            while connections::publish(topic, &message)? > 1 && count < 10_000 {
                count += 1;
            }
            text(format!("{}", count < 10_000))
        }
        ["facts"] => {
            let names = ["ce-path", "ce-subject", "content-type", "ce-traceparent"];
            text(names.map(|name| header(headers, name)).join("|"))
        }
        ["fail"] => empty(StatusCode::IM_A_TEAPOT),
        ["trap"] => panic!("told to"),
        ["nothing"] => empty(StatusCode::NO_CONTENT),
        ["sleep", ms] => {
            wstd::task::sleep(Duration::from_millis(ms.parse()?)).await;
            text(format!("slept {ms}"))
        }
        _ => Ok(Response::builder().body(Body::from(words.join(" ")))?),
    }
}

fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name);
    value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

fn shown<T: std::fmt::Debug>(result: Result<T, connections::Error>) -> String {
    format!("{result:?}")
}

fn text(text: String) -> Result<Response<Body>, Error> {
    Ok(Response::builder().header("content-type", "text/plain").body(Body::from(text))?)
}

fn empty(status: StatusCode) -> Result<Response<Body>, Error> {
    Ok(Response::builder().status(status).body(Body::empty())?)
}
