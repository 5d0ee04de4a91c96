//! `wss://`, by a client that speaks TLS itself.

use dayfly_testing::Certificate;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::app;
use crate::dayfly;

#[tokio::test]
async fn a_client_talks_by_tls() {
    let (app, certificate) = (app("true", ""), Certificate::new());
    let command = dayfly().args(["up", "--tls-cert"]).arg(certificate.chain());
    let command = command.arg("--tls-key").arg(certificate.key()).arg(app.folder());
    let server = command.serve().await;
    let stranger = Certificate::new();
    assert!(stranger.connect(server.connect().await).await.is_err(), "another authority");
    let stream = certificate.connect(server.connect().await).await.unwrap();
    let (mut socket, _) = client_async("wss://localhost/chat/a", stream).await.unwrap();
    // Longer than a record.
    for text in ["hello".to_owned(), "x".repeat(100_000)] {
        socket.send(Message::text(&text)).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
    }
    // It is told when the server ends.
    let told = async {
        let closed = socket.next().await.unwrap().unwrap();
        assert!(matches!(&closed, Message::Close(Some(frame)) if u16::from(frame.code) == 1001));
        // Its answer goes with the next look.
        let _ = socket.next().await;
    };
    tokio::join!(server.stop(), told);
}
