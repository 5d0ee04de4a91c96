//! The end: running requests are finished within the grace, a second signal ends at once.

use std::time::{Duration, Instant};

use dayfly_testing::{App, Client, Running};
use tokio::time::sleep;

use crate::dayfly;

/// A server with a request under way that takes so long, and what its client gets.
async fn busy(
    grace: &str,
    ms: u32,
) -> (App, Running, tokio::task::JoinHandle<Result<String, String>>) {
    let app = App::of("rust-http");
    let server = dayfly().args(["up", "--grace", grace]).arg(app.folder()).serve().await;
    server.text("/hello").await;
    let client = server.another_client();
    let request = tokio::spawn(async move {
        let request = client.request(http::Method::GET, &format!("/sleep?ms={ms}"));
        let answer = client.try_send(request.body(dayfly_testing::Body::empty())).await?;
        Ok(format!("{} {}", answer.status, answer.text()))
    });
    sleep(Duration::from_millis(500)).await;
    (app, server, request)
}

#[tokio::test]
async fn both_signals_let_running_requests_finish() {
    for interrupt in [true, false] {
        let (_app, server, request) = busy("20", 2500).await;
        let process = server.process();
        if interrupt {
            process.interrupt()
        } else {
            process.terminate()
        }
        sleep(Duration::from_millis(300)).await;
        assert!(refuses(&server).await, "it still takes requests");
        assert_eq!(request.await.unwrap().unwrap(), "200 slept\n");
        let ended = server.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
}

/// Whether a new connection is refused.
async fn refuses(server: &Running) -> bool {
    let client = Client::http1(server.base());
    let request = client.request(http::Method::GET, "/hello");
    client.try_send(request.body(dayfly_testing::Body::empty())).await.is_err()
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let app = App::of("rust-hello");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.text("/").await, "hello world");
    let _idle = server.connect().await;
    let began = Instant::now();
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_grace_has_an_end() {
    let (_app, server, request) = busy("1", 60_000).await;
    let began = Instant::now();
    server.process().terminate();
    let ended = server.ended().await;
    let took = began.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(10)).contains(&took), "{took:?}");
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("unfinished=1"), "{}", ended.stderr);
    assert!(request.await.unwrap().is_err());
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let (_app, server, request) = busy("60", 60_000).await;
    let began = Instant::now();
    server.process().terminate();
    server.stderr().containing("a second signal ends at once").await;
    server.process().interrupt();
    let ended = server.ended().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(request.await.unwrap().is_err());
}

#[tokio::test]
async fn a_guest_in_a_loop_does_not_outlive_the_grace() {
    let app = App::granted("rust-http", "limits = { cpu = \"600s\", time = \"600s\" }");
    let server = dayfly().args(["up", "--grace", "1"]).arg(app.folder()).serve().await;
    let client = server.another_client();
    let looping = tokio::spawn(async move {
        let request = client.request(http::Method::GET, "/spin");
        client.try_send(request.body(dayfly_testing::Body::empty())).await.is_err()
    });
    sleep(Duration::from_millis(500)).await;
    let began = Instant::now();
    server.process().terminate();
    assert_eq!(server.ended().await.code, Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(looping.await.unwrap());
}

#[tokio::test]
async fn a_signal_while_starting_ends_it() {
    let app = App::of("rust-http");
    let folder = tempfile::tempdir().unwrap();
    let starting = dayfly().env("DAYFLY_CACHE_DIR", folder.path()).arg("up").arg(app.folder());
    let starting = starting.spawn();
    starting.stderr().containing("Loading").await;
    starting.process().terminate();
    let began = Instant::now();
    starting.ended().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
