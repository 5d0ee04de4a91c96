//! Bytes that two readers could take for different requests, sent to one tenant's app: none of them becomes
//! a request of another tenant's, whose account says how many it had.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dayfly_testing::{Certificate, Https};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::certificates::shown;
use super::{Platform, numbered};
use crate::dayfly;

const OWN: &str = "test.mallory.localhost";

/// The host of whoever is to have nothing to do with it.
const OTHER: &str = "test.localhost";

/// How long the node may take to answer, and usage to be written down.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is sent before a request for the other host, and is no request at all. `{own}` and `{other}` are their
/// hosts, `{hidden}` is that request.
const HEADS: &[(&str, &str)] = &[
    (
        "chunks under another name",
        "POST /echo HTTP/1.1\r\nhost: {own}\r\ncontent-length: 4\r\n\
         transfer-encoding : chunked\r\n\r\n0\r\n\r\n{hidden}",
    ),
    (
        "chunks that are none",
        "POST /echo HTTP/1.1\r\nhost: {own}\r\ncontent-length: 4\r\n\
         transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}",
    ),
    (
        "chunks behind a vertical tab",
        "POST /echo HTTP/1.1\r\nhost: {own}\r\ntransfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n{hidden}",
    ),
    (
        "chunks and another coding",
        "POST /echo HTTP/1.1\r\nhost: {own}\r\ntransfer-encoding: chunked\r\n\
         transfer-encoding: identity\r\n\r\n0\r\n\r\n{hidden}",
    ),
    (
        "two lengths",
        "POST /echo HTTP/1.1\r\nhost: {own}\r\ncontent-length: 0\r\ncontent-length: 90\r\n\r\n{hidden}",
    ),
    (
        "a list of lengths",
        "POST /echo HTTP/1.1\r\nhost: {own}\r\ncontent-length: 0, 90\r\n\r\n{hidden}",
    ),
    (
        "a length with a sign",
        "POST /echo HTTP/1.1\r\nhost: {own}\r\ncontent-length: +0\r\n\r\n{hidden}",
    ),
    ("two hosts", "GET /env HTTP/1.1\r\nhost: {own}\r\nhost: {other}\r\n\r\n{hidden}"),
    ("two hosts, the other one first", "GET /env HTTP/1.1\r\nhost: {other}\r\nhost: {own}\r\n\r\n"),
    ("hosts in a list", "GET /env HTTP/1.1\r\nhost: {own}, {other}\r\n\r\n{hidden}"),
    ("a host before another's port", "GET /env HTTP/1.1\r\nhost: {own}:80@{other}\r\n\r\n{hidden}"),
    ("a host with a space", "GET /env HTTP/1.1\r\nhost: {other} {own}\r\n\r\n{hidden}"),
    ("a host that is folded", "GET /env HTTP/1.1\r\nhost: {own}\r\n {other}\r\n\r\n{hidden}"),
    (
        "a host under another name",
        "GET /env HTTP/1.1\r\nhost : {other}\r\nhost: {own}\r\n\r\n{hidden}",
    ),
    (
        "a host that begins folded",
        "GET /env HTTP/1.1\r\n host: {other}\r\nhost: {own}\r\n\r\n{hidden}",
    ),
    (
        "another host in the target",
        "GET http://{other}/env HTTP/1.1\r\nhost: {own}\r\n\r\n{hidden}",
    ),
    (
        "its own host in the target",
        "GET http://{own}/env HTTP/1.1\r\nhost: {other}\r\n\r\n{hidden}",
    ),
    (
        "a user in the target",
        "GET http://{own}@{other}/env HTTP/1.1\r\nhost: {own}\r\n\r\n{hidden}",
    ),
    ("a tunnel", "CONNECT {other}:80 HTTP/1.1\r\nhost: {own}\r\n\r\n{hidden}"),
    ("a line in the target", "GET /env\r\nhost:{other} HTTP/1.1\r\nhost: {own}\r\n\r\n{hidden}"),
    (
        "a lone carriage return",
        "GET /env HTTP/1.1\r\nhost: {own}\r\nx: y\rhost: {other}\r\n\r\n{hidden}",
    ),
    ("a zero byte", "GET /env HTTP/1.1\r\nhost: {own}\r\nx: \0\r\n\r\n{hidden}"),
    ("another protocol's name", "GET /env HTTP/1.10\r\nhost: {own}\r\n\r\n{hidden}"),
    (
        "chunks of an earlier version",
        "POST /echo HTTP/1.0\r\nhost: {own}\r\n\
      transfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
    ),
];

/// The same, where a request ends otherwise than somebody else might think, or not at all.
const BODIES: &[(&str, &str)] = &[
    (
        "a length beside chunks",
        "POST /echo HTTP/1.1\r\nhost: {own}\r\ncontent-length: 5\r\n\
         transfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
    ),
    (
        "chunks beside a length",
        "POST /echo HTTP/1.1\r\nhost: {own}\r\ntransfer-encoding: chunked\r\n\
         content-length: 300\r\n\r\n0\r\n\r\n{hidden}",
    ),
    (
        "a chunk's length with a sign",
        "POST /echo HTTP/1.1\r\nhost: {own}\r\ntransfer-encoding: chunked\r\n\r\n-0\r\n\r\n{hidden}",
    ),
    (
        "a chunk's length that is too long",
        "POST /echo HTTP/1.1\r\nhost: {own}\r\ntransfer-encoding: chunked\r\n\r\n\
         10000000000000000\r\n\r\n{hidden}",
    ),
    (
        "a line feed in a chunk's extension",
        "POST /echo HTTP/1.1\r\nhost: {own}\r\ntransfer-encoding: chunked\r\n\r\n0;a\n\r\n{hidden}",
    ),
    (
        "a trailer that is folded",
        "POST /echo HTTP/1.1\r\nhost: {own}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\
         host:\r\n {other}\r\n\r\n{hidden}",
    ),
];

/// What names the other host without being for it.
const HARMLESS: &[&str] = &[
    "GET /env HTTP/1.1\r\nhost: {own}\r\nx-forwarded-host: {other}\r\nforwarded: host={other}\r\n\
     x-host: {other}\r\nx-original-host: {other}\r\nx-http-host-override: {other}\r\n\
     spin-full-url: http://{other}/env\r\nconnection: close\r\n\r\n",
    // A request in a body is a body.
    "POST /echo HTTP/1.1\r\nhost: {own}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{hidden}",
    "GET /env HTTP/1.1\r\nhost: {own}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{hidden}",
];

fn hidden() -> String {
    format!("GET /env?smuggled HTTP/1.1\r\nhost: {OTHER}\r\n\r\n")
}

fn filled(request: &str) -> String {
    let hidden = hidden();
    let request = request.replace("{own}", OWN).replace("{other}", OTHER);
    request.replace("{length}", &hidden.len().to_string()).replace("{hidden}", &hidden)
}

/// What comes back on a connection until it is closed.
async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset that comes after an answer does not take it back.
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "it stays open: {}", String::from_utf8_lossy(&answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// A platform with an app of each tenant.
async fn start(dayfly: dayfly_testing::Dayfly) -> Platform {
    let platform = Platform::start_with(dayfly).await;
    platform.done(&["tenants", "make", "mallory"]).await;
    platform.deploy(&numbered(1, "", ""), &["--tenant", "mallory"]).await.with(0);
    platform.deploy(&numbered(2, "", ""), &[]).await.with(0);
    platform
}

fn address(platform: &Platform) -> SocketAddr {
    platform.apps.base().strip_prefix("http://").unwrap().parse().unwrap()
}

/// Checks that the other tenant's app had no request but one that comes now.
async fn nobody_else_was_asked(platform: &Platform, host: &str) {
    assert_eq!(platform.get(host, "/env").await.status, 200);
    let since = Instant::now();
    loop {
        let report = platform.json(&["usage", "test", "--by", "total"]).await;
        let requests = report["groups"][0]["total"]["requests"].as_u64().unwrap_or(0);
        if requests > 0 {
            assert_eq!(requests, 1, "{report}");
            return;
        }
        assert!(since.elapsed() < PATIENCE, "nothing is counted: {report}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn what_is_ambiguous_is_no_request_of_another_tenant_s() {
    let platform = start(dayfly()).await;
    let address = address(&platform);
    let mut wrong = Vec::new();
    for (what, request) in HEADS.iter().chain(BODIES) {
        let answer = raw(address, filled(request).as_bytes()).await;
        // Whoever is answered at all is answered once, and by nobody else.
        if answer.matches("HTTP/1.").count() > 1 || answer.contains("RELEASE=2") {
            wrong.push(format!("{what}: {answer}"));
        }
        let is_refused = answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.0 400");
        if !is_refused && HEADS.iter().any(|(head, _)| head == what) {
            wrong.push(format!("{what} is taken: {answer}"));
        }
    }
    for request in HARMLESS {
        let answer = raw(address, filled(request).as_bytes()).await;
        let is_own = answer.starts_with("HTTP/1.1 200") && !answer.contains("RELEASE=2");
        if !is_own || answer.matches("HTTP/1.1 200").count() != 1 {
            wrong.push(format!("{request}: {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    nobody_else_was_asked(&platform, OTHER).await;
    platform.stop().await;
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field of HPACK that no table knows.
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// What a stream of HTTP/2 with these fields is answered: the status as HPACK has it, or that the stream or
/// the connection ends; and the bytes of the body.
async fn http2(address: SocketAddr, fields: &[(&str, &str)]) -> (String, String) {
    const HEADERS: u8 = 1;
    const END: u8 = 5;
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| field(name, value)).collect();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let sent = [&preface[..], &frame(4, 0, 0, &[]), &frame(HEADERS, END, 1, &block)].concat();
    stream.write_all(&sent).await.unwrap();
    let (mut status, mut body) = (String::new(), Vec::new());
    let read = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            stream.read_exact(&mut payload).await.unwrap();
            match head[3] {
                0 => body.extend(payload),
                // Fields 8 to 14 of the static table are statuses.
                HEADERS => status = if payload.contains(&0x88) { "200" } else { "other" }.into(),
                3 | 7 => status = "ended".into(),
                _ => {}
            }
            if (head[3] <= HEADERS && head[4] & 1 != 0) || status == "ended" {
                return;
            }
        }
    };
    timeout(PATIENCE, read).await.expect("an answer");
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn http_2_names_one_host() {
    let platform = start(dayfly()).await;
    let address = address(&platform);
    let head = [(":method", "GET"), (":scheme", "http"), (":path", "/env")];
    let ask = async |more: &[(&str, &str)]| http2(address, &[&head[..], more].concat()).await;
    // The frames are in order.
    let (status, text) = ask(&[(":authority", OWN)]).await;
    assert!(status == "200" && text.contains("RELEASE=1"), "{status} {text}");
    for fields in [
        &[(":authority", OWN), ("host", OTHER)][..],
        &[(":authority", OTHER), ("host", OWN)],
        &[(":authority", OWN), ("host", OWN), ("host", OTHER)],
        &[(":authority", OWN), (":authority", OTHER)],
        &[("host", OWN), (":authority", OTHER)],
        &[(":authority", OWN), (":path", "/env"), ("host", OTHER)],
        &[(":authority", "test.mallory.localhost@test.localhost")],
        &[(":authority", "test.localhost/test.mallory.localhost")],
        &[("host", OWN), ("host", OTHER)],
        &[(":authority", OWN), ("x", "y\r\nhost: test.localhost")],
        &[(":authority", OWN), ("x", "y\r\n\r\nGET /env HTTP/1.1\r\nhost: test.localhost\r\n\r\n")],
        &[(":authority", OWN), ("transfer-encoding", "chunked")],
        &[(":authority", OWN), ("connection", "host"), ("host", OTHER)],
    ] {
        let (status, text) = ask(fields).await;
        assert!(status != "200" && !text.contains("RELEASE="), "{fields:?}: {status} {text}");
    }
    nobody_else_was_asked(&platform, OTHER).await;
    platform.stop().await;
}

#[tokio::test]
async fn whoever_begins_with_one_host_gets_no_other_by_tls() {
    let certificate = Certificate::of(&["*.apps.example", "*.mallory.apps.example"]);
    let dayfly = dayfly()
        .env("DAYFLY_BASE_DOMAIN", "apps.example")
        .env("DAYFLY_TLS_LISTEN", "127.0.0.1:0")
        .env("DAYFLY_TLS_CERT", certificate.chain())
        .env("DAYFLY_TLS_KEY", certificate.key());
    let platform = start(dayfly).await;
    let (own, other) = ("test.mallory.apps.example", "test.apps.example");
    let tls = platform.tls().await;
    let mut begun: Https = shown(&tls, own).await;
    let (status, text) = begun.get(own, "/env").await.unwrap();
    assert!(status == 200 && text.contains("RELEASE=1"), "{status} {text}");
    for host in [
        other,
        "TEST.APPS.EXAMPLE",
        "test.apps.example.",
        "test.apps.example:443",
        "test.apps.example:80",
    ] {
        let (status, text) = begun.get(host, "/env").await.unwrap();
        assert!(status == 421 && !text.contains("RELEASE="), "{host}: {status} {text}");
    }
    // Nor by the target.
    let target = format!("https://{other}/env");
    let (status, text) = begun.get(own, &target).await.unwrap();
    assert!(status == 400 && !text.contains("RELEASE="), "{status} {text}");
    nobody_else_was_asked(&platform, other).await;
    platform.stop().await;
}
