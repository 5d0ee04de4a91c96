//! How connections end, and that their handlers hear of it.

use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{Client, app, up};
use crate::dayfly;

#[tokio::test]
async fn the_end_is_an_event() {
    let (app, server) = up("true").await;
    let log = server.state("logs");
    let closed = async |id: &str, code: &str| {
        super::messages::until("its end in the log", async || {
            let files = std::fs::read_dir(&log).ok()?;
            let texts = files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok());
            let expected = format!("closed {id} {code}");
            texts.collect::<String>().contains(&expected).then_some(())
        })
        .await;
    };
    let mut client = Client::connect(&server, "/chat/a").await;
    let id = client.ask("whoami").await;
    let frame = CloseFrame { code: 4001.into(), reason: "enough".into() };
    client.send(Message::Close(Some(frame))).await;
    assert_eq!(client.code().await, 4001);
    closed(&id, "4001 enough").await;
    // Who leaves without a word.
    let mut client = Client::connect(&server, "/chat/a").await;
    let id = client.ask("whoami").await;
    drop(client);
    closed(&id, "1006").await;
    // Whom a handler closes: after what it sent.
    let mut client = Client::connect(&server, "/chat/a").await;
    let id = client.ask("whoami").await;
    client.send("close 4002 go").await;
    assert_eq!(client.code().await, 4002);
    closed(&id, "4002").await;
    let mut client = Client::connect(&server, "/chat/a").await;
    assert!(client.ask("close 1006 no").await.contains("Invalid"));
    drop(app);
    server.stop().await;
}

#[tokio::test]
async fn handlers_finish_when_the_server_ends() {
    let (_app, server) = up("true").await;
    let mut idle = Client::connect(&server, "/chat/a").await;
    let mut busy = Client::connect(&server, "/chat/a").await;
    assert_eq!(busy.ask("hello").await, "hello");
    busy.send("sleep 1000").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.process().interrupt();
    assert_eq!(idle.code().await, 1001);
    assert_eq!(busy.text().await, "slept 1000");
    assert_eq!(busy.code().await, 1001);
    drop((idle, busy));
    assert_eq!(server.ended().await.code, Some(0));
}

#[tokio::test]
async fn clients_that_do_not_answer_keep_nobody() {
    let app = app("true", "");
    let server = dayfly().args(["up", "--grace", "20"]).arg(app.folder()).serve().await;
    // It is never looked at again, so that it does not say goodbye.
    let _mute = Client::connect(&server, "/chat/a").await;
    let since = Instant::now();
    server.process().interrupt();
    assert_eq!(server.ended().await.code, Some(0));
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
}
