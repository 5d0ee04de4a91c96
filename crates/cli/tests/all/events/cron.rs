//! The cron trigger.

use std::time::Duration;

use dayfly_testing::{App, Running};
use tokio::time::sleep;

use super::{app, until};
use crate::dayfly;

#[tokio::test]
async fn handlers_are_woken_in_time() {
    let app = app(
        "[[trigger.cron]]\ncron_expression = \"* * * * * *\"\ncomponent = \"rust-cron\"\n\
         [[trigger.cron]]\nid = \"tick\"\ncron_expression = \"1/2 * * * * *\"\ncomponent = \"rust-command\"\n\
         output = \"queue:out\"\n",
        &["rust-hello", "rust-cron", "rust-command"],
    );
    let server = dayfly().up(app.folder()).await;
    let path = server.state("logs/rust-cron_stdout.txt");
    let due = until("three events", async || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let due: Vec<u64> =
            text.lines().map(|line| line.strip_prefix("due ").unwrap().parse().unwrap()).collect();
        (due.len() >= 3).then_some(due)
    })
    .await;
    // One may be left out while the one before it still runs.
    assert!(due.windows(2).all(|two| two[1] > two[0]), "{due:?}");
    let state = server.state("");
    let sent = dayfly().args(["queue", "show", "out", "--json", "--state-dir"]).arg(state).ends();
    // The command answers with its data in capitals: there is none, so nothing goes on.
    assert_eq!(sent.await.with_stdout(0).trim(), "[]");
    server.stop().await;
}

#[tokio::test]
async fn a_missed_event_is_made_up_for_once() {
    let triggers = |missed: &str| {
        format!(
            "[[trigger.cron]]\nid = \"daily\"\ncron_expression = \"@hourly\"\ncomponent = \"rust-cron\"\n\
             missed = \"{missed}\"\n"
        )
    };
    for (missed, expected) in [("once", 1), ("skip", 0)] {
        let app = app(&triggers(missed), &["rust-hello", "rust-cron"])
            .file("state/cron/daily", "2026-01-01T00:00:00+00:00");
        let state = app.path("state");
        let server = dayfly().env("DAYFLY_STATE_DIR", state).up(app.folder()).await;
        let path = app.path("state/logs/rust-cron_stdout.txt");
        let read = || std::fs::read_to_string(&path).unwrap_or_default().lines().count();
        if expected > 0 {
            until("the event", async || (read() > 0).then_some(())).await;
        }
        sleep(Duration::from_millis(500)).await;
        assert_eq!(read(), expected, "{missed}");
        server.stop().await;
    }
}

#[tokio::test]
async fn what_never_fires_is_an_error_at_its_place() {
    let app = app(
        "[[trigger.cron]]\ncron_expression = \"0 0 31 4 *\"\ncomponent = \"rust-cron\"\n",
        &["rust-cron"],
    );
    let stderr = dayfly().up_ends(app.folder()).await.with(1);
    assert!(stderr.contains("dayfly.toml:8:") && stderr.contains("never due"), "{stderr}");
}

/// A command that says that it began, and then sleeps for far longer than the test looks.
const SLEEPER: &str = r#"(module
    (import "wasi_snapshot_preview1" "poll_oneoff"
        (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "began\n")
    ;; Where that is, and how long.
    (data (i32.const 16) "\00\00\00\00\06\00\00\00")
    ;; A subscription to the monotonic clock.
    (data (i32.const 80) "\01\00\00\00")
    (func (export "_start")
        (i64.store (i32.const 88) (i64.const 60000000000))
        (drop (call $write (i32.const 2) (i32.const 16) (i32.const 1) (i32.const 32)))
        (drop (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 256)))))"#;

/// An app whose handler sleeps, each second another one if they may overlap.
async fn sleeping(more: &str) -> (App, Running) {
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.cron]]\nid = \"tick\"\ncron_expression = \"* * * * * *\"\n\
         component = \"sleeper\"\n{more}\n\
         [component.sleeper]\nsource = \"sleeper.wat\"\nlimits = {{ time = \"5m\" }}\n\
         [[trigger.http]]\nroute = \"/\"\nstatic_response = {{ body = \"up\" }}\n"
    ))
    .file("sleeper.wat", SLEEPER);
    let server = dayfly().up(app.folder()).await;
    (app, server)
}

/// How many of them have begun.
fn begun(server: &Running) -> usize {
    let log = server.state("logs/sleeper_stderr.txt");
    std::fs::read_to_string(log).unwrap_or_default().matches("began").count()
}

#[tokio::test]
async fn a_handler_is_not_woken_while_the_last_one_runs() {
    let (_app, server) = sleeping("").await;
    until("the first", async || (begun(&server) > 0).then_some(())).await;
    server.stderr().containing("skipped: the handler of the last event still runs").await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(begun(&server), 1);
    server.process().kill();
    server.ended().await;
}

#[tokio::test]
async fn handlers_overlap_where_that_is_asked() {
    let (_app, server) = sleeping("overlap = true").await;
    until("three at once", async || (begun(&server) >= 3).then_some(())).await;
    assert!(!server.stderr().text().contains("skipped"));
    server.process().kill();
    server.ended().await;
}

/// As Spin's plugin has them.
#[tokio::test]
async fn a_manifest_of_spins_is_served() {
    let app = App::spin(
        "spin_manifest_version = 2\n[application]\nname = \"test\"\nversion = \"0.1.0\"\n\
         [[trigger.cron]]\nid = \"every-second\"\ncomponent = \"hello-cron\"\n\
         cron_expression = \"1/2 * * * * *\"\n\
         [component.hello-cron]\nsource = \"guest:rust-cron\"\n\
         [[trigger.http]]\nroute = \"/\"\nstatic_response = { body = \"up\" }\n",
    );
    let server = dayfly().up(app.folder()).await;
    let log = server.state("logs/hello-cron_stdout.txt");
    until("an event", async || {
        std::fs::read_to_string(&log).unwrap_or_default().contains("due ").then_some(())
    })
    .await;
    server.stop().await;
}
