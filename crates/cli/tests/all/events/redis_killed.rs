//! `kill -9` of Dayfly and of Redis while messages are handled: none is lost.

use std::collections::HashMap;
use std::time::Duration;

use dayfly_testing::Redis;
use tokio::time::sleep;

use super::{Client, app, until};
use crate::dayfly;

const MESSAGES: usize = 2_000;
const KILLS: usize = 20;

#[tokio::test]
async fn no_message_of_a_list_is_lost() {
    killed("queue = \"jobs\"", |number| vec!["LPUSH".into(), "jobs".into(), number]).await;
}

#[tokio::test]
async fn no_entry_of_a_stream_is_lost() {
    let add = |number| vec!["XADD".into(), "jobs".into(), "*".into(), "data".into(), number];
    killed("stream = \"jobs\"", add).await;
}

/// Sends numbered messages while Dayfly is killed again and again; each comes out at least once.
async fn killed(from: &str, send: impl Fn(String) -> Vec<String>) {
    let redis = Redis::start().await;
    let app = app(
        &format!(
            "[[trigger.redis]]\naddress = \"{}\"\n{from}\ncomponent = \"rust-events\"\n\
             output = \"redis://done?as=queue\"\n",
            redis.url()
        ),
        &["rust-events"],
    );
    let mut client = Client::of(&redis).await;
    let state = tempfile::tempdir().unwrap();
    let up = || dayfly().env("DAYFLY_STATE_DIR", state.path()).up(app.folder());
    for kill in 0..KILLS {
        let server = up().await;
        for number in 0..MESSAGES / KILLS {
            let words = send((kill * MESSAGES / KILLS + number).to_string());
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let _: redis::Value = client.ask(&words).await;
        }
        sleep(Duration::from_millis(7 * (kill as u64 % 10))).await;
        server.process().kill();
        server.ended().await;
    }
    let server = up().await;
    let counts = until("all messages", async || {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for message in client.list("done").await {
            *counts.entry(message).or_default() += 1;
        }
        (counts.len() == MESSAGES).then_some(counts)
    })
    .await;
    let again: usize = counts.values().map(|count| count - 1).sum();
    // Only what was under way when Dayfly was killed.
    assert!(again <= KILLS * 64, "{again} handled again");
    server.stop().await;
}
