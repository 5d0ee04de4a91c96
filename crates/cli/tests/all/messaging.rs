//! Messages: a real guest, real servers.

use std::time::{Duration, Instant};

use dayfly_testing::{App, Certificate, Collector, Dayfly, Mosquitto, Nats, Redis, Running};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::dayfly;

const GUEST: &str = "rust-interfaces";
const GRANT: &str = "messaging = [\"orders\"]";

fn client(name: &str, kind: &str, url: &str, rest: &str) -> String {
    format!("[messaging.{name}]\ntype = \"{kind}\"\nurl = \"{url}\"\n{rest}\n")
}

fn command(lines: &str, config: &str) -> (Dayfly, App) {
    let app = App::granted(GUEST, lines).file("c.toml", config);
    let command = dayfly().arg("up").arg("--runtime-config-file").arg(app.path("c.toml"));
    (command.arg(app.folder()), app)
}

async fn up(lines: &str, config: &str) -> (App, Running) {
    let (command, app) = command(lines, config);
    (app, command.serve().await)
}

async fn up_nats(nats: &Nats) -> (App, Running) {
    up(GRANT, &client("orders", "nats", &nats.url(), "")).await
}

/// The answer to a call that must fail with the interface's error.
async fn refused(server: &Running, path: &str, error: &str) {
    let answer = server.get(path).await;
    assert_eq!(answer.status, 502, "{path}: {}", answer.text());
    assert!(answer.text().contains(error), "{path}: no {error} in {}", answer.text());
}

const ALL: &str = r#"topic None
content-type None
metadata None
content-type Some("text/plain")
metadata Some([("a", "2"), ("b", "3")])
metadata Some([("b", "3")])
metadata Some([("c", "4")])
data "second"
reply Ok(())
send Ok(())
request Ok(["question 1 Some(\"_INBOX\") Some(\"text/x\") Some([(\"number\", \"7\")])"])
disconnect Ok(())
disconnect Err(Error::Connection("the client is disconnected"))
send Err(Error::Connection("the client is disconnected"))
"#;

#[tokio::test]
async fn every_function_does_its_work() {
    let nats = Nats::start().await;
    let mut listener = nats.listen("orders.>").await;
    let echo = nats.echo("echo", 1).await;
    let (_app, server) = up_nats(&nats).await;
    assert_eq!(server.text("/messages/all?topic=orders.new").await, ALL);
    let heard = listener.hear().await;
    assert_eq!((heard.subject.as_str(), heard.reply), ("orders.new", None));
    assert_eq!(heard.headers, "Content-Type: text/plain\r\nc: 4");
    assert_eq!(heard.data, b"second");
    echo.abort();
    server.stop().await;
}

#[tokio::test]
async fn a_message_says_where_in_a_trace_it_is() {
    let (nats, collector) = (Nats::start().await, Collector::start().await);
    let mut listener = nats.listen("orders.>").await;
    let (command, _app) = command(GRANT, &client("orders", "nats", &nats.url(), ""));
    let server = command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()).serve().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-";
    let parent = format!("{trace}b7ad6b7169203331-01");
    let path = "/messages/send?topic=orders.new";
    assert_eq!(server.get_with(path, &[("traceparent", &parent)]).await.status, 200);
    let headers = listener.hear().await.headers;
    assert!(headers.contains(&format!("traceparent: {trace}")), "{headers}");
    assert!(!headers.contains(&parent), "it is beneath the request: {headers}");
    server.stop().await;
}

#[tokio::test]
async fn requests_wait_for_replies_and_no_longer_than_they_may() {
    let nats = Nats::start().await;
    let echo = nats.echo("echo", 3).await;
    let mut thanks = nats.listen("thanks.>").await;
    let silent = nats.listen("silent").await;
    let (_app, server) = up_nats(&nats).await;
    let ask = |rest: &str| format!("/messages/request?{rest}");
    for (rest, replies) in [("", 1), ("&replies=2", 2), ("&replies=3&timeout=20000", 3)] {
        let text = server.post(&ask(&format!("topic=echo{rest}")), "hi").await.text();
        assert_eq!(text.lines().count(), replies, "{text}");
        assert!(text.starts_with("hi 1 Some(\"_INBOX\")"), "{text}");
    }
    // What came in time is given when the time is over.
    let text = server.post(&ask("topic=echo&replies=5&timeout=700"), "hi").await.text();
    assert_eq!(text.lines().count(), 3, "{text}");
    let began = Instant::now();
    refused(&server, &ask("topic=silent&timeout=300"), "Error::Timeout").await;
    assert!(began.elapsed() < Duration::from_secs(5));
    refused(&server, &ask("topic=nobody.there"), "nobody answers requests").await;
    refused(&server, &ask("topic=echo&replies=257"), "at most 256 replies").await;
    // Replies can be replied to.
    server.post(&ask("topic=echo&reply=yes"), "hi").await;
    let heard = thanks.hear().await;
    assert_eq!((heard.subject.as_str(), &heard.data[..]), ("thanks.here", &b"thanks"[..]));
    drop(silent);
    echo.abort();
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_granted_is_refused() {
    let nats = Nats::start().await;
    let app = App::of(GUEST);
    let server = dayfly().up(app.folder()).await;
    refused(&server, "/messages/connect", "PermissionDenied").await;
    server.stop().await;
    let config = client("orders", "nats", &nats.url(), "")
        + &client("mail", "nats", &nats.url(), "topics = [\"mail.*\", \"bell\"]");
    let (_app, server) = up(GRANT, &config).await;
    for other in ["mail", "default", "ORDERS", "", "orders/.."] {
        let path = format!("/messages/send?client={other}");
        refused(&server, &path, "PermissionDenied(\"the client is not granted\")").await;
    }
    server.stderr().containing("`messaging` does not grant this client").await;
    for topic in ["$SYS.REQ.SERVER.PING", "$JS.API.STREAM.NAMES", "_INBOX.x"] {
        refused(&server, &format!("/messages/send?topic={topic}"), "is not open").await;
        refused(&server, &format!("/messages/request?topic={topic}"), "is not open").await;
    }
    server.stop().await;
    // Only the topics that the operator opens.
    let (_app, server) = up("messaging = [\"mail\"]", &config).await;
    for open in ["mail.out", "bell"] {
        let path = format!("/messages/send?client=mail&topic={open}");
        assert_eq!(server.text(&path).await, "sent");
    }
    for closed in ["mail", "bells", "orders"] {
        let path = format!("/messages/send?client=mail&topic={closed}");
        refused(&server, &path, "PermissionDenied(\"the topic is not open").await;
    }
    server.stop().await;
    // A client that nobody defined.
    let (command, _app) = command("messaging = [\"films\"]", &config);
    let said = command.ends().await.with(1);
    assert!(said.contains("no server is behind the messaging client `films`"), "{said}");
}

#[tokio::test]
async fn beyond_a_limit_is_an_error() {
    let nats = Nats::start().await;
    let (_app, server) = up_nats(&nats).await;
    let send = |rest: &str| format!("/messages/send?{rest}");
    refused(&server, &send("bytes=1048577"), "takes messages of at most 1048576 bytes").await;
    refused(&server, &send("bytes=4194305"), "a message may have 4 MiB").await;
    assert_eq!(server.text(&send("bytes=1048576")).await, "sent");
    refused(&server, &send(&format!("topic={}", "x".repeat(1025))), "a topic has 1 to 1024").await;
    for topic in ["a..b", "a.*", "%3E", "a%20b", "a%0D%0APUB%20x%200", "."] {
        refused(&server, &send(&format!("topic={topic}")), "words joined by `.`").await;
    }
    for metadata in ["key=a%3Ab", "key=a&value=b%0D%0Ac%3A%20d", "key=%20", "key=gr%C3%B6%C3%9Fe"] {
        refused(&server, &send(metadata), "the server can carry").await;
    }
    refused(&server, "/messages/metadata?count=65", "64 metadata").await;
    assert_eq!(server.text("/messages/metadata?count=64").await, "sent");
    // What messages take of memory is bounded; the guest that wants more ends.
    assert_eq!(server.text("/messages/hold?bytes=1000000&times=50").await, "50 held");
    let answer = server.get("/messages/hold?bytes=1000000&times=80").await;
    assert_eq!(answer.status, 500, "{}", answer.text());
    server.stop().await;
    let (_app, server) = up(
        &format!("{GRANT}\nlimits = {{ outbound = 3 }}"),
        &client("orders", "nats", &nats.url(), ""),
    )
    .await;
    assert_eq!(server.text("/messages/connect?times=3").await, "3 connected");
    refused(&server, "/messages/connect?times=4", "are used up").await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_fails_is_an_error_and_the_next_call_after_it_is_back_works() {
    let mut nats = Nats::start().await;
    let (_app, server) = up_nats(&nats).await;
    for _ in 0..3 {
        assert_eq!(server.post("/messages/send", "one").await.text(), "sent");
    }
    nats.kill().await;
    for call in ["send", "request", "connect"] {
        refused(&server, &format!("/messages/{call}"), "Error::Connection").await;
    }
    nats.restart().await;
    let mut listener = nats.listen("orders.new").await;
    assert_eq!(server.post("/messages/send", "two").await.text(), "sent");
    assert_eq!(listener.hear().await.data, b"two");
    server.stop().await;
}

#[tokio::test]
async fn passwords_are_the_operators_and_permissions_the_servers() {
    let nats = Nats::with_password("shop", "hunter2").await;
    let url = nats.url().replace("//", "//shop:hunter2@");
    let (_app, server) = up(GRANT, &client("orders", "nats", &url, "")).await;
    assert_eq!(server.text("/messages/send").await, "sent");
    let closed = "/messages/send?topic=closed";
    refused(&server, closed, "PermissionDenied(\"the server does not permit it\")").await;
    assert_eq!(server.text("/messages/send").await, "sent");
    server.stop().await;
    let (_app, server) = up(GRANT, &client("orders", "nats", &url.replace("r2", "r3"), "")).await;
    refused(&server, "/messages/send", "refuses to be logged in to").await;
    server.stderr().containing("Authorization Violation").await;
    let log = server.stderr().text();
    assert!(!log.contains("hunter"), "{log}");
    server.stop().await;
}

#[tokio::test]
async fn a_server_may_want_tls() {
    let certificate = Certificate::new();
    let nats = Nats::with_tls(&certificate).await;
    // In the clear it is refused, and so is a certificate that nobody vouches for.
    for url in [nats.url(), nats.url().replace("nats://", "tls://")] {
        let (_app, server) = up(GRANT, &client("orders", "nats", &url, "")).await;
        refused(&server, "/messages/send", "the server is not reached").await;
        server.stop().await;
    }
    let url = nats.url().replace("nats://127.0.0.1", "tls://localhost");
    let (command, _app) = command(GRANT, &client("orders", "nats", &url, ""));
    let server = command.env("SSL_CERT_FILE", certificate.authority()).serve().await;
    assert_eq!(server.text("/messages/send").await, "sent");
    server.stop().await;
}

/// Reads until something was said.
async fn read_until(stream: &mut TcpStream, read: &mut Vec<u8>, text: &str) {
    let reading = async {
        while !String::from_utf8_lossy(read).contains(text) {
            assert_ne!(stream.read_buf(read).await.unwrap(), 0, "it was closed");
        }
    };
    timeout(Duration::from_secs(30), reading).await.expect("it is said in time");
}

#[tokio::test]
async fn redis_channels_carry_messages() {
    let mut redis = Redis::start().await;
    let (_app, server) = up(GRANT, &client("orders", "redis", &redis.url(), "")).await;
    let mut listener = TcpStream::connect(redis.authority()).await.unwrap();
    listener.write_all(b"SUBSCRIBE orders.new\r\n").await.unwrap();
    let mut heard = Vec::new();
    read_until(&mut listener, &mut heard, ":1\r\n").await;
    assert_eq!(server.post("/messages/send?key=a&value=b", "hello redis").await.text(), "sent");
    read_until(&mut listener, &mut heard, "$10\r\norders.new\r\n$11\r\nhello redis\r\n").await;
    refused(&server, "/messages/request", "Redis has no requests and replies").await;
    redis.kill().await;
    refused(&server, "/messages/send", "Error::Connection").await;
    redis.restart().await;
    assert_eq!(server.post("/messages/send", "again").await.text(), "sent");
    server.stop().await;
}

#[tokio::test]
async fn mqtt_topics_carry_messages() {
    let mut broker = Mosquitto::with_password("shop", "hunter2").await;
    let url = format!("mqtt://shop:hunter2@127.0.0.1:{}", broker.port());
    let (_app, server) = up(GRANT, &client("orders", "mqtt", &url, "")).await;
    let subscriber = broker.subscribe("orders/#").await;
    let send = "/messages/send?topic=orders/new";
    assert_eq!(server.post(send, "hello mqtt").await.text(), "sent");
    subscriber.message("orders/new 1 hello mqtt").await;
    refused(&server, "/messages/request", "MQTT has no requests and replies").await;
    refused(&server, "/messages/send?topic=a%23", "none of `#`").await;
    broker.kill().await;
    refused(&server, send, "Error::Connection").await;
    broker.restart().await;
    assert_eq!(server.post(send, "again").await.text(), "sent");
    server.stop().await;
    let wrong = client("orders", "mqtt", &url.replace("r2", "r3"), "");
    let (_app, server) = up(GRANT, &wrong).await;
    refused(&server, send, "refuses to be logged in to").await;
    assert!(!server.stderr().text().contains("hunter"));
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_an_error() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = other.accept().await {
            let _ = stream.write_all(b"220 mail.example.com ESMTP\r\n").await;
        }
    });
    for kind in ["nats", "redis", "mqtt"] {
        let url = format!("{kind}://{address}");
        let (_app, server) = up(GRANT, &client("orders", kind, &url, "")).await;
        refused(&server, "/messages/send", "Error::").await;
        server.stop().await;
    }
}
