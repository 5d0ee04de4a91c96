//! Clients that take, or send, a little at a time: they hold no place for long, and who is served slowly
//! by a handler that takes its time is none of them.

use std::time::{Duration, Instant};

use dayfly_testing::{App, Body, Running};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::dayfly;
use crate::http2::{Client, DATA, END_STREAM, WINDOW_UPDATE, frame, headers};

/// Handlers of both versions of WASI.
const GUESTS: [&str; 2] = ["rust-http", "rust-p3-echo"];

/// How many instances there may be at once, and how many clients drip.
const PLACES: usize = 4;

/// Until when an ordinary client is served.
const SOON: Duration = Duration::from_secs(20);

async fn serve(guest: &str, flags: &[&str]) -> (App, Running) {
    let limits =
        format!("limits = {{ concurrency = {PLACES}, time = \"10m\", output = \"1GiB\" }}");
    let app = App::granted(guest, &limits);
    let server = dayfly().args(["up", "--max-lag", "1m"]).args(flags).arg(app.folder());
    let server = server.serve().await;
    (app, server)
}

/// The places are taken by clients that drip; an ordinary one is served before long all the same.
async fn gives_way(server: Running, drips: Vec<JoinHandle<()>>) {
    let began = Instant::now();
    let client = server.another_client();
    while timeout(Duration::from_millis(300), client.get("/hello")).await.is_ok() {
        assert!(began.elapsed() < SOON, "they never take the places");
    }
    let began = Instant::now();
    while client.get("/hello").await.status != 200 {
        assert!(began.elapsed() < SOON, "they keep the places");
    }
    for drip in drips {
        drip.abort();
    }
    server.stop().await;
}

async fn drip(
    server: &Running,
    how: impl AsyncFn(&Running) -> JoinHandle<()>,
) -> Vec<JoinHandle<()>> {
    join_all((0..PLACES).map(|_| how(server))).await
}

/// Sends a body of which each byte is answered, ten bytes a second.
async fn sender(server: &Running) -> JoinHandle<()> {
    let mut tcp = server.connect().await;
    let head = b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n";
    tcp.write_all(head).await.unwrap();
    tokio::spawn(async move {
        while tcp.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    })
}

async fn sender_of_http_2(server: &Running) -> JoinHandle<()> {
    let mut client = Client::of(server).await;
    client.send(&headers(0, 1, "/echo")).await;
    tokio::spawn(async move {
        loop {
            client.send(&frame(DATA, 0, 1, b"x")).await;
            sleep(Duration::from_millis(100)).await;
        }
    })
}

#[tokio::test]
async fn senders_that_drip_give_their_places_back() {
    for guest in GUESTS {
        let (_app, server) = serve(guest, &["--body-timeout", "2s"]).await;
        let drips = drip(&server, sender).await;
        gives_way(server, drips).await;
    }
}

#[tokio::test]
async fn senders_of_http_2_that_drip_give_their_places_back() {
    for guest in GUESTS {
        let (_app, server) = serve(guest, &["--body-timeout", "2s"]).await;
        let drips = drip(&server, sender_of_http_2).await;
        gives_way(server, drips).await;
    }
}

/// More than the system holds for a client, with each second a part of it that is.
const READERS: [&str; 4] = ["--write-timeout", "3s", "--min-rate", "16MiB"];
const LARGE: &str = "/large?bytes=1000000000";

async fn reader(server: &Running) -> JoinHandle<()> {
    let mut tcp = server.connect().await;
    tcp.write_all(format!("GET {LARGE} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
    tokio::spawn(async move {
        let mut space = vec![0; 64 << 10];
        while let Ok(1..) = tcp.read(&mut space).await {
            sleep(Duration::from_millis(40)).await;
        }
    })
}

async fn reader_of_http_2(server: &Running) -> JoinHandle<()> {
    let mut client = Client::of(server).await;
    client.send(&headers(END_STREAM, 1, LARGE)).await;
    let (mut read, mut write) = client.0.into_split();
    tokio::spawn(async move {
        let some = (16_u32 << 10).to_be_bytes();
        let more = [frame(WINDOW_UPDATE, 0, 0, &some), frame(WINDOW_UPDATE, 0, 1, &some)].concat();
        // What comes is read, so that only the windows keep it back.
        let all = async { tokio::io::copy(&mut read, &mut tokio::io::sink()).await };
        let drips = async {
            while write.write_all(&more).await.is_ok() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            _ = all => {}
            () = drips => {}
        }
    })
}

#[tokio::test]
async fn readers_that_drip_give_their_places_back() {
    for guest in GUESTS {
        let (_app, server) = serve(guest, &READERS).await;
        let drips = drip(&server, reader).await;
        gives_way(server, drips).await;
    }
}

#[tokio::test]
async fn readers_of_http_2_that_drip_give_their_places_back() {
    for guest in GUESTS {
        let (_app, server) = serve(guest, &READERS).await;
        let drips = drip(&server, reader_of_http_2).await;
        gives_way(server, drips).await;
    }
}

#[tokio::test]
async fn a_handler_that_takes_its_time_is_not_ended() {
    for guest in GUESTS {
        let (_app, server) =
            serve(guest, &["--write-timeout", "500ms", "--body-timeout", "500ms"]).await;
        for client in [server.another_client(), server.http2()] {
            let request = client.request(Method::GET, "/slow?chunks=20&ms=200");
            let lines = client.send(request.body(Body::empty())).await.text();
            assert_eq!(lines.lines().count(), 20, "{guest} {lines}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_408() {
    for guest in GUESTS {
        let (_app, server) = serve(guest, &["--body-timeout", "500ms"]).await;
        let begun = futures_util::stream::iter(["x".into()]).chain(futures_util::stream::pending());
        let client = server.http2();
        let request = client.request(Method::POST, "/sink").body(Body::stream(begun));
        let answer = client.send(request).await;
        assert_eq!(answer.status, 408, "{guest} {}", answer.text());
        answer.error_id();
        assert_eq!(server.text("/hello").await, "hello world");
        server.stop().await;
    }
}
