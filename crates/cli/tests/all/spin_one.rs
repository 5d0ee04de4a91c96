//! The interfaces of Spin 1: a handler of `fermyon:spin/inbound-http` that calls out by
//! `fermyon:spin/http`.

use dayfly_testing::{App, Body, Upstream};
use http::Method;

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
