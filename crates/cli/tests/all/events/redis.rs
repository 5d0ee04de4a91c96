//! The Redis trigger with a real server: channels, lists, streams, each by every shape of handler.

use std::time::Duration;

use dayfly_testing::{Redis, Running};
use tokio::time::sleep;

use super::{Client, app, dead_letters, is_given_up_that_never_answers, until};
use crate::dayfly;

/// Waits until a component has written a line.
async fn written(server: &Running, component: &str, line: &str) {
    let path = server.state(&format!("logs/{component}_stdout.txt"));
    until(line, async || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.lines().any(|it| it == line).then_some(())
    })
    .await;
}

/// Publishes until somebody has heard it.
async fn publish(client: &mut Client, channel: &str, text: &str) {
    until(channel, async || {
        let heard: i64 = client.ask(&["PUBLISH", channel, text]).await;
        (heard > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn channels_wake_handlers_of_every_shape() {
    let redis = Redis::start().await;
    let guests = ["rust-events", "rust-redis-3", "rust-redis-7", "rust-command", "rust-p2-command"];
    let trigger = |guest: &&str| {
        format!(
            "[[trigger.redis]]\nchannel = \"to-{guest}\"\ncomponent = \"{guest}\"\n\
             output = \"redis://done?as=queue\"\n"
        )
    };
    let triggers: String = guests.iter().map(trigger).collect();
    let settings = format!("[application.trigger.redis]\naddress = \"{}\"\n", redis.url());
    let app = app(&format!("{settings}{triggers}"), &guests);
    let server = dayfly().up(app.folder()).await;
    let mut client = Client::of(&redis).await;
    for guest in guests {
        publish(&mut client, &format!("to-{guest}"), "a word").await;
    }
    written(&server, "rust-events", "handled a word").await;
    written(&server, "rust-redis-3", "got a word").await;
    written(&server, "rust-redis-7", "got a word").await;
    let mut done = client.wait_for("done", 3).await;
    done.sort();
    assert_eq!(done, ["A WORD", "A WORD", "a word"]);
    // What an HTTP handler and a command are told of the event.
    publish(&mut client, "to-rust-events", "facts").await;
    let facts = client.wait_for("done", 4).await.pop().unwrap();
    let source = format!("/redis/{}", redis.authority());
    assert_eq!(facts, format!("dayfly.redis.message|{source}|to-rust-events|"));
    publish(&mut client, "to-rust-command", "env").await;
    let variables = client.wait_for("done", 5).await.pop().unwrap();
    for line in ["CE_SPECVERSION=1.0", "CE_TYPE=dayfly.redis.message", "CONTENT_LENGTH=3"] {
        assert!(variables.lines().any(|it| it == line), "{variables}");
    }
    server.stop().await;
}

#[tokio::test]
async fn patterns_are_listened_to() {
    let redis = Redis::start().await;
    let app = app(
        &format!(
            "[[trigger.redis]]\naddress = \"{}\"\npattern = \"orders.*\"\ncomponent = \"rust-events\"\n\
             output = \"redis://done?as=queue\"\n",
            redis.url()
        ),
        &["rust-events"],
    );
    let server = dayfly().up(app.folder()).await;
    let mut client = Client::of(&redis).await;
    publish(&mut client, "orders.eu", "facts").await;
    let facts = client.wait_for("done", 1).await.remove(0);
    assert!(facts.contains("|orders.eu|"), "{facts}");
    server.stop().await;
}

/// An app that takes from a list or a stream.
fn taking(redis: &Redis, from: &str, more: &str) -> dayfly_testing::App {
    app(
        &format!(
            "[[trigger.redis]]\naddress = \"{}\"\n{from}\ncomponent = \"rust-events\"\n\
             output = \"redis://done?as=queue\"\n{more}\n",
            redis.url()
        ),
        &["rust-events"],
    )
}

#[tokio::test]
async fn lists_are_queues() {
    let redis = Redis::start().await;
    let mut client = Client::of(&redis).await;
    let app = taking(&redis, "queue = \"jobs\"", "ordered = true");
    for number in 0..20 {
        let _: i64 = client.ask(&["LPUSH", "jobs", &number.to_string()]).await;
    }
    let server = dayfly().up(app.folder()).await;
    let done = client.wait_for("done", 20).await;
    let expected: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(done, expected);
    // Equal messages are as many as there were.
    for _ in 0..3 {
        let _: i64 = client.ask(&["LPUSH", "jobs", "same"]).await;
    }
    assert_eq!(client.wait_for("done", 23).await[20..], ["same", "same", "same"]);
    let left = until("no key of what is handled", async || {
        let keys: Vec<String> = client.ask(&["KEYS", "jobs:handled-by:*"]).await;
        keys.is_empty().then_some(keys)
    });
    assert!(left.await.is_empty());
    server.stop().await;
}

/// Neither a channel nor a list carries more than the data: this process knows what it sent.
#[tokio::test]
async fn a_cycle_through_what_carries_data_alone_ends() {
    for (from, output) in [
        ("queue = \"round\"", "redis://round?as=queue"),
        ("channel = \"round\"", "redis://round"),
        ("pattern = \"rou*\"", "redis://round"),
    ] {
        let redis = Redis::start().await;
        let app = app(
            &format!(
                "[[trigger.redis]]\naddress = \"{}\"\n{from}\ncomponent = \"rust-events\"\n\
                 output = \"{output}\"\nretry = {{ attempts = 1 }}\n",
                redis.url()
            ),
            &["rust-events"],
        );
        let server = dayfly().up(app.folder()).await;
        let mut client = Client::of(&redis).await;
        match from.starts_with("queue") {
            true => _ = client.ask::<i64>(&["LPUSH", "round", "x"]).await,
            false => publish(&mut client, "round", "x").await,
        }
        let letters = dead_letters(&server).await;
        let error = letters[0]["error"].as_str().unwrap();
        assert!(error.contains("the outputs are a cycle"), "{from}: {letters:?}");
        let handled = std::fs::read_to_string(server.state("logs/rust-events_stdout.txt")).unwrap();
        assert_eq!(handled.lines().count(), 17, "{from}: {handled}");
        server.stop().await;
    }
}

/// What other processes of the app have of a list or a stream: one that is gone, and one that is there.
#[tokio::test]
async fn what_a_consumer_that_is_gone_has_left_is_taken_and_no_others() {
    let redis = Redis::start().await;
    let mut client = Client::of(&redis).await;
    for (name, message) in [("gone", "left"), ("there", "held")] {
        let _: i64 = client.ask(&["SADD", "jobs:consumers", name]).await;
        let _: i64 = client.ask(&["LPUSH", &format!("jobs:handled-by:{name}"), message]).await;
    }
    let _: String = client.ask(&["SET", "jobs:alive:there", "1"]).await;
    let app = taking(&redis, "queue = \"jobs\"", "");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(client.wait_for("done", 1).await, ["left"]);
    server.stderr().containing("a consumer is gone").await;
    until("it is forgotten", async || {
        (client.ask::<i64>(&["SISMEMBER", "jobs:consumers", "gone"]).await == 0).then_some(())
    })
    .await;
    // It is looked again after five seconds.
    sleep(Duration::from_secs(6)).await;
    assert_eq!(client.list("jobs:handled-by:there").await, ["held"]);
    assert_eq!(client.list("done").await, ["left"]);
    server.stop().await;
}

#[tokio::test]
async fn entries_that_nobody_looks_after_are_claimed_and_no_others() {
    let redis = Redis::start().await;
    let mut client = Client::of(&redis).await;
    let left: String = client.ask(&["XADD", "jobs", "*", "data", "left"]).await;
    let _: String = client.ask(&["XADD", "jobs", "*", "data", "held"]).await;
    let _: String = client.ask(&["XGROUP", "CREATE", "jobs", "test", "0"]).await;
    for consumer in ["gone", "there"] {
        let read = ["XREADGROUP", "GROUP", "test", consumer, "COUNT", "1", "STREAMS", "jobs", ">"];
        let _: ::redis::Value = client.ask(&read).await;
    }
    // As if a minute had passed since.
    let idle = ["XCLAIM", "jobs", "test", "gone", "0", &left, "IDLE", "61000", "JUSTID"];
    let _: ::redis::Value = client.ask(&idle).await;
    let app = taking(&redis, "stream = \"jobs\"", "");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(client.wait_for("done", 1).await, ["left"]);
    server.stderr().containing("its consumer does not look after it").await;
    until("it is acknowledged", async || (pending(&mut client).await == 1).then_some(())).await;
    assert_eq!(client.list("done").await, ["left"]);
    server.stop().await;
}

/// How many entries of `jobs` are not acknowledged.
async fn pending(client: &mut Client) -> i64 {
    let pending: ::redis::Value = client.ask(&["XPENDING", "jobs", "test"]).await;
    let ::redis::Value::Array(parts) = pending else { panic!("{pending:?}") };
    let ::redis::Value::Int(count) = parts[0] else { panic!("{parts:?}") };
    count
}

#[tokio::test]
async fn what_fails_is_tried_again_and_then_a_dead_letter() {
    let redis = Redis::start().await;
    let mut client = Client::of(&redis).await;
    let retry = "retry = { attempts = 3, delay = \"10ms\" }";
    for from in ["queue = \"jobs\"", "stream = \"jobs\""] {
        let app = taking(&redis, from, retry);
        let server = dayfly().up(app.folder()).await;
        for word in ["fail", "trap"] {
            let _: String = match from.starts_with("queue") {
                true => client.ask::<i64>(&["LPUSH", "jobs", word]).await.to_string(),
                false => client.ask(&["XADD", "jobs", "*", "data", word]).await,
            };
        }
        let dead = async |words: &[&str]| {
            let state = server.state("");
            dayfly().arg("dead-letters").args(words).arg("--state-dir").arg(state).ends().await
        };
        let listed = until("two dead letters", async || {
            let listed = dead(&["list", "--json"]).await.with_stdout(0);
            let listed: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
            (listed.len() == 2).then_some(listed)
        })
        .await;
        for letter in &listed {
            assert_eq!(letter["attempts"], 3, "{letter}");
            assert_eq!(letter["component"], "rust-events");
            assert_eq!(letter["trigger"], "rust-events-redis-trigger");
        }
        let told: String = listed.iter().map(|letter| letter["error"].to_string()).collect();
        assert!(told.contains("418") && told.contains("trapped"), "{told}");
        server.stop().await;
        let _: i64 = client.ask(&["DEL", "jobs"]).await;
    }
}

#[tokio::test]
async fn streams_are_read_by_groups_and_acknowledged() {
    let redis = Redis::start().await;
    let mut client = Client::of(&redis).await;
    let _: String = client.ask(&["XADD", "jobs", "*", "data", "before"]).await;
    let app = taking(&redis, "stream = \"jobs\"", "");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(client.wait_for("done", 1).await, ["before"]);
    let facts = ["XADD", "jobs", "*", "data", "facts", "content-type", "a/b"];
    let _: String = client.ask(&facts).await;
    let told = client.wait_for("done", 2).await.pop().unwrap();
    let source = format!("/redis/{}", redis.authority());
    assert_eq!(told, format!("dayfly.redis.stream|{source}|jobs|a/b"));
    // Without such a field it is all of them.
    let _: String = client.ask(&["XADD", "jobs", "*", "b", "2", "a", "1"]).await;
    assert_eq!(client.wait_for("done", 3).await[2], "{\"a\":\"1\",\"b\":\"2\"}");
    until("all acknowledged", async || (pending(&mut client).await == 0).then_some(())).await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let mut redis = Redis::start().await;
    let app = taking(&redis, "channel = \"news\"", "");
    let server = dayfly().up(app.folder()).await;
    publish(&mut Client::of(&redis).await, "news", "one").await;
    Client::of(&redis).await.wait_for("done", 1).await;
    redis.kill().await;
    server.stderr().containing("the Redis server is lost").await;
    let health = async || server.text("/.well-known/dayfly/health").await;
    assert_eq!(health().await, "OK\nnot connected: rust-events-redis-trigger");
    sleep(Duration::from_millis(500)).await;
    redis.restart().await;
    server.stderr().containing("the Redis server is back").await;
    assert_eq!(health().await, "OK");
    let mut client = Client::of(&redis).await;
    publish(&mut client, "news", "two").await;
    until("two", async || client.list("done").await.contains(&"two".to_owned()).then_some(()))
        .await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_under_way_when_the_end_is_asked_for_is_finished() {
    let redis = Redis::start().await;
    let mut client = Client::of(&redis).await;
    let app = taking(&redis, "queue = \"jobs\"", "concurrency = 1");
    let server = dayfly().up(app.folder()).await;
    let _: i64 = client.ask(&["LPUSH", "jobs", "sleep 700", "next"]).await;
    until("the first is taken", async || {
        (client.ask::<i64>(&["LLEN", "jobs"]).await == 1).then_some(())
    })
    .await;
    let ended = server.stop().await;
    ended.with(0);
    assert_eq!(client.list("done").await, ["sleep 700"]);
    assert_eq!(client.list("jobs").await, ["next"]);
}

#[tokio::test]
async fn an_entry_under_way_when_the_end_is_asked_for_is_finished_and_none_lost() {
    let redis = Redis::start().await;
    let mut client = Client::of(&redis).await;
    let app = taking(&redis, "stream = \"jobs\"", "concurrency = 1");
    let state = tempfile::tempdir().unwrap();
    let up = || dayfly().env("DAYFLY_STATE_DIR", state.path()).up(app.folder());
    let _: String = client.ask(&["XGROUP", "CREATE", "jobs", "test", "0", "MKSTREAM"]).await;
    for data in ["sleep 700", "next"] {
        let _: String = client.ask(&["XADD", "jobs", "*", "data", data]).await;
    }
    let server = up().await;
    until("the first is taken", async || (pending(&mut client).await > 0).then_some(())).await;
    server.stop().await.with(0);
    assert_eq!(client.list("done").await, ["sleep 700"]);
    let server = up().await;
    assert_eq!(client.wait_for("done", 2).await, ["sleep 700", "next"]);
    until("all acknowledged", async || (pending(&mut client).await == 0).then_some(())).await;
    server.stop().await;
}

#[tokio::test]
async fn messages_that_no_handler_could_take_are_set_aside() {
    let redis = Redis::start().await;
    let mut client = Client::of(&redis).await;
    for (from, place) in
        [("queue = \"jobs\"", "jobs:too-large"), ("stream = \"log\"", "log:too-large")]
    {
        let is_queue = from.starts_with("queue");
        // One is more than is read at once, the other more than is handled.
        for bytes in [50 << 20, 17 << 20] {
            let large = "x".repeat(bytes);
            let _: ::redis::Value = match is_queue {
                true => client.ask(&["LPUSH", "jobs", &large]).await,
                false => client.ask(&["XADD", "log", "*", "data", &large]).await,
            };
        }
        let _: ::redis::Value = match is_queue {
            true => client.ask(&["LPUSH", "jobs", "small"]).await,
            false => client.ask(&["XADD", "log", "*", "data", "small"]).await,
        };
        let app = taking(&redis, from, "");
        let server = dayfly().up(app.folder()).await;
        assert_eq!(client.wait_for("done", 1).await, ["small"], "{from}");
        server.stderr().containing("were set aside").await;
        let length = if is_queue { "LLEN" } else { "XLEN" };
        until("both are set aside", async || {
            (client.ask::<i64>(&[length, place]).await == 2).then_some(())
        })
        .await;
        server.stop().await;
        let _: i64 = client.ask(&["DEL", "done"]).await;
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_and_tried_again() {
    let trigger = "[[trigger.redis]]\naddress = \"redis://ADDRESS\"\nqueue = \"jobs\"";
    is_given_up_that_never_answers(trigger, "the Redis server is lost").await;
}

#[tokio::test]
async fn a_message_that_is_far_too_large_costs_little_memory() {
    let redis = Redis::start().await;
    let mut client = Client::of(&redis).await;
    // The server takes up to 512 MiB, but then takes its time.
    let last = ((200 << 20) - 1).to_string();
    let _: i64 = client.ask(&["SETRANGE", "large", &last, "x"]).await;
    let push = "return redis.call('LPUSH', KEYS[2], redis.call('GETDEL', KEYS[1]))";
    let _: i64 = client.ask(&["EVAL", push, "2", "large", "jobs"]).await;
    let _: i64 = client.ask(&["LPUSH", "jobs", "small"]).await;
    let app = taking(&redis, "queue = \"jobs\"", "");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(client.wait_for("done", 1).await, ["small"]);
    until("it is set aside", async || {
        (client.ask::<i64>(&["LLEN", "jobs:too-large"]).await == 1).then_some(())
    })
    .await;
    let peak = server.process().peak_resident_bytes();
    eprintln!("a message of 200 MiB: {} MiB of memory at most", peak >> 20);
    assert!(peak < 256 << 20, "{peak}");
    server.stop().await;
}
