//! The app's own queues, and dead letters.

use std::path::Path;
use std::time::{Duration, Instant};

use dayfly_capabilities::queue::{Content, New, Table};

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
    // The next version of the app is no better.
    let other = app(&triggers("rust-p2-command"), &["rust-hello", "rust-p2-command"]);
    let server = up(other.folder()).await;
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
    server.stop().await;
    // The one after it can handle it: it is no dead letter any more, and its answer goes on.
    let mended = app(&triggers("rust-hello"), &["rust-hello"]);
    let server = up(mended.folder()).await;
    dead(&["replay", "1"]).await.with(0);
    until("it is forgotten", async || {
        (dead(&["list", "--json"]).await.with_stdout(0).trim() == "[]").then_some(())
    })
    .await;
    assert_eq!(super::out(Path::new(state)), ["hello world"]);
    // What is dropped is not delivered again.
    dayfly().args(["queue", "send", "mail", "later", "--state-dir", state]).ends().await.with(0);
    super::heard(Path::new(state), 2).await;
    server.stop().await;
    let server = up(broken.folder()).await;
    dayfly().args(["queue", "send", "mail", "fail", "--state-dir", state]).ends().await.with(0);
    server.stderr().containing("an event was given up").await;
    dead(&["drop", "2"]).await.with(0);
    assert_eq!(dead(&["list", "--json"]).await.with_stdout(0).trim(), "[]");
    server.stop().await;
}

#[tokio::test]
async fn no_more_are_handled_at_once_than_the_manifest_says() {
    const MESSAGES: u32 = 6;
    let app = app(
        "[[trigger.queue]]\nid = \"in\"\nqueue = \"in\"\ncomponent = \"rust-events\"\n\
         output = \"queue:out\"\nconcurrency = 2\n",
        &["rust-events"],
    );
    let state = tempfile::tempdir().unwrap();
    let table = Table::open(&state.path().join("queues.db")).unwrap();
    for _ in 0..MESSAGES {
        let content = Content { data: "sleep 600".into(), ..Content::default() };
        table.put(&New::of_content("in".to_owned(), content).unwrap()).unwrap();
    }
    let began = Instant::now();
    let server =
        dayfly().args(["up", "--state-dir"]).arg(state.path()).arg(app.folder()).serve().await;
    super::heard(state.path(), MESSAGES as usize).await;
    assert!(began.elapsed() >= Duration::from_millis(600) * (MESSAGES / 2));
    server.stop().await;
}

#[tokio::test]
async fn what_is_under_way_when_the_end_is_asked_for_is_finished_and_none_lost() {
    let app = app(
        "[[trigger.queue]]\nqueue = \"in\"\ncomponent = \"rust-events\"\noutput = \"queue:out\"\n\
         concurrency = 1\n",
        &["rust-events"],
    );
    let state = tempfile::tempdir().unwrap();
    let up = || dayfly().env("DAYFLY_STATE_DIR", state.path()).up(app.folder());
    let server = up().await;
    let table = Table::open(&state.path().join("queues.db")).unwrap();
    for data in ["sleep 700", "next"] {
        let content = Content { data: data.into(), ..Content::default() };
        table.put(&New::of_content("in".to_owned(), content).unwrap()).unwrap();
    }
    until("the first is taken", async || (table.tallies().unwrap()[0].taken > 0).then_some(()))
        .await;
    server.stop().await.with(0);
    assert_eq!(super::out(state.path()), ["sleep 700"]);
    assert_eq!(table.peek("in", 9).unwrap().len(), 1);
    let server = up().await;
    assert_eq!(super::heard(state.path(), 2).await, ["sleep 700", "next"]);
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
