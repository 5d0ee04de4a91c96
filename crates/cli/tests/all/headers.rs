//! The headers that Spin hands to its guests, exactly as Spin gives them.

use std::collections::BTreeMap;

use dayfly_testing::{App, Running};

use crate::dayfly;

/// One guest on several routes.
fn app(routes: &[&str]) -> App {
    let triggers: String = routes
        .iter()
        .map(|route| format!("[[trigger.http]]\nroute = {route:?}\ncomponent = \"guest\"\n"))
        .collect();
    App::spin(&format!(
        "spin_manifest_version = 2\n[application]\nname = \"test\"\n{triggers}\
         [component.guest]\nsource = \"guest:rust-p3-echo\"\n"
    ))
}

/// The headers that the guest was given, the query kept apart from the path `/headers`.
async fn given(server: &Running, path: &str, headers: &[(&str, &str)]) -> BTreeMap<String, String> {
    let text = server.get_with(path, headers).await.text();
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[tokio::test]
async fn a_trailing_route_tells_its_rest() {
    let app = app(&["/..."]);
    let server = dayfly().up(app.folder()).await;
    let headers = given(&server, "/headers?a=b&c", &[]).await;
    assert_eq!(headers["spin-path-info"], "/headers");
    assert_eq!(headers["spin-full-url"], format!("{}/headers?a=b&c", server.base()));
    assert_eq!(headers["spin-matched-route"], "/...");
    assert_eq!(headers["spin-base-path"], "/");
    assert_eq!(headers["spin-raw-component-route"], "/...");
    assert_eq!(headers.get("spin-component-route").map_or("", |route| route), "");
    let client = &headers["spin-client-addr"];
    assert!(client.starts_with("127.0.0.1:") && client.len() > "127.0.0.1:".len(), "{client}");
    server.stop().await;
}

#[tokio::test]
async fn a_route_without_a_rest_has_an_empty_path_info() {
    let app = app(&["/headers"]);
    let server = dayfly().up(app.folder()).await;
    let headers = given(&server, "/headers", &[]).await;
    assert_eq!(headers.get("spin-path-info").map_or("", |info| info), "");
    assert_eq!(headers["spin-matched-route"], "/headers");
    assert_eq!(headers["spin-raw-component-route"], "/headers");
    assert_eq!(headers["spin-component-route"], "/headers");
    server.stop().await;
}

#[tokio::test]
async fn a_parameter_reaches_an_http_guest_as_a_header() {
    let app = app(&["/:user_name"]);
    let server = dayfly().up(app.folder()).await;
    let headers = given(&server, "/headers", &[]).await;
    assert_eq!(headers["spin-path-match-user-name"], "headers");
    assert_eq!(headers["spin-matched-route"], "/:user_name");
    assert_eq!(headers["spin-component-route"], "/:user_name");
    server.stop().await;
}

#[tokio::test]
async fn a_client_cannot_forge_them() {
    let app = app(&["/:name/...", "/headers"]);
    let server = dayfly().up(app.folder()).await;
    let forged = [
        ("spin-path-info", "/forged"),
        ("spin-full-url", "http://forged/"),
        ("spin-client-addr", "1.2.3.4:5"),
        ("spin-component-route", "/forged"),
        ("spin-path-match-other", "forged"),
    ];
    let headers = given(&server, "/headers", &forged).await;
    assert!(!headers.values().any(|value| value.contains("forged")), "{headers:?}");
    assert!(headers["spin-client-addr"].starts_with("127.0.0.1:"));
    server.stop().await;
}

#[tokio::test]
async fn the_full_url_follows_the_host_that_the_client_named() {
    let app = app(&["/..."]);
    let server = dayfly().up(app.folder()).await;
    let headers = given(&server, "/headers", &[("host", "example.com")]).await;
    assert_eq!(headers["spin-full-url"], "http://example.com/headers");
    for internal in ["cart.spin.internal", "cart.SPIN.internal.:80"] {
        let headers = given(&server, "/headers", &[("host", internal)]).await;
        assert_eq!(headers["spin-full-url"], "http://localhost/headers");
    }
    server.stop().await;
}

#[tokio::test]
async fn headers_pass_both_ways_as_they_are() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    let answer = server.get_with("/headers", &[("x-two", "a"), ("x-two", "b"), ("x-empty", "")]);
    let text = answer.await.text();
    assert!(text.contains("x-two: a\nx-two: b\n"), "{text}");
    assert!(text.contains("x-empty: \n"), "{text}");
    let request = server.request(http::Method::POST, "/echo").header("content-type", "a/b");
    let echoed = server.send(request.body(dayfly_testing::Body::full("x"))).await;
    assert_eq!(echoed.header("content-type"), "a/b");
    assert!(!echoed.headers.contains_key("server"), "{:?}", echoed.headers);
    server.stop().await;
}

#[tokio::test]
async fn every_function_of_headers_and_options_does_its_work() {
    // Too large is an error of WASI 0.3; in 0.2, which has none for it, the guest ends.
    for (guest, deleted, large) in [
        ("rust-http", "delete done", None),
        ("rust-p3-echo", "get-and-delete Ok([[52], [53]])", Some("large refused")),
    ] {
        let app = App::of(guest);
        let server = dayfly().up(app.folder()).await;
        let mut expected = vec![
            "append done",
            "append done",
            "set done",
            "set InvalidSyntax",
            "has true false",
            "get [[49], [50]]",
            deleted,
            "delete done",
            "all []",
            "copy [(\"a\", [49]), (\"a\", [50]), (\"b\", [51])]",
            "received Immutable",
        ];
        expected.extend(large);
        expected.push("options true [Some(1), Some(2), None]");
        let text = server.text("/fields").await;
        assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{guest}");
        server.stop().await;
    }
}
