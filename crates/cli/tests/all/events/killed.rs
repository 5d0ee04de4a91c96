//! `kill -9` of Dayfly and of the servers that events come from, a hundred times while ten thousand
//! messages are handled: none is lost, and only those come out again that were under way.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use dayfly_testing::{App, Mosquitto, Nats, Redis, Running};
use serde_json::Value;
use tokio::time::sleep;

use super::{Client, app, heard, out, until};
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
        sleep(at_random()).await;
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

/// Dayfly is killed, the server, or both, at random moments.
#[tokio::test]
async fn no_message_of_jetstream_is_lost_or_comes_out_twice() {
    let mut nats = Nats::with_jetstream().await;
    nats.stream("JOBS", "jobs").await;
    nats.stream("DONE", "done").await;
    let app = app(
        &format!(
            "[[trigger.nats]]\naddress = \"{}\"\nstream = \"JOBS\"\nack_wait = \"1s\"\n\
             component = \"rust-events\"\noutput = \"nats://done?as=stream\"\n\
             concurrency = {CONCURRENCY}\n\
             retry = {{ attempts = 100, delay = \"20ms\", max_delay = \"200ms\" }}\n",
            nats.url()
        ),
        &["rust-events"],
    );
    let state = tempfile::tempdir().unwrap();
    let mut server = up(&app, state.path()).await;
    for kill in 0..KILLS {
        nats.add_all("jobs", batch(kill)).await;
        sleep(at_random()).await;
        if kill % 3 != 0 {
            nats.kill().await;
        }
        if kill % 3 != 1 {
            server.process().kill();
            server.ended().await;
            server = up(&app, state.path()).await;
        }
        if kill % 3 != 0 {
            nats.restart().await;
        }
    }
    let done = async || nats.jetstream("STREAM.INFO.DONE", &Value::Null).await["state"].clone();
    until("all messages", async || {
        (done().await["messages"].as_u64()? >= MESSAGES as u64).then_some(())
    })
    .await;
    until("all acknowledged", async || {
        let info = nats.jetstream("CONSUMER.INFO.JOBS.test", &Value::Null).await;
        (info["num_ack_pending"] == 0 && info["num_pending"] == 0).then_some(())
    })
    .await;
    let (first, last) = (done().await["first_seq"].clone(), done().await["last_seq"].clone());
    let mut kept = Vec::new();
    for number in first.as_u64().unwrap()..=last.as_u64().unwrap() {
        kept.push(nats.message("DONE", number).await);
    }
    let counts = counted(kept);
    let handled =
        std::fs::read_to_string(state.path().join("logs/rust-events_stdout.txt")).unwrap();
    let again = handled.lines().count().saturating_sub(MESSAGES);
    eprintln!("stream of JetStream: {again} of {MESSAGES} were handled again, {KILLS} kills");
    // What was handled again is dropped by the stream that has had it.
    assert_eq!(counts.len(), MESSAGES);
    assert_eq!(counts.values().max(), Some(&1));
    server.stop().await;
}

/// Up to 50 milliseconds.
fn at_random() -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    Duration::from_millis(RandomState::new().hash_one(()) % 50)
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
        sleep(at_random()).await;
        server.process().kill();
        server.ended().await;
    }
    let server = up(&app, state.path()).await;
    let table = dayfly_capabilities::queue::Table::open(&state.path().join("queues.db")).unwrap();
    // Each look at all of them would take longer than the messages do.
    until("all are handled", async || {
        let tallies = table.tallies().unwrap();
        tallies.iter().all(|tally| tally.queue == "out").then_some(())
    })
    .await;
    let counts = counted(out(state.path()));
    // A message and the answer to it are in the queues never both, and never neither.
    check(&counts, "queue", 0);
    server.stop().await;
}

#[tokio::test]
async fn no_message_of_quality_1_that_a_broker_has_kept_is_lost() {
    mqtt(1).await;
}

#[tokio::test]
async fn no_message_of_quality_2_that_a_broker_has_kept_is_lost() {
    mqtt(2).await;
}

/// Dayfly is killed, the broker, or both, while messages are published. Mosquitto acknowledges a message just before
/// it writes it to the disk, so it may lose what it was killed over: what it keeps for another
/// client, which is away meanwhile, tells.
async fn mqtt(quality: u8) {
    let mut broker = Mosquitto::that_saves().await;
    kept_for_another(&broker).await;
    let app = app(
        &format!(
            "[[trigger.mqtt]]\naddress = \"{}\"\ntopic = \"jobs\"\nqos = {quality}\n\
             component = \"rust-events\"\noutput = \"queue:out\"\nconcurrency = {CONCURRENCY}\n",
            broker.url()
        ),
        &["rust-events"],
    );
    let state = tempfile::tempdir().unwrap();
    broker.retain("jobs", "first").await;
    let mut server = up(&app, state.path()).await;
    heard(state.path(), 1).await;
    let mut kept = HashSet::new();
    for kill in 0..KILLS {
        let publishing = broker.publish_surely("jobs", batch(kill).collect(), quality);
        let killing = async {
            let mut server = server;
            sleep(at_random()).await;
            if kill % 3 != 0 {
                broker.kill().await;
            }
            if kill % 3 != 1 {
                server.process().kill();
                server.ended().await;
                server = up(&app, state.path()).await;
            }
            if kill % 3 != 0 {
                broker.restart().await;
            }
            server
        };
        ((), server) = tokio::join!(publishing, killing);
        // Before that is so much that it takes long to write.
        if kill % 10 == 9 {
            kept.extend(kept_for_another(&broker).await);
        }
    }
    let counts = until("all that the broker has kept", async || {
        let counts = counted(out(state.path()));
        kept.iter().all(|message| counts.contains_key(message)).then_some(counts)
    })
    .await;
    // With the first, which is none of the numbers.
    let lost = MESSAGES + 1 - kept.len();
    let again: usize = counts.values().map(|count| count - 1).sum();
    eprintln!(
        "mqtt, quality {quality}: {} of {MESSAGES} were handled, {again} again, {KILLS} kills; the broker \
         lost {lost} of another client's",
        counts.len() - 1
    );
    server.stop().await;
}

/// All that a broker has kept for the other client.
async fn kept_for_another(broker: &Mosquitto) -> Vec<String> {
    let mut kept = Vec::new();
    loop {
        let more = broker.kept_for("another", "jobs").await;
        // What is retained comes each time.
        let is_all = more.len() <= 1;
        kept.extend(more);
        if is_all {
            return kept;
        }
    }
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
