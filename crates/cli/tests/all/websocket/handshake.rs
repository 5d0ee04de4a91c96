//! Who may connect, and what the handler has to do with it.

use http::StatusCode;

use super::{Client, app, up};
use crate::dayfly;

#[tokio::test]
async fn the_handler_says_who_may() {
    let (_app, server) = up("true").await;
    let refused = Client::try_connect(&server, "/chat/a?deny=401", &[]).await.err().unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let refused = Client::try_connect(&server, "/chat/a?deny=302", &[]).await.err().unwrap();
    assert_eq!(refused.status(), StatusCode::FOUND);
    let headers = [("cookie", "who=me"), ("ce-path", "/forged"), ("spin-path-info", "forged")];
    let (mut client, _) =
        Client::try_connect(&server, "/chat/a?facts", &headers).await.ok().unwrap();
    assert_eq!(client.text().await, "/chat/a|who=me||/a|", "what the handler knows of it");
    server.stop().await;
}

#[tokio::test]
async fn pages_of_other_origins_may_not() {
    let (_app, server) = up("{ origins = [\"https://friend.example\"] }").await;
    let same = format!("http://{}", server.authority());
    for origin in [&*same, "https://friend.example"] {
        let connected = Client::try_connect(&server, "/chat/a", &[("origin", origin)]).await;
        assert!(connected.is_ok(), "{origin}");
    }
    for origin in ["https://foe.example", "http://friend.example", "null"] {
        let refused = Client::try_connect(&server, "/chat/a", &[("origin", origin)]).await;
        assert_eq!(refused.err().unwrap().status(), StatusCode::FORBIDDEN, "{origin}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_protocol_on_top_is_agreed_on() {
    let (_app, server) = up("true").await;
    let offered = [("sec-websocket-protocol", "one, two")];
    let connected = Client::try_connect(&server, "/chat/a?protocol=two", &offered).await;
    assert_eq!(connected.ok().unwrap().1["sec-websocket-protocol"], "two");
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_websocket_is_told_what_to_be() {
    let (_app, server) = up("true").await;
    let answer = server.get("/chat/a").await;
    assert_eq!(answer.status, 426);
    assert_eq!(answer.header("upgrade"), "websocket");
    assert_eq!(server.http2().get("/chat/a").await.status, 426);
    let old = [("sec-websocket-version", "8")];
    let refused = Client::try_connect(&server, "/chat/a", &old).await.err().unwrap();
    assert_eq!(refused.status(), StatusCode::UPGRADE_REQUIRED);
    assert_eq!(refused.headers()["sec-websocket-version"], "13");
    // Elsewhere nothing is upgraded.
    let refused = Client::try_connect(&server, "/other", &[]).await.err().unwrap();
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
    server.stop().await;
}

#[tokio::test]
async fn connections_are_bounded() {
    let app = app("{ connections = 2 }", "");
    let server = dayfly().up(app.folder()).await;
    let first = Client::connect(&server, "/chat/a").await;
    let _second = Client::connect(&server, "/chat/a").await;
    let refused = Client::try_connect(&server, "/chat/a", &[]).await.err().unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    drop(first);
    super::messages::until("its place is free", async || {
        Client::try_connect(&server, "/chat/a", &[]).await.ok().map(drop)
    })
    .await;
    server.stop().await;
    let server = dayfly().args(["up", "--max-websockets", "1"]).arg(app.folder()).serve().await;
    let _first = Client::connect(&server, "/chat/a").await;
    let refused = Client::try_connect(&server, "/chat/a", &[]).await.err().unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    server.stop().await;
}
