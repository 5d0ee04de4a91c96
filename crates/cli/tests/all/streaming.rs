//! Bodies stream both ways at once, however long, in constant memory, no faster than they are taken.

use std::time::{Duration, Instant};

use dayfly_testing::{App, Body, Client, Pattern, Running};
use http::Method;
use http_body_util::BodyExt as _;

use crate::dayfly;

const GIB: u64 = 1 << 30;

/// How much memory a server may take beside what it had before.
const MEMORY: u64 = 96 << 20;

/// Sends `bytes` bytes and checks that they come back, while both directions are under way.
async fn echo(client: &Client, path: &str, bytes: u64) {
    let request = client.request(Method::POST, path).body(Body::stream(Pattern::stream(bytes)));
    let answer = client.open(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    let mut pattern = Pattern::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame.unwrap().data_ref() {
            pattern.check(data);
        }
    }
    assert_eq!(pattern.checked(), bytes);
}

async fn up(guest: &str) -> (App, Running) {
    let app = App::granted(guest, "limits = { cpu = \"600s\" }");
    let server = dayfly().up(app.folder()).await;
    (app, server)
}

/// A gibibyte goes through a guest and the server's memory stays as it was.
async fn in_constant_memory(guest: &str, path: &str) {
    let (_app, server) = up(guest).await;
    echo(&server, path, 1 << 20).await;
    let process = server.process();
    process.forget_peak();
    let before = process.resident_bytes();
    echo(&server, path, GIB).await;
    let grown = process.peak_resident_bytes().saturating_sub(before);
    assert!(grown < MEMORY, "{} MiB more", grown >> 20);
    server.stop().await;
}

#[tokio::test]
async fn a_gibibyte_through_a_guest_on_wasi_0_2() {
    in_constant_memory("rust-http", "/echo").await;
}

#[tokio::test]
async fn a_gibibyte_through_a_guest_on_wasi_0_3() {
    in_constant_memory("rust-p3-echo", "/echo").await;
}

#[tokio::test]
async fn a_gibibyte_past_a_guest_on_wasi_0_3_that_hands_its_body_on() {
    in_constant_memory("rust-p3-echo", "/pass").await;
}

#[tokio::test]
async fn bodies_stream_over_http_2_as_well() {
    for guest in ["rust-http", "rust-p3-echo"] {
        let (_app, server) = up(guest).await;
        echo(&server.http2(), "/echo", 32 << 20).await;
        server.stop().await;
    }
}

#[tokio::test]
async fn each_piece_arrives_when_it_is_written() {
    for guest in ["rust-http", "rust-p3-echo"] {
        let (_app, server) = up(guest).await;
        let request = server.request(Method::GET, "/slow?chunks=4&ms=400").body(Body::empty());
        let began = Instant::now();
        let answer = server.open(request.unwrap()).await.unwrap();
        let mut body = answer.into_body();
        let (mut text, mut arrivals) = (String::new(), Vec::new());
        while let Some(frame) = body.frame().await {
            text.push_str(&String::from_utf8_lossy(frame.unwrap().data_ref().unwrap()));
            arrivals.resize(text.lines().count(), began.elapsed());
        }
        assert_eq!(text, "chunk 1\nchunk 2\nchunk 3\nchunk 4\n", "{guest}");
        let spread = arrivals[3] - arrivals[0];
        assert!(spread >= Duration::from_millis(900), "{guest}: {arrivals:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_guest_answers_before_its_request_is_complete() {
    for guest in ["rust-http", "rust-p3-echo"] {
        let (_app, server) = up(guest).await;
        let (sender, receiver) = futures_util_channel();
        let request = server.request(Method::POST, "/echo").body(Body::stream(receiver));
        sender.send("first".into()).unwrap();
        let answer = server.open(request.unwrap()).await.unwrap();
        let mut body = answer.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "first", "{guest}");
        sender.send("second".into()).unwrap();
        let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(second, "second", "{guest}");
        drop(sender);
        assert!(body.frame().await.is_none_or(|frame| frame.unwrap().is_trailers()), "{guest}");
        server.stop().await;
    }
}

/// A channel whose receiving end is a stream.
fn futures_util_channel() -> (
    tokio::sync::mpsc::UnboundedSender<bytes::Bytes>,
    impl futures_util::Stream<Item = bytes::Bytes> + Send,
) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let stream = futures_util::stream::unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    (sender, stream)
}

#[tokio::test]
async fn a_client_that_takes_nothing_stops_the_guest() {
    for guest in ["rust-http", "rust-p3-echo"] {
        let (_app, server) = up(guest).await;
        server.text("/large?bytes=1000").await;
        let process = server.process();
        process.forget_peak();
        let before = process.resident_bytes();
        let path = format!("/large?bytes={GIB}");
        let request = server.request(Method::GET, &path).body(Body::empty());
        let answer = server.open(request.unwrap()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let grown = process.peak_resident_bytes().saturating_sub(before);
        assert!(grown < MEMORY, "{guest}: {} MiB more", grown >> 20);
        let rested = process.cpu_time();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let used = process.cpu_time() - rested;
        assert!(used < Duration::from_millis(100), "{guest}: it goes on for {used:?}");
        drop(answer);
        server.stop().await;
    }
}

#[tokio::test]
async fn what_a_guest_does_after_its_answer_is_done_to_its_end() {
    let (_app, server) = up("rust-p3-echo").await;
    assert_eq!(server.text("/late?ms=500").await, "answered\n");
    server.stderr().containing("done after the answer").await;
    server.stop().await;
}
