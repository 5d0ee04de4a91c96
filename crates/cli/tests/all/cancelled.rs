//! A client that leaves ends its guest.

use std::time::Duration;

use dayfly_testing::{App, Body, Client, Running};
use http::Method;
use tokio::time::{sleep, timeout};

use crate::dayfly;

/// Asks, waits a moment, and leaves.
async fn ask_and_leave(client: Client, path: &str) {
    let request = client.request(Method::GET, path).body(Body::empty());
    let answered = timeout(Duration::from_millis(500), client.open(request.unwrap())).await;
    assert!(answered.is_err(), "it answered: {answered:?}");
}

/// The server soon uses no CPU time any more.
async fn falls_silent(server: &Running) {
    let process = server.process();
    for _ in 0..20 {
        let before = process.cpu_time();
        sleep(Duration::from_millis(300)).await;
        if process.cpu_time() - before <= Duration::from_millis(20) {
            return;
        }
    }
    panic!("the guest still runs");
}

async fn loops_until_left(guest: &str, client: impl Fn(&Running) -> Client) {
    let app = App::granted(guest, "limits = { cpu = \"60s\", time = \"60s\", concurrency = 1 }");
    let server = dayfly().up(app.folder()).await;
    ask_and_leave(client(&server), "/spin").await;
    falls_silent(&server).await;
    // The one place among those that may run is free again.
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn a_loop_ends_when_its_client_leaves() {
    loops_until_left("rust-http", Running::another_client).await;
}

#[tokio::test]
async fn a_loop_ends_when_its_http_2_client_leaves() {
    loops_until_left("rust-http", |server| server.http2()).await;
}

#[tokio::test]
async fn a_loop_on_wasi_0_3_ends_when_its_client_leaves() {
    loops_until_left("rust-p3-echo", Running::another_client).await;
}

#[tokio::test]
async fn a_sleeper_ends_when_its_client_leaves_and_the_log_says_499() {
    let app = App::granted("rust-http", "limits = { concurrency = 1 }");
    let server = dayfly().args(["up", "--access-log", "on"]).arg(app.folder()).serve().await;
    ask_and_leave(server.another_client(), "/sleep?ms=20000").await;
    let line = server.stderr().containing("path=/sleep").await;
    assert!(line.contains("status=499") && line.contains("complete=false"), "{line}");
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_body_ends_its_guest() {
    let app = App::granted("rust-http", "limits = { concurrency = 1 }");
    let server = dayfly().args(["up", "--access-log", "on"]).arg(app.folder()).serve().await;
    let client = server.another_client();
    let request = client.request(Method::GET, "/slow?chunks=1000&ms=20").body(Body::empty());
    let answer = client.open(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    drop((answer, client));
    let line = server.stderr().containing("path=/slow").await;
    assert!(line.contains("complete=false"), "{line}");
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}
