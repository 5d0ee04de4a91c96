//! Clients that send too much, take too little, or say nothing.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;

use super::{Client, app, up};
use crate::dayfly;

#[tokio::test]
async fn a_message_that_is_too_large_closes_its_connection() {
    let (_app, server) = up("{ message = \"1KiB\" }").await;
    let mut client = Client::connect(&server, "/chat/a").await;
    let fits = "x".repeat(1024);
    assert_eq!(client.ask(&fits).await, fits);
    client.send("x".repeat(1025)).await;
    assert_eq!(client.code().await, 1009);
    server.stop().await;
}

#[tokio::test]
async fn who_takes_nothing_is_let_go() {
    let (_app, server) = up("{ queue = \"64KiB\" }").await;
    // Both join, but one of them then reads nothing at all.
    let mut slow = Client::connect(&server, "/chat/a?join=room").await;
    let mut quick = Client::connect(&server, "/chat/a?join=room").await;
    let mut speaker = Client::connect(&server, "/chat/a").await;
    let words = "x".repeat(16 << 10);
    let mut said = 0;
    while speaker.ask(&format!("say room {words}")).await != "Ok(1)" {
        said += 1;
        while quick.text().await != words {}
        assert!(said < 10_000, "the system takes it all");
    }
    // What had been written comes first.
    assert_eq!(slow.code().await, 1013);
    assert_eq!(quick.text().await, words);
    server.stop().await;
}

#[tokio::test]
async fn what_waits_for_one_connection_is_bounded() {
    let (_app, server) = up("{ queue = \"10KiB\" }").await;
    let mut client = Client::connect(&server, "/chat/a").await;
    client.send("burst 100 1000").await;
    let mut came = 0;
    let answer = loop {
        let text = client.text().await;
        if !text.starts_with('x') {
            break text;
        }
        came += 1;
    };
    assert_eq!(answer, "Some(Error::Full)");
    assert!((5..50).contains(&came), "{came}");
    assert_eq!(client.ask("hello").await, "hello", "it is still there");
    server.stop().await;
}

#[tokio::test]
async fn topics_are_bounded() {
    let (_app, server) = up("{ topics = 2 }").await;
    let mut client = Client::connect(&server, "/chat/a").await;
    assert_eq!(client.ask("join a").await, "Ok(())");
    assert_eq!(client.ask("join b").await, "Ok(())");
    assert_eq!(client.ask("join c").await, "Err(Error::TooManyTopics)");
    assert!(client.ask(&format!("join {}", "x".repeat(257))).await.contains("Invalid"));
    server.stop().await;
}

#[tokio::test]
async fn the_silent_are_asked_and_then_let_go() {
    let app = app("{ ping = \"200ms\", idle = \"1s\" }", "");
    let server = dayfly().args(["up", "--idle-timeout", "300ms"]).arg(app.folder()).serve().await;
    let mut lively = Client::connect(&server, "/chat/a").await;
    let mut dead = Client::connect(&server, "/chat/a").await;
    let since = Instant::now();
    // It answers pings by being looked at.
    let looked = tokio::time::timeout(Duration::from_secs(3), lively.0.next());
    let pings = looked.await.unwrap().unwrap().unwrap();
    assert!(matches!(pings, Message::Ping(_)), "{pings:?}");
    while since.elapsed() < Duration::from_secs(3) {
        let _ = tokio::time::timeout(Duration::from_millis(100), lively.0.next()).await;
    }
    assert_eq!(lively.ask("hello").await, "hello");
    // Who looked at nothing for so long was let go.
    let rest = async { while let Some(Ok(_)) = dead.0.next().await {} };
    tokio::time::timeout(Duration::from_secs(10), rest).await.expect("it was closed");
    server.stop().await;
}

#[tokio::test]
async fn answers_that_nobody_takes_are_bounded_together() {
    let (_app, server) = up("{ message = \"1MiB\", queue = \"64MiB\" }").await;
    assert_eq!(Client::connect(&server, "/chat/a").await.ask("hello").await, "hello");
    let before = server.process().resident_bytes();
    server.process().forget_peak();
    let words = "x".repeat(1 << 20);
    let clients = (0..16).map(async |_| {
        let mut client = Client::connect(&server, "/chat/a").await;
        for _ in 0..70 {
            let said = client.0.send(Message::text(words.as_str()));
            let said = tokio::time::timeout(Duration::from_secs(10), said).await;
            if !matches!(said, Ok(Ok(()))) {
                break;
            }
        }
        client
    });
    let clients = join_all(clients).await;
    let peak = server.process().peak_resident_bytes().saturating_sub(before);
    assert!(peak < 500 << 20, "{} MiB", peak >> 20);
    assert_eq!(Client::connect(&server, "/chat/a").await.ask("hello").await, "hello");
    drop(clients);
    server.stop().await;
}
