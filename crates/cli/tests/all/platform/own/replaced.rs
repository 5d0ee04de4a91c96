//! Processes of tenants that others follow.

use std::time::Instant;

use dayfly_testing::App;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{ACME, PATIENCE};
use crate::dayfly;
use crate::platform::handover::{Load, address, followed};
use crate::platform::{Platform, numbered};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_a_tenant_s_process_is_replaced() {
    let quiet = dayfly().env("DAYFLY_MAX_LAG", "60s");
    let platform = Platform::with_own(quiet, &numbered(1, "", "")).await;
    let supervisor = platform.server.process();
    let load = Load::start_on(address(&platform), ACME);
    for _ in 0..3 {
        let own = platform.own().await;
        let before = load.answers.load(std::sync::atomic::Ordering::Relaxed);
        supervisor.hang_up();
        followed(supervisor, "own", own).await;
        let after = load.answers.load(std::sync::atomic::Ordering::Relaxed);
        assert!(after > before, "nothing is answered");
    }
    let (answers, failures) = load.stop().await;
    assert!(failures.is_empty(), "{} of {answers} failed: {failures:?}", failures.len());
    platform.deploy(&numbered(2, "", ""), &["--tenant", "acme"]).await.with(0);
    assert!(platform.acme("/env").await.text().contains("RELEASE=2"));
    platform.stop().await;
}

/// A client of a WebSocket of tenant `acme`'s.
async fn talker(platform: &Platform) -> WebSocketStream<TcpStream> {
    let mut request = format!("ws://{}/chat", address(platform)).into_client_request().unwrap();
    request.headers_mut().insert("host", ACME.parse().unwrap());
    let stream = TcpStream::connect(address(platform)).await.unwrap();
    timeout(PATIENCE, client_async(request, stream)).await.expect("an answer").unwrap().0
}

/// What it hears next.
async fn hear(talker: &mut WebSocketStream<TcpStream>) -> Message {
    loop {
        match timeout(PATIENCE, talker.next()).await.expect("something in time").unwrap().unwrap() {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return message,
        }
    }
}

#[tokio::test]
async fn websockets_are_the_tenant_s_process_s() {
    let chat = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/chat\"\ncomponent = \"js\"\nwebsocket = true\n\
         [component.js]\nsource = \"js.wasm\"\n",
    )
    .file("js.wasm", dayfly_testing::Guest::bytes("js-websocket"));
    let platform = Platform::with_own(dayfly(), &chat).await;
    let (mut a, mut b) = (talker(&platform).await, talker(&platform).await);
    a.send(Message::text("hello")).await.unwrap();
    assert!(hear(&mut a).await.to_text().unwrap().ends_with(": hello"));
    assert_eq!(hear(&mut a).await.to_text().unwrap(), "heard by 2");
    assert!(hear(&mut b).await.to_text().unwrap().ends_with(": hello"));
    drop(b);
    let since = Instant::now();
    loop {
        a.send(Message::text("again")).await.unwrap();
        hear(&mut a).await;
        if hear(&mut a).await.to_text().unwrap() == "heard by 1" {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "who left is still there");
    }
    // Who leaves asks its clients to come again.
    let own = platform.own().await;
    platform.server.process().hang_up();
    match hear(&mut a).await {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1001),
        other => panic!("{other:?}"),
    }
    drop(a);
    followed(platform.server.process(), "own", own).await;
    let mut c = talker(&platform).await;
    c.send(Message::text("back")).await.unwrap();
    assert!(hear(&mut c).await.to_text().unwrap().ends_with(": back"));
    platform.stop().await;
}
