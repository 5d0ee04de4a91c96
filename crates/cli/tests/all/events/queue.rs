//! The app's own queues, and dead letters.

use super::{app, until};
use crate::dayfly;

#[tokio::test]
async fn messages_go_from_step_to_step() {
    let app = app(
        "[[trigger.queue]]\nqueue = \"in\"\ncomponent = \"rust-events\"\noutput = \"component:rust-command\"\n\
         [[trigger.queue]]\nqueue = \"never\"\ncomponent = \"rust-command\"\noutput = \"queue:out\"\n",
        &["rust-events", "rust-command"],
    );
    let server = dayfly().up(app.folder()).await;
    let state = server.state("");
    let queue = async |words: &[&str]| {
        dayfly().arg("queue").args(words).arg("--state-dir").arg(&state).ends().await.with_stdout(0)
    };
    queue(&["send", "in", "a word"]).await;
    let out = until("a message in `out`", async || {
        let shown = queue(&["show", "out", "--json"]).await;
        let shown: Vec<serde_json::Value> = serde_json::from_str(&shown).unwrap();
        shown.into_iter().next()
    })
    .await;
    assert_eq!(out["data"], "A WORD");
    assert_eq!(out["attributes"]["dayflyhops"], "2");
    assert_eq!(out["attributes"]["source"], "/test/rust-command");
    let listed = queue(&["list"]).await;
    assert!(listed.contains("out"), "{listed}");
    // An empty answer goes nowhere.
    queue(&["send", "in", "nothing"]).await;
    until("all handled", async || queue(&["show", "in"]).await.is_empty().then_some(())).await;
    let shown = queue(&["show", "out", "--json"]).await;
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&shown).unwrap().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_cycle_of_outputs_ends() {
    let app = app(
        "[[trigger.queue]]\nqueue = \"round\"\ncomponent = \"rust-events\"\noutput = \"queue:round\"\n",
        &["rust-events"],
    );
    let server = dayfly().up(app.folder()).await;
    let state = server.state("");
    dayfly().args(["queue", "send", "round", "x", "--state-dir"]).arg(&state).ends().await.with(0);
    server.stderr().containing("a cycle").await;
    let listed =
        dayfly().args(["dead-letters", "list", "--json", "--state-dir"]).arg(&state).ends();
    let listed: Vec<serde_json::Value> =
        serde_json::from_str(&listed.await.with_stdout(0)).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["attempts"], 1);
    server.stop().await;
}

#[tokio::test]
async fn dead_letters_are_replayed() {
    let triggers = |handler: &str| {
        format!(
            "[[trigger.queue]]\nid = \"mail\"\nqueue = \"mail\"\ncomponent = \"{handler}\"\n\
             output = \"queue:out\"\nretry = {{ attempts = 2, delay = \"10ms\" }}\n"
        )
    };
    let broken = app(&triggers("rust-events"), &["rust-events"]);
    let state = tempfile::tempdir().unwrap();
    let state = state.path().to_str().unwrap();
    let up =
        |folder: &std::path::Path| dayfly().args(["up", "--state-dir", state]).arg(folder).serve();
    let server = up(broken.folder()).await;
    dayfly().args(["queue", "send", "mail", "fail", "--state-dir", state]).ends().await.with(0);
    server.stderr().containing("an event was given up").await;
    server.stop().await;
    // The next version of the app can handle it.
    let mended = app(&triggers("rust-p2-command"), &["rust-hello", "rust-p2-command"]);
    let server = up(mended.folder()).await;
    let dead = async |words: &[&str]| {
        dayfly().arg("dead-letters").args(words).args(["--state-dir", state]).ends().await
    };
    let listed = dead(&["list"]).await.with_stdout(0);
    assert!(listed.contains("mail") && listed.contains("418"), "{listed}");
    dead(&["replay", "1"]).await.with(0);
    // It fails there, too, and lies there again.
    server.stderr().containing("an event was given up").await;
    let shown = dead(&["show", "1"]).await.with_stdout(0);
    assert!(shown.contains("fail"), "{shown}");
    assert!(dead(&["drop", "7"]).await.with(1).contains('7'));
    dead(&["drop", "1"]).await.with(0);
    assert_eq!(dead(&["list", "--json"]).await.with_stdout(0).trim(), "[]");
    server.stop().await;
}

#[tokio::test]
async fn delays_and_priorities_are_kept() {
    let app = app(
        "[[trigger.queue]]\nqueue = \"in\"\ncomponent = \"rust-events\"\noutput = \"queue:out\"\nordered = true\n",
        &["rust-events"],
    );
    let state = tempfile::tempdir().unwrap();
    let state = state.path().to_str().unwrap();
    for words in [
        &["usual"][..],
        &["urgent", "--priority", "5"],
        &["late", "--delay", "5s"],
        &["idle", "--priority=-5"],
    ] {
        let send = dayfly().args(["queue", "send", "in"]).args(words);
        send.args(["--state-dir", state]).ends().await.with(0);
    }
    let server = dayfly().args(["up", "--state-dir", state]).arg(app.folder()).serve().await;
    let order = until("four messages", async || {
        let shown = dayfly().args(["queue", "show", "out", "--json", "--state-dir", state]).ends();
        let shown: Vec<serde_json::Value> =
            serde_json::from_str(&shown.await.with_stdout(0)).unwrap();
        (shown.len() == 4).then_some(shown)
    })
    .await;
    let order: Vec<&str> = order.iter().map(|it| it["data"].as_str().unwrap()).collect();
    assert_eq!(order, ["urgent", "usual", "idle", "late"]);
    server.stop().await;
}

#[tokio::test]
async fn one_state_folder_has_one_taker() {
    let app =
        app("[[trigger.queue]]\nqueue = \"in\"\ncomponent = \"rust-events\"\n", &["rust-events"]);
    let server = dayfly().up(app.folder()).await;
    let state = server.state("");
    let other = dayfly().args(["up", "--state-dir"]).arg(&state).arg(app.folder()).ends().await;
    assert!(other.with(1).contains("another process serves the queues"));
    server.stop().await;
}

#[tokio::test]
async fn a_component_that_has_answered_is_not_asked_again() {
    let app = app(
        "[[trigger.queue]]\nqueue = \"in\"\ncomponent = \"rust-command\"\noutput = \"component:rust-events\"\n\
         retry = { attempts = 3, delay = \"10ms\" }\n\
         [[trigger.queue]]\nqueue = \"never\"\ncomponent = \"rust-events\"\n\
         output = \"http://127.0.0.1:1/nobody\"\n",
        &["rust-events", "rust-command"],
    );
    let server = dayfly().up(app.folder()).await;
    let sent = dayfly().args(["send", "rust-command", "word", "--state-dir"]);
    let said = sent.arg(server.state("")).ends().await.with(1);
    assert!(said.contains("tried 3 times"), "{said}");
    let log = std::fs::read_to_string(server.state("logs/rust-events_stdout.txt")).unwrap();
    assert_eq!(log.matches("handled WORD").count(), 1, "{log}");
    server.stop().await;
}
