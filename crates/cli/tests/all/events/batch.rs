//! Events that are handed over together, and events in the order of their keys.

use dayfly_testing::{Nats, Redis};
use serde_json::{Value, json};

use super::nats::{all_acknowledged, consumer, listening};
use super::{Client, app, dead_letters, heard, until};
use crate::dayfly;

#[tokio::test]
async fn messages_come_together_and_what_fails_comes_alone() {
    let app = app(
        "[[trigger.queue]]\nqueue = \"in\"\ncomponent = \"rust-events\"\noutput = \"queue:out\"\n\
         batch = 10\nbatch_wait = \"1s\"\nconcurrency = 1\nretry = { attempts = 2, delay = \"10ms\" }\n",
        &["rust-events"],
    );
    let state = tempfile::tempdir().unwrap();
    let state = state.path().to_str().unwrap();
    let table =
        dayfly_capabilities::queue::Table::open(&std::path::Path::new(state).join("queues.db"))
            .unwrap();
    let put = |text: String| {
        let content =
            dayfly_capabilities::queue::Content { data: text.into(), ..Default::default() };
        let new = dayfly_capabilities::queue::New::of_content("in".to_owned(), content).unwrap();
        table.put(&new).unwrap();
    };
    (0..15).for_each(|number| put(number.to_string()));
    let server = dayfly().args(["up", "--state-dir", state]).arg(app.folder()).serve().await;
    let out = async |count: usize| {
        until("answers", async || {
            let out = table.peek("out", 100).unwrap();
            let text = |it: &dayfly_capabilities::queue::Message| {
                String::from_utf8(it.content.data.to_vec()).unwrap()
            };
            let out: Vec<String> = out.iter().map(text).collect();
            (out.len() >= count).then_some(out)
        })
        .await
    };
    let first = out(2).await;
    let sizes: Vec<&str> = first.iter().map(|it| it.split(' ').next().unwrap()).collect();
    assert_eq!(sizes, ["10", "5"]);
    let (_, events) = first[1].split_once(' ').unwrap();
    let events: Vec<Value> = serde_json::from_str(events).unwrap();
    assert_eq!((&events[0]["data"], &events[0]["subject"]), (&"10".into(), &"in".into()));
    assert_eq!((&events[4]["data"], &events[4]["specversion"]), (&"14".into(), &"1.0".into()));
    // One that fails does not take the others with it.
    for text in ["a", "fail", "b"] {
        put(text.to_owned());
    }
    let all = out(4).await;
    assert!(all[2..].iter().all(|it| it.starts_with("1 ")), "{all:?}");
    let letters = until("a dead letter", async || {
        let letters = table.dead_letters(&[]).unwrap();
        (!letters.is_empty()).then_some(letters)
    })
    .await;
    assert_eq!((letters.len(), &letters[0].content.data[..]), (1, &b"fail"[..]));
    until("all settled", async || table.peek("in", 9).unwrap().is_empty().then_some(())).await;
    // What is sent to it is a batch, too.
    let sent = dayfly().args(["send", "rust-events", "x", "--state-dir", state]).ends().await;
    assert!(sent.with_stdout(0).starts_with("1 [{"));
    server.stop().await;
}

#[tokio::test]
async fn an_event_at_the_end_of_its_way_takes_no_others_with_it() {
    use dayfly_capabilities::queue::{Content, New, Table};

    let app = app(
        "[[trigger.queue]]\nqueue = \"in\"\ncomponent = \"rust-events\"\noutput = \"queue:out\"\n\
         batch = 10\nbatch_wait = \"1s\"\nconcurrency = 1\n",
        &["rust-events"],
    );
    let state = tempfile::tempdir().unwrap();
    let table = Table::open(&state.path().join("queues.db")).unwrap();
    for (data, hops) in [("a", "1"), ("b", "16"), ("c", "2"), ("d", "15")] {
        let attributes = vec![("dayflyhops".to_owned(), hops.to_owned())];
        let content = Content { data: data.into(), attributes, ..Content::default() };
        table.put(&New::of_content("in".to_owned(), content).unwrap()).unwrap();
    }
    let server = dayfly().args(["up", "--state-dir"]).arg(state.path()).arg(app.folder()).serve();
    let server = server.await;
    until("all settled", async || table.peek("in", 9).unwrap().is_empty().then_some(())).await;
    let letters = table.dead_letters(&[]).unwrap();
    let dead: Vec<_> = letters.iter().map(|letter| &letter.content.data[..]).collect();
    assert_eq!(dead, [b"b"]);
    assert!(letters[0].error.contains("the outputs are a cycle"), "{}", letters[0].error);
    let out = table.peek("out", 9).unwrap();
    let out: Vec<_> = out.iter().map(|it| String::from_utf8_lossy(&it.content.data)).collect();
    assert!(out.len() == 2 && out[0].starts_with("1 [") && out[1].starts_with("2 ["), "{out:?}");
    server.stop().await;
}

#[tokio::test]
async fn lists_and_streams_have_batches_and_commands_take_them() {
    let redis = Redis::start().await;
    let app = app(
        &format!(
            "[application.trigger.redis]\naddress = \"{}\"\n\
             [[trigger.redis]]\nqueue = \"list\"\ncomponent = \"rust-command\"\n\
             output = \"redis://list-done?as=queue\"\nbatch = 5\nbatch_wait = \"5s\"\n\
             [[trigger.redis]]\nstream = \"stream\"\ncomponent = \"rust-events\"\n\
             output = \"redis://stream-done?as=queue\"\nbatch = 5\nbatch_wait = \"5s\"\n",
            redis.url()
        ),
        &["rust-events", "rust-command"],
    );
    let mut client = Client::of(&redis).await;
    let server = dayfly().up(app.folder()).await;
    for number in 0..5 {
        let number = number.to_string();
        let _: i64 = client.ask(&["LPUSH", "list", &number]).await;
        let _: String = client.ask(&["XADD", "stream", "*", "data", &number, "key", "k"]).await;
    }
    let list = client.wait_for("list-done", 1).await.remove(0);
    assert_eq!(list.matches("\"SPECVERSION\"").count(), 5, "{list}");
    let stream = client.wait_for("stream-done", 1).await.remove(0);
    assert!(stream.starts_with("5 [") && stream.contains("\"key\":\"k\""), "{stream}");
    until("no key of what is handled", async || {
        let keys: Vec<String> = client.ask(&["KEYS", "list:handled-by:*"]).await;
        keys.is_empty().then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn messages_of_jetstream_come_together_and_are_acknowledged_each() {
    let nats = Nats::with_jetstream().await;
    nats.stream("JOBS", "jobs").await;
    nats.add_all("jobs", (0..12).map(|number| format!("number {number}"))).await;
    let app = listening(
        &nats,
        "stream = \"JOBS\"",
        "batch = 5\nbatch_wait = \"1s\"\nconcurrency = 1\nretry = { attempts = 2, delay = \"10ms\" }",
    );
    let server = dayfly().up(app.folder()).await;
    let state = server.state("");
    let sizes = |heard: &[String]| -> Vec<String> {
        heard.iter().map(|it| it.split(' ').next().unwrap_or_default().to_owned()).collect()
    };
    let first = heard(&state, 3).await;
    assert_eq!(sizes(&first), ["5", "5", "2"]);
    assert!(first[0].contains("\"type\":\"dayfly.nats.stream\""), "{}", first[0]);
    all_acknowledged(&nats).await;
    let info = consumer(&nats).await;
    // Four times what may be under way.
    assert_eq!(info["config"]["max_ack_pending"], 20);
    // One that fails does not take the others with it.
    nats.add_all("jobs", ["a", "fail", "b"].map(str::to_owned)).await;
    assert_eq!(sizes(&heard(&state, 5).await[3..]), ["1", "1"]);
    let letters = dead_letters(&server).await;
    assert_eq!((letters.len(), &letters[0]["attempts"]), (1, &json!(2)));
    all_acknowledged(&nats).await;
    assert_eq!(consumer(&nats).await["num_redelivered"], 0);
    server.stop().await;
}

#[tokio::test]
async fn events_of_one_key_wait_for_one_another_and_others_do_not() {
    let redis = Redis::start().await;
    let app = app(
        &format!(
            "[[trigger.redis]]\naddress = \"{}\"\nstream = \"jobs\"\ncomponent = \"rust-events\"\n\
             output = \"redis://done?as=queue\"\nordered = \"customer\"\n\
             retry = {{ attempts = 2, delay = \"300ms\" }}\n",
            redis.url()
        ),
        &["rust-events"],
    );
    let mut client = Client::of(&redis).await;
    for (data, customer) in
        [("sleep 600", "a"), ("fail", "a"), ("last", "a"), ("other", "b"), ("third", "c")]
    {
        let add = ["XADD", "jobs", "*", "data", data, "customer", customer];
        let _: String = client.ask(&add).await;
    }
    let server = dayfly().up(app.folder()).await;
    let mut done = client.wait_for("done", 4).await;
    done[..2].sort();
    assert_eq!(done, ["other", "third", "sleep 600", "last"]);
    server.stop().await;
}

#[tokio::test]
async fn handlers_of_single_messages_take_no_batches() {
    let app = app(
        "[[trigger.queue]]\nqueue = \"in\"\ncomponent = \"rust-redis-7\"\nbatch = 10\nretry = { attempts = 1 }\n",
        &["rust-hello", "rust-redis-7"],
    );
    let checked = dayfly().arg("check").arg(app.folder()).ends().await.with(1);
    assert!(checked.contains("which takes one event at a time"), "{checked}");
    let server = dayfly().up(app.folder()).await;
    let sent = dayfly().args(["send", "rust-redis-7", "x", "--state-dir"]).arg(server.state(""));
    assert!(sent.ends().await.with(1).contains("its trigger has `batch`"));
    server.stop().await;
}
