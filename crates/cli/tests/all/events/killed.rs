//! `kill -9` of Dayfly and of Redis, a hundred times while ten thousand messages are handled: none is
//! lost, and only those come out again that were under way.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use dayfly_testing::{App, Redis, Running};
use tokio::time::sleep;

use super::{Client, app, until};
use crate::dayfly;

const MESSAGES: usize = 10_000;
const KILLS: usize = 100;

/// How many are under way at once.
const CONCURRENCY: usize = 64;

/// The numbers of the messages that are sent before a kill.
fn batch(kill: usize) -> impl Iterator<Item = String> {
    let size = MESSAGES / KILLS;
    (kill * size..(kill + 1) * size).map(|number| number.to_string())
}

async fn up(app: &App, state: &Path) -> Running {
    dayfly().env("DAYFLY_STATE_DIR", state).up(app.folder()).await
}

/// Each message came out, and no more than so many of them once more.
fn check(counts: &HashMap<String, usize>, what: &str, most: usize) {
    assert_eq!(counts.len(), MESSAGES);
    let again: usize = counts.values().map(|count| count - 1).sum();
    eprintln!("{what}: {again} of {MESSAGES} were handled again, {KILLS} kills");
    assert!(again <= most, "{again} handled again");
}

fn counted(messages: impl IntoIterator<Item = String>) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for message in messages {
        *counts.entry(message).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn no_message_of_a_list_is_lost() {
    redis("queue = \"jobs\"", |number| vec!["LPUSH".into(), "jobs".into(), number]).await;
}

#[tokio::test]
async fn no_entry_of_a_stream_is_lost() {
    let add = |number| vec!["XADD".into(), "jobs".into(), "*".into(), "data".into(), number];
    redis("stream = \"jobs\"", add).await;
}

/// Kills Dayfly, Redis, or both.
async fn redis(from: &str, send: impl Fn(String) -> Vec<String>) {
    let mut redis = Redis::start().await;
    let app = app(
        &format!(
            "[[trigger.redis]]\naddress = \"{}\"\n{from}\ncomponent = \"rust-events\"\n\
             output = \"redis://done?as=queue\"\nconcurrency = {CONCURRENCY}\n\
             retry = {{ attempts = 100, delay = \"20ms\", max_delay = \"200ms\" }}\n",
            redis.url()
        ),
        &["rust-events"],
    );
    let state = tempfile::tempdir().unwrap();
    let mut server = up(&app, state.path()).await;
    for kill in 0..KILLS {
        let mut client = Client::of(&redis).await;
        for number in batch(kill) {
            let words = send(number);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let _: redis::Value = client.ask(&words).await;
        }
        sleep(Duration::from_millis(5 * (kill as u64 % 7))).await;
        if kill % 3 != 0 {
            redis.kill().await;
        }
        if kill % 3 != 1 {
            server.process().kill();
            server.ended().await;
            server = up(&app, state.path()).await;
        }
        if kill % 3 != 0 {
            redis.restart().await;
        }
    }
    let mut client = Client::of(&redis).await;
    let counts = until("all messages", async || {
        Some(counted(client.list("done").await)).filter(|counts| counts.len() == MESSAGES)
    })
    .await;
    check(&counts, from, KILLS * CONCURRENCY);
    server.stop().await;
}

#[tokio::test]
async fn no_message_of_an_own_queue_is_lost() {
    let app = app(
        &format!(
            "[[trigger.queue]]\nqueue = \"in\"\ncomponent = \"rust-events\"\noutput = \"queue:out\"\n\
             concurrency = {CONCURRENCY}\n"
        ),
        &["rust-events"],
    );
    let state = tempfile::tempdir().unwrap();
    for kill in 0..KILLS {
        let server = up(&app, state.path()).await;
        let table =
            dayfly_capabilities::queue::Table::open(&state.path().join("queues.db")).unwrap();
        for number in batch(kill) {
            table.put(&message("in", number)).unwrap();
        }
        sleep(Duration::from_millis(5 * (kill as u64 % 7))).await;
        server.process().kill();
        server.ended().await;
    }
    let server = up(&app, state.path()).await;
    let table = dayfly_capabilities::queue::Table::open(&state.path().join("queues.db")).unwrap();
    let counts = until("all messages", async || {
        let out = table.peek("out", u32::MAX).unwrap().into_iter();
        let counts = counted(out.map(|it| String::from_utf8(it.content.data.to_vec()).unwrap()));
        Some(counts).filter(|counts| counts.len() == MESSAGES)
    })
    .await;
    // A message and the answer to it are in the queues never both, and never neither.
    check(&counts, "queue", 0);
    server.stop().await;
}

fn message(queue: &str, text: String) -> dayfly_capabilities::queue::New {
    let content = dayfly_capabilities::queue::Content { data: text.into(), ..Default::default() };
    dayfly_capabilities::queue::New {
        queue: queue.to_owned(),
        delay: Duration::ZERO,
        priority: 0,
        content,
    }
}
