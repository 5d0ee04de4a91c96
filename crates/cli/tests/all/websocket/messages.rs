//! Messages and their answers.

use std::time::{Duration, Instant};

use dayfly_testing::App;
use tokio_tungstenite::tungstenite::Message;

use super::{Client, PATIENCE, up};
use crate::dayfly;

/// Waits until something is so.
pub(super) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_answer_goes_back_as_what_the_message_was() {
    let (_app, server) = up("true").await;
    let mut client = Client::connect(&server, "/chat/room").await;
    assert_eq!(client.ask("hello").await, "hello");
    client.send(vec![0, 255, 1]).await;
    assert_eq!(client.next().await, Some(Message::Binary(vec![0, 255, 1].into())));
    // Several frames of it come as one message.
    let large = "x".repeat(100_000);
    assert_eq!(client.ask(&large).await, large);
    let facts = client.ask("facts").await;
    let id = client.ask("whoami").await;
    assert_eq!(facts, format!("/chat/room|{id}|text/plain|"));
    assert_eq!(id.len(), 32);
    // No answer is none.
    client.send("nothing").await;
    assert_eq!(client.ask("after").await, "after");
    server.stop().await;
}

#[tokio::test]
async fn messages_are_handled_in_their_order() {
    let (_app, server) = up("true").await;
    let mut client = Client::connect(&server, "/chat/a").await;
    client.send("sleep 200").await;
    for number in 0..50 {
        client.send(format!("{number}")).await;
    }
    assert_eq!(client.text().await, "slept 200");
    for number in 0..50 {
        assert_eq!(client.text().await, number.to_string());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_handler_that_fails_ends_its_connection_alone() {
    let (_app, server) = up("true").await;
    let mut other = Client::connect(&server, "/chat/a").await;
    for words in ["trap", "fail"] {
        let mut client = Client::connect(&server, "/chat/a").await;
        client.send(words).await;
        assert_eq!(client.code().await, 1011, "{words}");
    }
    assert_eq!(other.ask("hello").await, "hello");
    server.stderr().containing("a message of a WebSocket was not handled").await;
    server.stop().await;
}

#[tokio::test]
async fn a_command_is_a_handler() {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/chat\"\ncomponent = \"c\"\nwebsocket = true\n\
         [component.c]\nsource = \"guest:rust-command\"\n",
    );
    let server = dayfly().up(app.folder()).await;
    let mut client = Client::connect(&server, "/chat").await;
    assert_eq!(client.ask("a word").await, "A WORD");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_can_go_elsewhere() {
    let (_app, server) = up("{ join = [\"all\"], output = \"websocket:all\" }").await;
    let mut first = Client::connect(&server, "/chat/a").await;
    let mut second = Client::connect(&server, "/chat/a").await;
    first.send("hello").await;
    assert_eq!(first.text().await, "hello");
    assert_eq!(second.text().await, "hello");
    server.stop().await;
    let (_app, server) = up("{ output = \"queue:out\" }").await;
    let mut client = Client::connect(&server, "/chat/a").await;
    client.send("hello").await;
    assert_eq!(crate::events::heard(&server.state(""), 1).await, ["hello"]);
    server.stop().await;
}

#[tokio::test]
async fn many_connections_are_told_apart() {
    let (_app, server) = up("true").await;
    let clients = (0..40).map(|number| {
        let server = &server;
        async move {
            let mut client = Client::connect(server, "/chat/a").await;
            for round in 0..25 {
                let text = format!("{number}-{round}");
                assert_eq!(client.ask(&text).await, text);
            }
            client.ask("whoami").await
        }
    });
    let mut ids = futures_util::future::join_all(clients).await;
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 40);
    server.stop().await;
}
