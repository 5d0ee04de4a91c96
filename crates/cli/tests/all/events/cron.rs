//! The cron trigger.

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
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
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
