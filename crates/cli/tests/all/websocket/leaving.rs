//! Clients that leave while a message of theirs is handled: nothing goes on for them.

use std::time::{Duration, Instant};

use dayfly_testing::{App, Running};
use futures_util::SinkExt as _;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::http2::Connection;
use super::{Client, PATIENCE};
use crate::{dayfly, tiny};

/// How soon everything is over once a client has left.
const SOON: Duration = Duration::from_secs(1);

/// A handler that computes for ever if it is told anything, and no more connections than these.
async fn up(websockets: &str, limits: &str) -> (App, Running) {
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/chat/...\"\ncomponent = \"chat\"\nwebsocket = true\n\
         [component.chat]\nsource = \"chat.wat\"\n\
         limits = {{ cpu = \"60s\", time = \"60s\"{limits} }}\n"
    ));
    let app = app.file("chat.wat", tiny::command_given(tiny::SPIN));
    let flags = ["up", "--max-lag", "1m", "--max-websockets", websockets];
    let server = dayfly().args(flags).arg(app.folder()).serve().await;
    (app, server)
}

/// Waits until something computes.
async fn computes(server: &Running) {
    let before = server.process().cpu_time();
    let computing = async {
        while server.process().cpu_time() - before < Duration::from_millis(300) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, computing).await.expect("the handler computes");
}

/// What is computed in two seconds, but for what is over soon.
async fn falls_silent(server: &Running) {
    sleep(SOON).await;
    let before = server.process().cpu_time();
    sleep(Duration::from_secs(1)).await;
    let computed = server.process().cpu_time() - before;
    assert!(computed <= Duration::from_millis(100), "{computed:?} for nobody");
}

#[tokio::test]
async fn a_handler_ends_whose_client_leaves_and_its_seat_is_free() {
    let (_app, server) = up("1", "").await;
    let mut client = Client::connect(&server, "/chat/a").await;
    client.send("go").await;
    computes(&server).await;
    assert_eq!(Client::try_connect(&server, "/chat/b", &[]).await.err().unwrap().status(), 503);
    drop(client);
    let left = Instant::now();
    while Client::try_connect(&server, "/chat/b", &[]).await.is_err() {
        assert!(left.elapsed() < SOON, "its seat is still taken");
        sleep(Duration::from_millis(10)).await;
    }
    falls_silent(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn one_ends_whose_client_leaves_with_more_to_say() {
    let (_app, server) = up("1", "").await;
    let mut client = Client::connect(&server, "/chat/a").await;
    client.send("go").await;
    computes(&server).await;
    // More than is read ahead.
    for _ in 0..100 {
        client.send("x".repeat(1000)).await;
    }
    drop(client);
    falls_silent(&server).await;
    Client::connect(&server, "/chat/b").await;
    server.stop().await;
}

#[tokio::test]
async fn nobody_waits_for_room_whose_client_has_left() {
    let (_app, server) = up("2", ", concurrency = 1").await;
    let mut first = Client::connect(&server, "/chat/a").await;
    let mut second = Client::connect(&server, "/chat/b").await;
    first.send("go").await;
    computes(&server).await;
    second.send("me too").await;
    sleep(Duration::from_millis(500)).await;
    drop(second);
    sleep(SOON).await;
    drop(first);
    falls_silent(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn a_handler_ends_whose_stream_of_http_2_is_reset() {
    let (_app, server) = up("1", "").await;
    let mut connection = Connection::new(&server).await;
    let mut socket = connection.socket("/chat/a").await;
    socket.send(Message::text("go")).await.unwrap();
    computes(&server).await;
    drop(socket);
    falls_silent(&server).await;
    // The same connection goes on.
    let mut socket = connection.socket("/chat/b").await;
    socket.send(Message::text("go")).await.unwrap();
    computes(&server).await;
    drop((socket, connection));
    falls_silent(&server).await;
    Client::connect(&server, "/chat/c").await;
    server.stop().await;
}
