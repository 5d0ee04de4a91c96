//! The game of `examples/whiskers`: its services, its score, its page in a real browser.

mod built;
mod clicks;
mod hostile;
mod page;
mod pictures;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use dayfly_testing::{Answer, Client, Dayfly, Running, workspace};
use serde_json::{Value, json};

use crate::dayfly;
use crate::scripts::with_interpreters;

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

const TREATS: [&str; 4] = ["sardine", "cream", "chicken", "shrimp"];

fn example() -> PathBuf {
    workspace().join("examples/whiskers")
}

/// A start that lets a test click as fast as it can.
fn unhurried() -> Dayfly {
    with_interpreters().args(["up", "--variable", "clicks_per_second=100000"]).arg(example())
}

async fn up() -> Running {
    unhurried().serve().await
}

/// A start whose state lasts longer than the process.
async fn up_with(state: &Path) -> Running {
    unhurried().env("DAYFLY_STATE_DIR", state).serve().await
}

/// An id that no other click of this test has.
fn new_id() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    format!("click-{:08}", LAST.fetch_add(1, Ordering::Relaxed))
}

fn body(id: &str, treat: &str, name: &str) -> String {
    json!({ "id": id, "treat": treat, "name": name }).to_string()
}

async fn click(client: &Client, id: &str, treat: &str, name: &str) -> Answer {
    client.post_with("/clicks", &JSON, body(id, treat, name)).await
}

/// What a click that counts is answered with.
async fn offer(client: &Client, treat: &str, name: &str) -> Value {
    let answer = click(client, &new_id(), treat, name).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// Rings the dinner bell of a cat, as the schedule does each minute.
async fn ring(server: &Running) {
    let send = dayfly().args(["send", "dinner-bell", "--state-dir"]).arg(server.state(""));
    send.ends().await.with(0);
}

#[tokio::test]
async fn it_is_drawn_as_its_readme_shows() {
    let drawn = dayfly().args(["check", "--graph"]).arg(example()).ends().await.with_stdout(0);
    assert!(drawn.starts_with("flowchart LR\n"), "{drawn}");
    let readme = std::fs::read_to_string(example().join("README.md")).unwrap();
    assert!(readme.contains(&drawn), "{drawn}");
}
