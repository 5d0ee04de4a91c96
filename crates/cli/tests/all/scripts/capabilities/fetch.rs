//! `fetch` from JavaScript, as its standard has it.

use std::time::Duration;

use dayfly_testing::{App, Running};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{granted, step};
use crate::scripts::with_interpreters;

const APP: &str = r#"
const told = response => [response.status, response.url.replace(/^.*:\d+/, ""), response.redirected];

const steps = {
  async follow(url) {
    const response = await fetch(`${url}/redirect`, { headers: { authorization: "x" } });
    return [...told(response), await response.text()];
  },
  async post(url) {
    const response = await fetch(`${url}/redirect`, { method: "POST", body: "a body" });
    return [...told(response), await response.text()];
  },
  async kept(url) {
    const response = await fetch(`${url}/kept`, { method: "PUT", body: "a body" });
    return [...told(response), await response.text()];
  },
  manual: async url => told(await fetch(`${url}/redirect`, { redirect: "manual" })),
  error: url => fetch(`${url}/redirect`, { redirect: "error" }),
  endless: url => fetch(`${url}/endless`),
  scheme: () => fetch("ftp://127.0.0.1/"),
  nobody: () => fetch("http://127.0.0.1:1/"),
  async empty(url) {
    const response = await fetch(new Request(`${url}/empty`, { method: "DELETE" }));
    return [...told(response), response.body, await response.text()];
  },
  async abort(url) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 50);
    return fetch(`${url}/never`, { signal: controller.signal });
  },
  aborted: url => fetch(url, { signal: AbortSignal.abort(new RangeError("before")) }),
  late: url => fetch(`${url}/never`, { signal: AbortSignal.timeout(50) }),
  large_letter: url => fetch(url, { headers: { "x-one": "1 \u{20ac}" } }),
  large_letter_on: (url, request) => fetch(url, { headers: request.headers }),
  large_letter_back: () => new Response("", { headers: { "x-one": "\u{20ac}" } }),
  arrived: (url, request) => request.headers.get("x-letter"),
  broken(url) {
    const body = async function* () {
      yield "a";
      throw new RangeError("of its own");
    };
    return fetch(`${url}/never`, { method: "POST", body: ReadableStream.from(body()), duplex: "half" });
  },
  async abort_body(url) {
    const controller = new AbortController();
    const response = await fetch(`${url}/pieces`, { signal: controller.signal });
    setTimeout(() => controller.abort(), 50);
    return response.text();
  },
  async large(url) {
    let length = 0;
    for await (const piece of (await fetch(`${url}/large`)).body) length += piece.length;
    return length;
  },
  async both(url) {
    const begin = Date.now();
    const [one, two] = await Promise.all([fetch(`${url}/late`), fetch(`${url}/late`)]);
    return [await one.text(), await two.text(), Date.now() - begin < 900];
  },
};

export default {
  async fetch(request) {
    const { pathname, search } = new URL(request.url);
    const url = search.slice(1);
    if (pathname === "/through") {
      const response = await fetch(`${url}/pieces`);
      return new Response(response.body, { headers: response.headers });
    }
    if (pathname === "/proxy") {
      return fetch(new Request(`${url}/mirror`, request));
    }
    try {
      const answer = await steps[pathname.slice(1)](url, request);
      return Response.json(answer instanceof Response ? told(answer) : answer);
    } catch (error) {
      return Response.json({ name: error.name, message: error.message.replaceAll(url, "") });
    }
  },
};
"#;

/// How long the body of `/large` is, in bytes: more than an instance may have of memory.
const LARGE: usize = 128 << 20;

/// A server of HTTP/1.1 that does what paths say, one request a connection.
struct Server {
    url: String,
    /// Lets `/pieces` go on.
    go_on: mpsc::Sender<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (go_on, mut allowed) = mpsc::channel(1);
        let at = url.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Some(mut stream) = answer(stream, &at).await {
                    allowed.recv().await;
                    let _ = stream.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await;
                }
            }
        });
        Self { url, go_on }
    }
}

/// Answers a request; gives the connection back whose answer is to go on.
async fn answer(mut stream: TcpStream, url: &str) -> Option<TcpStream> {
    let mut lines = BufReader::new(&mut stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if lines.read_line(&mut head).await.unwrap_or(0) == 0 {
            return None;
        }
    }
    let has = |name: &str| head.to_lowercase().contains(&format!("\r\n{name}:"));
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let landed = format!("{method} {} {}", has("authorization"), has("content-length"));
    let whole = |status: &str, more: &str, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\n{more}content-length: {length}\r\n\r\n{body}"
        )
    };
    let text = match path {
        "/redirect" => whole("302 Found", "location: /landed\r\n", ""),
        "/kept" => whole("307 Temporary Redirect", &format!("location: {url}/landed\r\n"), ""),
        "/endless" => whole("301 Moved", "location: /endless\r\n", ""),
        "/empty" => "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned(),
        "/pieces" => {
            let begun =
                "HTTP/1.1 200 OK\r\nx-one: 1\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";
            stream.write_all(begun.as_bytes()).await.unwrap();
            return Some(stream);
        }
        "/large" => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let piece = vec![b'x'; 1 << 20];
            for _ in 0..LARGE >> 20 {
                if stream.write_all(&piece).await.is_err() {
                    break;
                }
            }
            return None;
        }
        "/never" | "/late" => {
            let wait = if path == "/late" { 500 } else { 3_000 };
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nlate").await;
            });
            return None;
        }
        _ => whole("200 OK", "", &landed),
    };
    let _ = stream.write_all(text.as_bytes()).await;
    None
}

async fn up(server: &Server) -> (App, Running) {
    let grants = format!(
        "allowed_outbound_hosts = [\"{}\", \"http://127.0.0.1:1\"]\nlimits = {{ memory = \"64MiB\" }}",
        server.url
    );
    let app = granted("app.js", APP, &grants);
    let running = with_interpreters().up(app.folder()).await;
    (app, running)
}

async fn told(running: &Running, server: &Server, steps: &[(&str, Value)]) {
    for (name, expected) in steps {
        assert_eq!(step(running, &format!("{name}?{}", server.url)).await, *expected, "{name}");
    }
}

fn error(name: &str, message: &str) -> Value {
    json!({ "name": name, "message": message })
}

#[tokio::test]
async fn redirects_are_followed_as_asked() {
    let server = Server::start().await;
    let (_app, running) = up(&server).await;
    let steps = [
        ("follow", json!([200, "/landed", true, "GET true false"])),
        ("post", json!([200, "/landed", true, "GET false false"])),
        ("kept", json!([200, "/landed", true, "PUT false true"])),
        ("manual", json!([302, "/redirect", false])),
        ("error", error("TypeError", "`/redirect` redirects")),
        ("endless", error("TypeError", "`/endless` redirects too often")),
        ("empty", json!([204, "/empty", false, null, ""])),
    ];
    told(&running, &server, &steps).await;
    running.stop().await;
}

#[tokio::test]
async fn what_fails_is_an_error_of_its_kind() {
    let server = Server::start().await;
    let (_app, running) = up(&server).await;
    let scheme = "`ftp://127.0.0.1/` cannot be fetched: only http and https can";
    let nobody = "failed to fetch `http://127.0.0.1:1/`: connection refused";
    let steps = [
        ("scheme", error("TypeError", scheme)),
        ("nobody", error("TypeError", nobody)),
        ("aborted", error("RangeError", "before")),
        ("abort", error("AbortError", "the operation was aborted")),
        ("late", error("TimeoutError", "the time is over")),
        ("abort_body", error("AbortError", "the operation was aborted")),
        ("broken", error("RangeError", "of its own")),
    ];
    told(&running, &server, &steps).await;
    running.stop().await;
}

#[tokio::test]
async fn headers_that_an_app_gives_are_bytes() {
    let server = Server::start().await;
    let (_app, running) = up(&server).await;
    let refused = error("TypeError", "a header's value has no characters above U+00FF");
    let steps = [("large_letter", refused.clone()), ("large_letter_back", refused.clone())];
    told(&running, &server, &steps).await;
    for (name, expected) in [("arrived", json!("\u{20ac}")), ("large_letter_on", refused)] {
        let path = format!("/{name}?{}", server.url);
        let answer = running.post_with(&path, &[("x-letter", "\u{20ac}")], "").await;
        assert_eq!(serde_json::from_str::<Value>(&answer.text()).unwrap(), expected, "{name}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_body_may_be_larger_than_memory() {
    let server = Server::start().await;
    let (_app, running) = up(&server).await;
    told(&running, &server, &[("large", json!(LARGE))]).await;
    running.stop().await;
}

#[tokio::test]
async fn two_requests_wait_at_once() {
    let server = Server::start().await;
    let (_app, running) = up(&server).await;
    told(&running, &server, &[("both", json!(["late", "late", true]))]).await;
    running.stop().await;
}

#[tokio::test]
async fn bodies_are_streamed_both_ways() {
    use http_body_util::BodyExt as _;

    let server = Server::start().await;
    let (_app, running) = up(&server).await;
    let path = format!("/through?{}", server.url);
    let request = running.request(http::Method::GET, &path).body(dayfly_testing::Body::empty());
    let mut response = running.open(request.unwrap()).await.unwrap();
    assert_eq!(response.headers()["x-one"], "1");
    let mut next = async || {
        let frame = tokio::time::timeout(Duration::from_secs(10), response.body_mut().frame());
        frame.await.unwrap().map(|frame| frame.unwrap().into_data().unwrap())
    };
    // The first piece is here while the server has not written the second one.
    assert_eq!(next().await.unwrap(), "one");
    server.go_on.send(()).await.unwrap();
    assert_eq!(next().await.unwrap(), "two");
    let answer = running.post(&format!("/proxy?{}", server.url), "a body").await;
    assert_eq!((answer.status, answer.text()), (200, "POST false false".to_owned()));
    running.stop().await;
}
