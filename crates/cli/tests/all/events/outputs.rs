//! Answers that go to servers of others: as those see them.

use std::time::Duration;

use dayfly_testing::{Certificate, Mosquitto, Redis, Upstream};
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::app;
use crate::dayfly;

const SOON: Duration = Duration::from_secs(20);

/// A queue whose messages a command makes capitals of, which go to `output`.
fn passing_on(output: &str) -> String {
    format!(
        "[[trigger.queue]]\nid = \"in\"\nqueue = \"in\"\ncomponent = \"rust-command\"\n\
         output = \"{output}\"\nretry = {{ attempts = 1 }}\n"
    )
}

#[tokio::test]
async fn channels_of_redis_hear_answers() {
    let redis = Redis::start().await;
    let client = ::redis::Client::open(redis.url()).unwrap();
    let mut listener = client.get_async_pubsub().await.unwrap();
    listener.subscribe("answers").await.unwrap();
    let settings = format!("[application.trigger.redis]\naddress = \"{}\"\n", redis.url());
    let app = app(&(settings + &passing_on("redis://answers")), &["rust-hello", "rust-command"]);
    let server = dayfly().up(app.folder()).await;
    let sent = dayfly().args(["send", "in", "a word", "--state-dir"]).arg(server.state(""));
    sent.ends().await.with(0);
    let heard = timeout(SOON, listener.on_message().next()).await.unwrap().unwrap();
    assert_eq!(heard.get_payload_bytes(), b"A WORD");
    server.stop().await;
}

#[tokio::test]
async fn a_broker_that_the_output_names_hears_answers() {
    let broker = Mosquitto::start().await;
    let listener = broker.subscribe("answers/#").await;
    let output = format!("{}/answers/b", broker.url());
    let app = app(&passing_on(&output), &["rust-hello", "rust-command"]);
    let server = dayfly().up(app.folder()).await;
    let sent = dayfly().args(["send", "in", "a word", "--state-dir"]).arg(server.state(""));
    sent.ends().await.with(0);
    listener.message("answers/b 1 A WORD").await;
    server.stop().await;
}

/// A server that says what it was sent, and accepts it.
async fn sent_to(listener: &TcpListener, status: &str) -> String {
    let (mut stream, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"A WORD") {
        let mut piece = [0; 4096];
        let read = timeout(SOON, stream.read(&mut piece)).await.unwrap().unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&piece[..read]);
    }
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_server_gets_answers_in_binary_mode() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app =
        app(&passing_on(&format!("http://{address}/done?a=b")), &["rust-hello", "rust-command"]);
    let server = dayfly().up(app.folder()).await;
    let state = server.state("");
    let send = async || {
        let words = ["send", "in", "a word", "--subject", "größe", "--attribute", "customer=7"];
        dayfly().args(words).arg("--state-dir").arg(&state).ends().await
    };
    let (sent, request) = tokio::join!(send(), sent_to(&listener, "202 Accepted"));
    sent.with(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "A WORD");
    for line in [
        "POST /done?a=b HTTP/1.1",
        "ce-specversion: 1.0",
        "ce-type: dayfly.output",
        "ce-source: /test/rust-command",
        "ce-subject: gr%C3%B6%C3%9Fe",
        "ce-customer: 7",
        "ce-dayflyhops: 1",
    ] {
        assert!(head.lines().any(|it| it == line), "no {line} in {head}");
    }
    assert!(head.lines().any(|it| it.starts_with("ce-id: ")), "{head}");
    // A server that does not take it: the event is not handled.
    let (sent, _) = tokio::join!(send(), sent_to(&listener, "503 Service Unavailable"));
    let said = sent.with(1);
    assert!(said.contains("its output: the server answered with status 503"), "{said}");
    server.stop().await;
}

#[tokio::test]
async fn a_server_is_trusted_by_its_certificate() {
    let certificate = Certificate::new();
    let upstream = Upstream::start_tls(&certificate).await;
    let app = app(
        &passing_on(&format!("{}/done", upstream.named_url())),
        &["rust-hello", "rust-command"],
    );
    for (authority, status) in [(certificate.authority(), 0), ("/dev/null".into(), 1)] {
        let server = dayfly().env("SSL_CERT_FILE", authority).up(app.folder()).await;
        let sent = dayfly().args(["send", "in", "a word", "--json", "--state-dir"]);
        let told = sent.arg(server.state("")).ends().await.with_stdout(status);
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["outcome"], ["handled", "given up"][status as usize], "{told}");
        server.stop().await;
    }
}
