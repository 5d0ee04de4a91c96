//! HTTP as guests and clients see it: HEAD, trailers, 100-continue, keep-alive, HTTP/2.

use dayfly_testing::{App, Body, Running};
use futures_util::stream;
use http::{HeaderMap, Method};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::dayfly;

const HANDLERS: [&str; 2] = ["rust-http", "rust-p3-echo"];

async fn up(guest: &str) -> (App, Running) {
    let app = App::of(guest);
    let server = dayfly().up(app.folder()).await;
    (app, server)
}

#[tokio::test]
async fn head_has_headers_and_no_body() {
    for guest in HANDLERS {
        let (_app, server) = up(guest).await;
        for client in [server.another_client(), server.http2()] {
            for path in ["/hello", "/large?bytes=1000000"] {
                let request = client.request(Method::HEAD, path).body(Body::empty());
                let answer = client.send(request).await;
                assert_eq!((answer.status, answer.body.len()), (200, 0), "{guest} {path}");
            }
            assert_eq!(client.text("/hello").await, "hello world");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    for guest in HANDLERS {
        let (_app, server) = up(guest).await;
        let client = server.http2();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "42".parse().unwrap());
        let frames = [Frame::data("the body".into()), Frame::trailers(trailers)];
        let request =
            client.request(Method::POST, "/echo").body(Body::frames(stream::iter(frames)));
        let answer = client.send(request).await;
        assert_eq!(answer.text(), "the body", "{guest}");
        assert_eq!(answer.trailers.get("x-sum").map(|v| v.as_bytes()), Some(&b"42"[..]), "{guest}");
        server.stop().await;
    }
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(end) {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await.unwrap();
        assert!(length > 0, "it ended after {:?}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_client_that_expects_100_gets_it_when_the_guest_reads() {
    for guest in HANDLERS {
        let (_app, server) = up(guest).await;
        let mut stream = server.connect().await;
        let head =
            "POST /sink HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let interim = read_until(&mut stream, "\r\n\r\n").await;
        assert!(interim.starts_with("HTTP/1.1 100 "), "{guest}: {interim}");
        stream.write_all(b"hello").await.unwrap();
        let answer = read_until(&mut stream, "5\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{guest}: {answer}");
        server.stop().await;
    }
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let (_app, server) = up("rust-http").await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(b"GET /count HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let answer = read_until(&mut stream, "\r\n\r\n1").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // What a guest leaves unread of a body does not spoil the next request.
    stream
        .write_all(b"POST /hello HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc")
        .await
        .unwrap();
    read_until(&mut stream, "hello world").await;
    server.stop().await;
}

#[tokio::test]
async fn http_1_0_and_close_end_the_connection() {
    let (_app, server) = up("rust-http").await;
    for head in [
        "GET /hello HTTP/1.0\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("hello world"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn http_2_without_asking_first() {
    for guest in HANDLERS {
        let (_app, server) = up(guest).await;
        let client = server.http2();
        assert_eq!(client.text("/hello").await, "hello world", "{guest}");
        let headers = client.text("/headers").await;
        assert!(headers.contains(&format!("authority {}", server.authority())), "{headers}");
        let url = format!("spin-full-url: {}/headers", server.base());
        assert!(headers.contains(&url), "{headers}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_slow_request_holds_up_no_other_on_its_http_2_connection() {
    let (_app, server) = up("rust-http").await;
    let client = server.http2();
    client.text("/hello").await;
    let began = std::time::Instant::now();
    let quick = async {
        client.text("/hello").await;
        began.elapsed()
    };
    let (slept, quick) = tokio::join!(client.text("/sleep?ms=1500"), quick);
    assert_eq!(slept, "slept\n");
    assert!(quick.as_millis() < 1200, "{quick:?}");
    server.stop().await;
}

#[tokio::test]
async fn every_status_passes() {
    let (_app, server) = up("rust-http").await;
    for code in [200, 201, 202, 206, 301, 400, 401, 404, 418, 429, 500, 503, 599] {
        assert_eq!(server.get(&format!("/status?code={code}")).await.status, code);
    }
    for code in [204, 304] {
        let answer = server.get(&format!("/status?code={code}")).await;
        assert_eq!((answer.status, answer.body.len()), (code, 0));
    }
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn cookies_that_came_in_pieces_are_one_header() {
    for guest in HANDLERS {
        let (_app, server) = up(guest).await;
        for client in [server.another_client(), server.http2()] {
            let request = client.request(Method::GET, "/headers").header("cookie", "a=1");
            let request = request.header("x-between", "").header("cookie", "b=2; c=3");
            let text = client.send(request.body(Body::empty())).await.text();
            let cookies: Vec<&str> =
                text.lines().filter(|line| line.starts_with("cookie: ")).collect();
            assert_eq!(cookies, ["cookie: a=1; b=2; c=3"], "{guest}");
        }
        server.stop().await;
    }
}
