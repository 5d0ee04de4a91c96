//! Every guest of the table answers: each language, toolchain and version of the interfaces.

use std::collections::BTreeSet;

use dayfly_testing::{App, Running, Upstream, workspace};

use crate::dayfly;

/// The guests that tests use, whose shape is HTTP or a command; the rest stand below.
const SERVED: &[&str] = &[
    "assemblyscript-command",
    "c-command",
    "c-http",
    "go-command",
    "js-componentize",
    "js-spin",
    "python-http",
    "python-spin-3",
    "python-spin-5",
    "rust-command",
    "rust-hello",
    "rust-http",
    "rust-p2-command",
    "rust-p3-command",
    "rust-p3-echo",
    "rust-spin-2",
    "rust-spin-3",
    "rust-spin-5",
    "rust-spin-6",
    "rust-spin-7",
    "rust-wstd",
    "zig-command",
];

/// Guests for the tests of other commands, and those that do nothing but harm.
const OTHERS: &[&str] = &[
    "c-frozen",
    "hostile",
    "hostile-p3",
    "js-websocket",
    "rust-chat",
    "rust-composed",
    "rust-composed-p3",
    "rust-cron",
    "rust-events",
    "rust-gate",
    "rust-interfaces",
    "rust-library",
    "rust-messaging",
    "rust-middleware",
    "rust-pages",
    "rust-redis-3",
    "rust-redis-7",
    "rust-spin-1",
    "rust-typed",
    "rust-websocket",
];

#[test]
fn no_guest_is_left_out() {
    let entries = std::fs::read_dir(workspace().join("guests")).unwrap();
    let folders = entries.map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| entry.file_name().into_string().unwrap());
    let guests: BTreeSet<String> =
        names.filter(|name| name != "wit" && !name.starts_with('.')).collect();
    let used: BTreeSet<String> = SERVED.iter().chain(OTHERS).map(|name| name.to_string()).collect();
    assert_eq!(guests, used, "the guests there are, and those that tests use");
}

/// Starts a guest that may reach `upstream`.
async fn start(guest: &str, upstream: &Upstream) -> (App, Running) {
    let hosts = format!("allowed_outbound_hosts = [\"{}\"]", upstream.url());
    let app = App::granted(guest, &hosts);
    let server = dayfly().up(app.folder()).await;
    (app, server)
}

/// What almost every HTTP guest does: the same as all, and a fetch.
async fn answers_http(guest: &str) {
    let upstream = Upstream::start().await;
    let (_app, server) = start(guest, &upstream).await;
    answers(&server).await;
    let fetched = server.text(&format!("/fetch?url={}/ask", upstream.url())).await;
    assert!(fetched.contains("GET /ask HTTP/1.1"), "{fetched}");
    server.stop().await;
}

/// What every HTTP guest does: a greeting, an echo, its headers, an unknown path.
async fn answers(server: &Running) {
    assert_eq!(server.text("/hello").await, "hello world");
    echoes(server).await;
    let headers = server.get_with("/headers", &[("x-one", "two")]).await.text();
    assert!(headers.contains("x-one: two"), "{headers}");
    assert!(headers.contains("spin-path-info: /headers"), "{headers}");
    assert_eq!(server.get("/nowhere").await.status, 404);
}

/// A body of some size comes back as it was.
async fn echoes(server: &Running) {
    let body: Vec<u8> = (0..300_000_u32).map(|index| (index % 253) as u8).collect();
    let echoed = server.post("/echo", body.clone()).await;
    assert_eq!(echoed.status, 200);
    assert!(echoed.body == body, "{} bytes came back", echoed.body.len());
}

/// What every command does under CGI: its arguments, its variables, its input.
async fn answers_cgi(guest: &str) {
    let app = App::granted(guest, "environment = { COLOUR = \"red\" }");
    let server = dayfly().up(app.folder()).await;
    let answer = server.post("/some/where?a=b", "the input").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    for line in ["GATEWAY_INTERFACE=CGI/1.1", "REQUEST_METHOD=POST", "COLOUR=red", "arg 1 a=b"] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in {text}");
    }
    assert!(text.ends_with("input\nthe input"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn rust_with_the_wasi_crate() {
    let app = App::of("rust-hello");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.text("/").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn rust_for_wasip2() {
    answers_http("rust-http").await;
}

#[tokio::test]
async fn rust_with_wstd() {
    answers_http("rust-wstd").await;
}

#[tokio::test]
async fn rust_with_spin_sdk_2_on_a_release_candidate() {
    answers_http("rust-spin-2").await;
}

#[tokio::test]
async fn rust_with_spin_sdk_3() {
    let app = App::of("rust-spin-3");
    let server = dayfly().up(app.folder()).await;
    answers(&server).await;
    assert_eq!(server.text("/hello/you").await, "hello you");
    server.stop().await;
}

#[tokio::test]
async fn rust_with_spin_sdk_5() {
    answers_http("rust-spin-5").await;
}

#[tokio::test]
async fn rust_with_spin_sdk_7_on_wasi_0_3() {
    answers_http("rust-spin-7").await;
}

#[tokio::test]
async fn rust_with_spins_sdk_6() {
    answers_http("rust-spin-6").await;
}

#[tokio::test]
async fn rust_on_wasi_0_3_without_an_sdk() {
    let app = App::of("rust-p3-echo");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.text("/hello").await, "hello world");
    echoes(&server).await;
    let headers = server.text("/headers").await;
    assert!(headers.contains(&format!("authority {}", server.authority())), "{headers}");
    assert!(headers.contains("spin-path-info: /headers"), "{headers}");
    server.stop().await;
}

#[tokio::test]
async fn javascript_with_componentize_js() {
    answers_http("js-componentize").await;
}

#[tokio::test]
async fn javascript_with_spins_tools() {
    answers_http("js-spin").await;
}

#[tokio::test]
async fn python_with_plain_wasi_http() {
    answers_http("python-http").await;
}

#[tokio::test]
async fn python_with_spin_sdk_3() {
    answers_http("python-spin-3").await;
}

#[tokio::test]
async fn python_with_spin_sdk_5_on_wasi_0_3() {
    answers_http("python-spin-5").await;
}

#[tokio::test]
async fn rust_as_a_core_command() {
    answers_cgi("rust-command").await;
}

#[tokio::test]
async fn rust_as_a_command_component() {
    answers_cgi("rust-p2-command").await;
}

#[tokio::test]
async fn c_as_a_command() {
    answers_cgi("c-command").await;
}

#[tokio::test]
async fn c_with_wit_bindgen() {
    answers_http("c-http").await;
}

#[tokio::test]
async fn rust_as_a_command_on_wasi_0_3() {
    answers_cgi("rust-p3-command").await;
}

#[tokio::test]
async fn zig_as_a_command() {
    answers_cgi("zig-command").await;
}

#[tokio::test]
async fn go_as_a_command() {
    answers_cgi("go-command").await;
}

#[tokio::test]
async fn assemblyscript_as_a_command() {
    answers_cgi("assemblyscript-command").await;
}

#[tokio::test]
async fn pages_that_are_measured_beside_scripts_are_the_scripts_own() {
    for (guest, script) in [("js-componentize", "page.js"), ("python-http", "page.py")] {
        let app = App::of(guest);
        let component = dayfly().up(app.folder()).await;
        let file = workspace().join("bench/scripts").join(script);
        let interpreted = crate::scripts::with_interpreters().up(file).await;
        let page = |text: String| -> serde_json::Value { serde_json::from_str(&text).unwrap() };
        let one = page(component.text("/page").await);
        let other = page(interpreted.text("/page").await);
        for part in ["html", "items"] {
            assert_eq!(one[part], other[part], "{guest}");
            assert!(!one[part].is_null(), "{guest}");
        }
        component.stop().await;
        interpreted.stop().await;
    }
}
