//! Commands under CGI/1.1, which Spin calls wagi: variables, arguments, and what their output says.

use std::collections::BTreeMap;

use dayfly_testing::{App, Running};
use http::Method;

use crate::dayfly;

/// `rust-command` on a route, with further lines in its trigger.
fn app(route: &str, trigger: &str) -> App {
    App::spin(&format!(
        "spin_manifest_version = 2\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = {route:?}\ncomponent = \"command\"\n{trigger}\n\
         [component.command]\nsource = \"guest:rust-command\"\nenvironment = {{ OWN = \"yes\" }}\n"
    ))
}

/// The variables in the guest's description of its request.
fn variables(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().take_while(|line| *line != "input");
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The arguments in the guest's description of its request.
fn arguments(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("arg "));
    lines.filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect()
}

/// Asks with a header and a body.
async fn describe(server: &Running, target: &str) -> String {
    let request = server
        .request(Method::PUT, target)
        .header("content-type", "text/x-test")
        .header("x-one", "1")
        .header("authorization", "secret")
        .header("proxy", "http://evil");
    let answer = server.send(request.body(dayfly_testing::Body::full("body"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().ends_with("input\nbody"), "{}", answer.text());
    answer.text()
}

#[tokio::test]
async fn a_command_has_the_variables_of_rfc_3875_and_those_of_spin() {
    let app = app("/stem/:part/...", "");
    let server = dayfly().up(app.folder()).await;
    let text = describe(&server, "/stem/one/b/c?x=1&y=2").await;
    let found = variables(&text);
    let (host, port) = server.authority().split_once(':').unwrap();
    let url = format!("{}/stem/one/b/c?x=1&y=2", server.base());
    let expected = [
        ("AUTH_TYPE", ""),
        ("CONTENT_LENGTH", "4"),
        ("CONTENT_TYPE", "text/x-test"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("HTTP_HOST", server.authority()),
        ("HTTP_X_ONE", "1"),
        ("OWN", "yes"),
        ("PATH_INFO", "/b/c"),
        ("PATH_TRANSLATED", "/b/c"),
        ("QUERY_STRING", "x=1&y=2"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_HOST", "127.0.0.1"),
        ("REMOTE_USER", ""),
        ("REQUEST_METHOD", "PUT"),
        ("SCRIPT_NAME", "/stem/:part"),
        ("SERVER_NAME", host),
        ("SERVER_PORT", port),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("X_BASE_PATH", "/"),
        ("X_COMPONENT_ROUTE", "/stem/:part"),
        ("X_FULL_URL", &url),
        ("X_MATCHED_ROUTE", "/stem/:part/..."),
        ("X_PATH_MATCH_PART", "one"),
        ("X_RAW_COMPONENT_ROUTE", "/stem/:part/..."),
        ("X_RAW_PATH_INFO", "/b/c"),
    ];
    for (name, value) in expected {
        assert_eq!(found.get(name).map(String::as_str), Some(value), "{name} in {text}");
    }
    assert!(found["X_CLIENT_ADDR"].starts_with("127.0.0.1:"), "{text}");
    assert!(found["SERVER_SOFTWARE"].starts_with("Dayfly/"), "{text}");
    assert_eq!(found["HTTP_AUTHORIZATION"], "secret");
    for withheld in ["HTTP_PROXY", "HTTP_CONNECTION"] {
        assert!(!found.contains_key(withheld), "{withheld} in {text}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_script_name_holds_the_base_path() {
    let app = App::spin(
        "spin_manifest_version = 2\n[application]\nname = \"test\"\n\
         [application.trigger.http]\nbase = \"/api\"\n\
         [[trigger.http]]\nroute = \"/cart/...\"\ncomponent = \"command\"\n\
         [component.command]\nsource = \"guest:rust-command\"\n",
    );
    let server = dayfly().up(app.folder()).await;
    let text = server.text("/api/cart/7%20a").await;
    let found = variables(&text);
    assert_eq!(found["SCRIPT_NAME"], "/api/cart", "{text}");
    // As in Spin, whose guests read it so.
    assert_eq!(found["PATH_INFO"], "/7%20a", "{text}");
    assert_eq!(found["PATH_TRANSLATED"], "/7 a", "{text}");
    assert_eq!(found["X_MATCHED_ROUTE"], "/api/cart/...", "{text}");
    assert_eq!(found["X_RAW_COMPONENT_ROUTE"], "/cart/...", "{text}");
    server.stop().await;
}

#[tokio::test]
async fn the_path_and_the_query_are_the_arguments() {
    let app = app("/...", "");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(arguments(&server.text("/a/b?x=1&y").await), ["/a/b", "x=1", "y"]);
    assert_eq!(arguments(&server.text("/a").await), ["/a"]);
    server.stop().await;
}

#[tokio::test]
async fn argv_is_a_template() {
    let executor = "executor = { type = \"wagi\", argv = \"go ${ARGS} at ${SCRIPT_NAME}\" }";
    let app = app("/...", executor);
    let server = dayfly().up(app.folder()).await;
    assert_eq!(arguments(&server.text("/a?x=1&y=2").await), ["go", "x=1", "y=2", "at", "/a"]);
    server.stop().await;
}

#[tokio::test]
async fn the_output_says_the_status_and_the_headers() {
    let app = app("/...", "");
    let server = dayfly().up(app.folder()).await;
    let chosen = server.get("/?status=418").await;
    assert_eq!((chosen.status, &*chosen.text()), (418, "418\n"));
    assert_eq!(chosen.header("content-type"), "text/plain");

    let moved = server.get("/?location=http://example.com/x").await;
    assert_eq!((moved.status, moved.header("location")), (302, "http://example.com/x"));

    let headers = server.get("/?headers").await;
    assert_eq!(headers.status, 201);
    let twice: Vec<_> = headers.headers.get_all("x-two").iter().collect();
    assert_eq!(twice, ["a", "b"]);
    assert!(!headers.headers.contains_key("status"), "{:?}", headers.headers);
    server.stop().await;
}

#[tokio::test]
async fn a_command_without_output_is_an_error_of_the_guest() {
    let app = app("/...", "");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.get("/?silent").await.status, 500);
    assert_eq!(server.get("/?exit=3").await.status, 500);
    assert_eq!(server.get("/?exit=0").await.status, 500);
    assert_eq!(server.get("/?status=200").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn standard_error_goes_to_the_log() {
    let app = App::of("c-command");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.get("/fail").await.status, 500);
    let line = server.stderr().containing("this program fails when asked to").await;
    assert!(line.contains("component=guest"), "{line}");
    server.stop().await;
}

#[tokio::test]
async fn bodies_stream_through_a_command() {
    use dayfly_testing::{Body, Pattern};
    const BYTES: u64 = 64 << 20;
    let app = app("/...", "");
    let server = dayfly().up(app.folder()).await;
    let request = server.request(Method::POST, "/?cat");
    let answer = server.send(request.body(Body::stream(Pattern::stream(BYTES)))).await;
    assert_eq!(answer.status, 200);
    let mut pattern = Pattern::new();
    pattern.check(&answer.body);
    assert_eq!(pattern.checked(), BYTES);
    server.stop().await;
}

/// A command that writes `output` and ends.
fn printing(output: &str) -> App {
    let escaped: String = output.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let length = output.len();
    App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n[[trigger.http]]\nroute = \"/...\"\n\
         component = \"command\"\n[component.command]\nsource = \"command.wat\"\n",
    )
    .file(
        "command.wat",
        format!(
            "(module
               (import \"wasi_snapshot_preview1\" \"fd_write\"
                 (func $write (param i32 i32 i32 i32) (result i32)))
               (memory (export \"memory\") 1)
               (data (i32.const 0) \"\\10\\00\\00\\00\")
               (data (i32.const 16) \"{escaped}\")
               (func (export \"_start\")
                 (i32.store (i32.const 4) (i32.const {length}))
                 (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"
        ),
    )
}

#[tokio::test]
async fn a_length_that_is_not_the_bodys_is_an_error_and_ends_up_in_no_other_answer() {
    for length in ["77", "1", "3, 3", "x"] {
        let app = printing(&format!("Content-Type: text/plain\nContent-Length: {length}\n\nabc"));
        let server = dayfly().up(app.folder()).await;
        for _ in 0..2 {
            let answer = server.get("/").await;
            assert_eq!(answer.status, 500, "{length}: {}", answer.text());
        }
        let line = server.stderr().containing("Content-Length").await;
        assert!(line.contains("component=\"command\""), "{line}");
        server.stop().await;
    }
    let app = printing("Content-Type: text/plain\nContent-Length: 3\nKeep-Alive: x\n\nabc");
    let server = dayfly().up(app.folder()).await;
    let answer = server.get("/").await;
    assert_eq!((answer.status, answer.text()), (200, "abc".to_owned()));
    assert!(!answer.headers.contains_key("keep-alive"), "{:?}", answer.headers);
    let head = server.request(Method::HEAD, "/").body(dayfly_testing::Body::full(""));
    assert_eq!(server.send(head).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn what_a_guest_says_in_an_error_is_no_line_of_the_hosts() {
    let app = printing("\u{1b}[2J\r2026-01-01 ERROR dayfly: forged\n\n");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.get("/").await.status, 500);
    let line = server.stderr().containing("forged").await;
    assert!(
        line.contains("component=") && !line.contains('\u{1b}') && !line.contains('\r'),
        "{line:?}"
    );
    server.stop().await;
}
