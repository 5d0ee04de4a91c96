//! The interfaces of Spin 1: a handler of `fermyon:spin/inbound-http` that calls out by
//! `fermyon:spin/http`.

use std::time::Duration;

use dayfly_testing::{App, Body, Running, Upstream};
use futures_util::future::join_all;
use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::dayfly;

const GUEST: &str = "rust-spin-1";

#[tokio::test]
async fn a_handler_answers_with_whole_bodies() {
    let app = App::of(GUEST);
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.text("/hello").await, "hello world");
    let body = "some text".repeat(100_000);
    assert_eq!(server.post("/echo", body.clone()).await.text(), body);
    let text = server.text("/headers?a=b").await;
    for line in ["method Method::Get\n", "uri /headers?a=b\n", "spin-path-info: /headers\n"] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    let cookies = server.get("/cookies").await;
    assert_eq!(cookies.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(server.get("/status?404").await.status, 404);
    for failure in ["/status?7", "/panic"] {
        assert_eq!(server.get(failure).await.status, 500, "{failure}");
    }
    let unknown = server.request(Method::from_bytes(b"PURGE").unwrap(), "/hello");
    assert_eq!(server.send(unknown.body(Body::empty())).await.status, 405);
    let head = server.request(Method::HEAD, "/hello");
    assert!(server.send(head.body(Body::empty())).await.body.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn headers_are_bounded_as_those_of_other_handlers_are() {
    let app = App::granted(GUEST, "limits = { headers = \"8KiB\" }");
    let server = dayfly().up(app.folder()).await;
    let answer = server.get("/many-headers?20").await;
    assert_eq!((answer.status, answer.header("x-19")), (200, ""));
    // Even without values they take room.
    assert_eq!(server.get("/many-headers?1000").await.status, 500);
    server.stderr().containing("its headers are larger than 8192 bytes").await;
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_the_host_would_have_to_hold_is_bounded() {
    let app = App::of(GUEST);
    let server = dayfly().up(app.folder()).await;
    let client = server.another_client();
    assert_eq!(client.post("/echo", vec![b'x'; (16 << 20) + 1]).await.status, 413);
    let streamed = futures_util::stream::iter((0..300).map(|_| vec![b'x'; 64 << 10].into()));
    let request = server.request(Method::POST, "/echo").body(Body::stream(streamed));
    assert_eq!(server.send(request).await.status, 413);
    // A connection of its own: those with a rest of a body unread are closed.
    assert_eq!(server.another_client().get("/large").await.status, 500);
    server.stop().await;
}

#[tokio::test]
async fn it_asks_what_it_was_granted() {
    let upstream = Upstream::start().await;
    let grant = format!("allowed_outbound_hosts = [\"{}\"]", upstream.url());
    let app = App::granted(GUEST, &grant);
    let server = dayfly().up(app.folder()).await;
    let path = format!("/fetch?url={}/path?a=b", upstream.url());
    let request = server.request(Method::POST, &path).header("x-own", "1");
    let text = server.send(request.body(Body::full("the body"))).await.text();
    assert!(text.starts_with("status 200\nPOST /path?a=b HTTP/1.1\n"), "{text}");
    assert!(text.contains("x-own: 1\n") && text.ends_with("\n\nthe body"), "{text}");
    assert!(text.contains("content-length: 8\n") && !text.contains("chunked"), "{text}");
    for (url, error) in [
        ("http://127.0.0.1:1/", "destination-not-allowed"),
        ("/hello", "destination-not-allowed"),
        ("http://self/hello", "destination-not-allowed"),
        ("no url", "invalid-url"),
        ("", "invalid-url"),
    ] {
        let answer = server.get(&format!("/fetch?url={}", url.replace(' ', "%20"))).await;
        assert!(answer.text().contains(error), "{url}: {}", answer.text());
    }
    server.stop().await;
}

#[tokio::test]
async fn it_calls_the_app_and_its_components() {
    let app = App::new(
        r#"
        dayfly = 1
        [application]
        name = "one"
        [[trigger.http]]
        route = "/..."
        component = "front"
        [[trigger.http]]
        route = { private = true }
        component = "back"
        [component.front]
        source = "guest:rust-spin-1"
        allowed_outbound_hosts = ["http://self", "http://back.spin.internal"]
        limits = { outbound = 3 }
        [component.back]
        source = "guest:rust-http"
        "#,
    );
    let server = dayfly().up(app.folder()).await;
    for url in ["/hello", "http://self/hello", "http://back.spin.internal/hello"] {
        let text = server.text(&format!("/fetch?url={url}")).await;
        assert_eq!(text, "status 200\nhello world", "{url}");
    }
    let text = server.text("/fetch?url=http://back.spin.internal/headers").await;
    assert!(text.contains("authority back.spin.internal\n"), "{text}");
    let text = server.text("/times?url=http://back.spin.internal/hello").await;
    assert!(text.starts_with("3 ") && text.contains("too-many-requests"), "{text}");
    let answer = server.get("/fetch?url=http://back.spin.internal/large?bytes=20000000").await;
    assert!(answer.text().contains("runtime-error"), "{}", answer.text());
    server.stop().await;
}

/// Sends so much of a body of the largest size as is taken, and gives what is answered.
async fn unfinished(server: &Running, head: &str, piece: &[u8], pieces: usize) -> String {
    let (mut answer, mut request) = server.connect().await.into_split();
    let writes = async {
        request.write_all(head.as_bytes()).await?;
        for _ in 0..pieces {
            request.write_all(piece).await?;
        }
        std::io::Result::Ok(())
    };
    let mut text = [0; 12];
    let reads = async {
        let _ = timeout(Duration::from_secs(25), answer.read_exact(&mut text)).await;
    };
    // One that is refused need not be read to its end.
    tokio::join!(reads, async { drop(timeout(Duration::from_secs(25), writes).await) });
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn bodies_that_the_host_holds_are_bounded_together() {
    const CLIENTS: usize = 24;
    const LENGTH: usize = 16 << 20;
    let app = App::granted(GUEST, "limits = { concurrency = 1000, time = \"20s\" }");
    let command = dayfly().args(["up", "--body-memory", "64MiB"]).arg(app.folder());
    let server = command.serve().await;
    assert_eq!(server.text("/hello").await, "hello world");
    let before = server.process().resident_bytes();
    server.process().forget_peak();
    let letters = "x".repeat(64 << 10);
    let chunk = format!("10000\r\n{letters}\r\n");
    let to = server.authority();
    let head = |header: &str| format!("POST /echo HTTP/1.1\r\nhost: {to}\r\n{header}\r\n\r\n");
    let stated = head(&format!("content-length: {LENGTH}"));
    let chunked = head("transfer-encoding: chunked");
    // All but a last piece, by which the guest would begin.
    let pieces = LENGTH / letters.len() - 1;
    let clients = (0..CLIENTS).map(|number| match number % 2 {
        0 => unfinished(&server, &stated, letters.as_bytes(), pieces),
        _ => unfinished(&server, &chunked, chunk.as_bytes(), pieces),
    });
    let small = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        server.another_client().post("/echo", "a small one").await.text()
    };
    let (answers, small) = tokio::join!(join_all(clients), small);
    assert_eq!(small, "a small one");
    let refused = answers.iter().filter(|answer| *answer == "HTTP/1.1 503").count();
    assert!(refused > CLIENTS / 2, "{answers:?}");
    let peak = server.process().peak_resident_bytes().saturating_sub(before);
    assert!(peak < 160 << 20, "{} MiB", peak >> 20);
    let whole = server.another_client().post("/hello", vec![b'x'; LENGTH]).await;
    assert_eq!(whole.text(), "hello world", "there is room again");
    server.stop().await;
}

#[tokio::test]
async fn answers_that_nobody_takes_are_bounded_together() {
    const CLIENTS: usize = 80;
    const LENGTH: usize = 7 << 20;
    let app = App::of(GUEST);
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.text("/hello").await, "hello world");
    let before = server.process().resident_bytes();
    server.process().forget_peak();
    let letters = vec![b'x'; LENGTH];
    let head = format!(
        "POST /echo HTTP/1.1\r\nhost: {}\r\ncontent-length: {LENGTH}\r\n\r\n",
        server.authority()
    );
    let (mut clients, mut refused) = (Vec::new(), 0);
    for _ in 0..CLIENTS {
        let mut client = server.connect().await;
        client.write_all(head.as_bytes()).await.unwrap();
        // Who is refused at once need not be taken from.
        if client.write_all(&letters).await.is_err() {
            refused += 1;
            continue;
        }
        let mut status = [0; 12];
        client.read_exact(&mut status).await.unwrap();
        match &status {
            b"HTTP/1.1 200" => clients.push(client),
            b"HTTP/1.1 503" => refused += 1,
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
        if refused > 0 {
            break;
        }
    }
    // What the system keeps of each for its client differs; two of the last are held as well.
    assert!((20..=60).contains(&clients.len()), "{} of them are held", clients.len());
    assert_eq!(refused, 1);
    let peak = server.process().peak_resident_bytes().saturating_sub(before);
    assert!(peak < 400 << 20, "{} MiB", peak >> 20);
    drop(clients);
    let letters = vec![b'x'; LENGTH];
    for _ in 0..100 {
        if server.another_client().post("/echo", letters.clone()).await.status == 200 {
            return drop(server.stop().await);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("what was held for clients that are gone stays held");
}
