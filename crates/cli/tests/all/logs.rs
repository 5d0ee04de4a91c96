//! Logs: what guests write, what the host says about requests and errors, and in which form.

use dayfly_testing::{App, Running};
use serde_json::Value;

use crate::dayfly;

/// Starts a server with flags.
async fn up(app: &App, flags: &[&str]) -> Running {
    dayfly().arg("up").args(flags).arg(app.folder()).serve().await
}

/// The lines of a log in JSON.
fn parsed(stderr: &str) -> Vec<Value> {
    let parse = |line| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"))
    };
    stderr.lines().map(parse).collect()
}

#[tokio::test]
async fn output_goes_to_a_file_a_component_and_stream() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    server.text("/log?lines=2&text=a").await;
    server.text("/log?text=b").await;
    let read = |stream| std::fs::read_to_string(server.state(&format!("logs/guest_{stream}.txt")));
    assert_eq!(read("stdout").unwrap(), "stdout a 1\nstdout a 2\nstdout b 1\n");
    assert_eq!(read("stderr").unwrap(), "stderr a 1\nstderr a 2\nstderr b 1\n");
    server.stop().await;
}

#[tokio::test]
async fn log_files_may_lie_elsewhere_and_grow_from_start_to_start() {
    let app = App::of("rust-http");
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let server = up(&app, &["--log-dir", folder.path().to_str().unwrap()]).await;
        server.text("/log").await;
        server.stop().await;
    }
    let text = std::fs::read_to_string(folder.path().join("guest_stdout.txt")).unwrap();
    assert_eq!(text, "stdout line 1\nstdout line 1\n");
}

#[tokio::test]
async fn output_is_logged_line_by_line_with_its_component() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    server.text("/log?text=seen").await;
    for stream in ["stdout", "stderr"] {
        let line = server.stderr().containing(&format!("{stream} seen 1")).await;
        assert!(line.contains("component=guest"), "{line}");
        assert!(line.contains(&format!("stream=\"{stream}\"")), "{line}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_flood_of_output_is_bounded() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    server.text(&format!("/log?lines=1500&text={}", "flood".repeat(200))).await;
    let ended = server.stop().await;
    assert!(ended.stderr.contains("log limit"), "the limit is not told");
    assert!(ended.stderr.len() < 4 << 20, "{} bytes of log", ended.stderr.len());
}

#[tokio::test]
async fn every_line_in_json_parses_and_tells_what_happened() {
    let app = App::of("rust-http");
    let server = up(&app, &["--log-format", "json", "--access-log", "on"]).await;
    server.text("/log?text=a%22b").await;
    let failed = server.get("/panic?token=secret").await;
    let id = failed.error_id();
    let lines = parsed(&server.stop().await.stderr);

    let said = lines.iter().find(|line| line["message"] == "stdout a\"b 1").expect("the output");
    assert_eq!((&said["component"], &said["stream"]), (&"guest".into(), &"stdout".into()));

    let error = lines.iter().find(|line| line["target"] == "dayfly::edge").expect("the error");
    assert_eq!(error["error_id"], id.as_str());
    assert_eq!((&error["fault"], &error["status"]), (&"guest".into(), &500.into()));

    let access: Vec<_> = lines.iter().filter(|line| line["target"] == "dayfly::access").collect();
    assert_eq!(access.len(), 2, "{access:?}");
    assert_eq!((&access[0]["method"], &access[0]["path"]), (&"GET".into(), &"/log".into()));
    assert_eq!((&access[0]["status"], &access[0]["component"]), (&200.into(), &"guest".into()));
    assert_eq!((&access[0]["bytes"], &access[0]["complete"]), (&7.into(), &true.into()));
    assert_eq!(access[1]["error_id"], id.as_str());
    assert!(!access[1].to_string().contains("secret"), "the query is logged: {}", access[1]);
}

#[tokio::test]
async fn a_streamed_body_is_logged_as_complete_once_it_is() {
    for guest in ["rust-http", "rust-p3-echo"] {
        let app = App::of(guest);
        let server = up(&app, &["--access-log", "on"]).await;
        for client in [server.another_client(), server.http2()] {
            client.text("/slow?chunks=2&ms=20").await;
        }
        let ended = server.stop().await;
        let lines: Vec<&str> =
            ended.stderr.lines().filter(|line| line.contains("dayfly::access")).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        for line in lines {
            assert!(line.contains("bytes=16 complete=true"), "{guest}: {line}");
        }
    }
}

#[tokio::test]
async fn the_access_log_is_silent_unless_asked_for() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    server.text("/hello").await;
    assert!(!server.stop().await.stderr.contains("dayfly::access"));
    let server = up(&app, &["--access-log", "on"]).await;
    server.text("/hello").await;
    let line = server.stderr().containing("dayfly::access").await;
    for word in ["method=GET", "path=/hello", "status=200", "component=\"guest\""] {
        assert!(line.contains(word), "no {word} in {line}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_log_may_be_filtered() {
    let app = App::of("rust-http");
    let server = up(&app, &["--log", "error"]).await;
    server.text("/log?text=quiet").await;
    server.get("/panic").await;
    let stderr = server.stop().await.stderr;
    assert!(!stderr.contains("quiet"), "{stderr}");
    assert!(!stderr.contains("dayfly::edge"), "{stderr}");
}

#[tokio::test]
async fn a_log_that_is_no_terminal_has_no_colours() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    server.text("/log").await;
    let ended = server.stop().await;
    assert!(!ended.stderr.contains('\u{1b}') && !ended.stdout.contains('\u{1b}'));
}
