//! The NATS trigger with a real server: subjects, and streams of JetStream.

use std::path::Path;
use std::time::{Duration, Instant};

use dayfly_testing::{App, Nats};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{app, dead_letters, heard, is_given_up_that_never_answers, out, until};
use crate::dayfly;

/// An app that listens, and puts what it heard into a queue.
pub(super) fn listening(nats: &Nats, from: &str, more: &str) -> App {
    app(
        &format!(
            "[[trigger.nats]]\nid = \"heard\"\naddress = \"{}\"\n{from}\ncomponent = \"rust-events\"\n\
             output = \"queue:out\"\n{more}\n",
            nats.url()
        ),
        &["rust-events"],
    )
}

/// Publishes until it was heard.
async fn publish(nats: &Nats, subject: &str, text: &str, state: &Path) {
    let before = out(state).len();
    until(text, async || {
        nats.publish(subject, &[], text.as_bytes()).await;
        sleep(Duration::from_millis(50)).await;
        (out(state).len() > before).then_some(())
    })
    .await;
}

/// What the server knows of the app's consumer of the stream `JOBS`, or that there is none.
pub(super) async fn consumer(nats: &Nats) -> Value {
    let info = nats.ask("$JS.API.CONSUMER.INFO.JOBS.test", "").await;
    serde_json::from_slice(&info.data).unwrap()
}

/// Waits until nothing is to be handled any more.
pub(super) async fn all_acknowledged(nats: &Nats) {
    until("all acknowledged", async || {
        let info = consumer(nats).await;
        (info["num_ack_pending"] == 0 && info["num_pending"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn subjects_wake_handlers_by_wildcards() {
    let nats = Nats::start().await;
    let app = listening(&nats, "subject = \"orders.*.new\"", "");
    let server = dayfly().up(app.folder()).await;
    let state = server.state("");
    publish(&nats, "orders.eu.new", "first", &state).await;
    let before = out(&state).len();
    nats.publish("orders.eu.old", &[], b"not for us").await;
    nats.publish("orders.us.new", &["Content-Type: a/b"], b"facts").await;
    let source = format!("/nats/{}", nats.authority());
    let facts = heard(&state, before + 1).await.pop().unwrap();
    assert_eq!(facts, format!("dayfly.nats.message|{source}|orders.us.new|a/b"));
    // What is an event already stays one.
    let event = ["ce-specversion: 1.0", "ce-id: 1", "ce-source: /mine", "ce-type: made"];
    nats.publish("orders.us.new", &event, b"facts").await;
    assert_eq!(heard(&state, before + 2).await[before + 1], "made|/mine|orders.us.new|");
    server.stop().await;
}

#[tokio::test]
async fn two_processes_share_the_messages_of_a_subject() {
    const MESSAGES: usize = 300;
    let nats = Nats::start().await;
    let app = listening(&nats, "subject = \"jobs.>\"", "");
    let (one, two) = (dayfly().up(app.folder()).await, dayfly().up(app.folder()).await);
    let states = [one.state(""), two.state("")];
    // Until both are there.
    for state in &states {
        publish(&nats, "jobs.a", "first", state).await;
    }
    let both = || states.iter().flat_map(|state| out(state)).collect::<Vec<_>>();
    for number in 0..MESSAGES {
        nats.publish("jobs.b", &[], format!("number {number}").as_bytes()).await;
    }
    let numbers = || both().into_iter().filter(|it| it.starts_with("number")).collect::<Vec<_>>();
    until("all messages", async || (numbers().len() >= MESSAGES).then_some(())).await;
    let mut all = numbers();
    all.sort();
    all.dedup();
    assert_eq!((all.len(), numbers().len()), (MESSAGES, MESSAGES));
    assert!(states.iter().all(|state| out(state).len() > MESSAGES / 10));
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn an_empty_group_is_none() {
    let nats = Nats::start().await;
    let app = listening(&nats, "subject = \"news\"\nqueue_group = \"\"", "");
    let (one, two) = (dayfly().up(app.folder()).await, dayfly().up(app.folder()).await);
    let states = [one.state(""), two.state("")];
    for state in &states {
        publish(&nats, "news", "first", state).await;
    }
    nats.publish("news", &[], b"second").await;
    for state in &states {
        until("it", async || out(state).contains(&"second".to_owned()).then_some(())).await;
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn messages_of_a_stream_are_acknowledged_when_they_were_handled() {
    let nats = Nats::with_jetstream().await;
    nats.stream("JOBS", "jobs.*").await;
    nats.add_all("jobs.a", ["before".to_owned()]).await;
    nats.add_all("jobs.other", ["facts".to_owned()]).await;
    let app = listening(&nats, "stream = \"JOBS\"", "ordered = true");
    let server = dayfly().up(app.folder()).await;
    let state = server.state("");
    let source = format!("/nats/{}", nats.authority());
    let facts = format!("dayfly.nats.stream|{source}|jobs.other|");
    assert_eq!(heard(&state, 2).await, ["before".to_owned(), facts]);
    all_acknowledged(&nats).await;
    let config = consumer(&nats).await["config"].clone();
    assert_eq!(
        (&config["ack_policy"], &config["max_ack_pending"]),
        (&json!("explicit"), &json!(1))
    );
    // A handler that takes longer than the server waits.
    server.stop().await;
    let app = listening(&nats, "stream = \"JOBS\"\nack_wait = \"1s\"", "concurrency = 5");
    let server = dayfly().up(app.folder()).await;
    let state = server.state("");
    nats.add_all("jobs.a", ["sleep 3500".to_owned(), "after".to_owned()]).await;
    assert_eq!(heard(&state, 2).await, ["after", "sleep 3500"]);
    all_acknowledged(&nats).await;
    let info = consumer(&nats).await;
    assert_eq!(
        (&info["num_redelivered"], &info["config"]["max_ack_pending"]),
        (&json!(0), &json!(20))
    );
    assert_eq!(out(&state).len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn a_filter_takes_some_subjects_of_a_stream_that_is_created() {
    let nats = Nats::with_jetstream().await;
    let app = listening(&nats, "stream = \"JOBS\"\nsubject = \"jobs.*\"\ncreate = true", "");
    let server = dayfly().up(app.folder()).await;
    until("the stream", async || consumer(&nats).await.get("config").map(drop)).await;
    nats.add_all("jobs.a", ["one".to_owned()]).await;
    assert_eq!(heard(&server.state(""), 1).await, ["one"]);
    server.stop().await;
    // It stays, and its consumer is one of other subjects from now on.
    let app = listening(&nats, "stream = \"JOBS\"\nsubject = \"jobs.b\"\ncreate = true", "");
    nats.add_all("jobs.a", ["two".to_owned()]).await;
    nats.add_all("jobs.b", ["three".to_owned()]).await;
    let server = dayfly().up(app.folder()).await;
    assert_eq!(heard(&server.state(""), 1).await, ["three"]);
    all_acknowledged(&nats).await;
    assert_eq!(out(&server.state("")), ["three"]);
    server.stop().await;
}

#[tokio::test]
async fn what_fails_comes_again_later_and_is_then_a_dead_letter() {
    let nats = Nats::with_jetstream().await;
    nats.stream("JOBS", "jobs").await;
    let retry = "concurrency = 1\nretry = { attempts = 3, delay = \"800ms\" }";
    let app = listening(&nats, "stream = \"JOBS\"", retry);
    let server = dayfly().up(app.folder()).await;
    let began = Instant::now();
    nats.add_all("jobs", ["fail".to_owned(), "next".to_owned()]).await;
    // What waits for another attempt holds up nothing.
    assert_eq!(heard(&server.state(""), 1).await, ["next"]);
    let letters = dead_letters(&server).await;
    // Twice, the second time doubled, and up to half less.
    assert!(began.elapsed() >= Duration::from_millis(1200), "{:?}", began.elapsed());
    assert_eq!((letters.len(), &letters[0]["attempts"]), (1, &json!(3)));
    assert_eq!(letters[0]["trigger"], "heard");
    assert!(letters[0]["error"].as_str().unwrap().contains("418"), "{}", letters[0]);
    all_acknowledged(&nats).await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_under_way_when_the_end_is_asked_for_is_finished_or_given_back() {
    let nats = Nats::with_jetstream().await;
    nats.stream("JOBS", "jobs").await;
    let app = listening(&nats, "stream = \"JOBS\"", "concurrency = 1");
    let state = tempfile::tempdir().unwrap();
    let up = || dayfly().env("DAYFLY_STATE_DIR", state.path()).up(app.folder());
    let server = up().await;
    nats.add_all("jobs", ["sleep 700".to_owned(), "next".to_owned()]).await;
    until("the first is taken", async || {
        (consumer(&nats).await["num_ack_pending"] == 1).then_some(())
    })
    .await;
    server.stop().await.with(0);
    assert_eq!(out(state.path()), ["sleep 700"]);
    let info = consumer(&nats).await;
    assert_eq!((&info["num_ack_pending"], &info["num_pending"]), (&json!(0), &json!(1)));
    let server = up().await;
    assert_eq!(heard(state.path(), 2).await, ["sleep 700", "next"]);
    server.stop().await;
}

#[tokio::test]
async fn a_message_whose_output_fails_at_the_end_is_given_back() {
    let nats = Nats::with_jetstream().await;
    nats.stream("JOBS", "jobs").await;
    // Nobody listens there.
    let text = format!(
        "[[trigger.nats]]\naddress = \"{}\"\nstream = \"JOBS\"\ncomponent = \"rust-events\"\n\
         output = \"http://127.0.0.1:9/\"\nretry = {{ delay = \"10m\", max_delay = \"10m\" }}\n",
        nats.url()
    );
    let first = app(&text, &["rust-events"]);
    let server = dayfly().up(first.folder()).await;
    nats.add_all("jobs", ["given back".to_owned()]).await;
    server.stderr().containing("its output").await;
    server.stop().await.with(0);
    // Long before the server would give it to another by itself.
    let second = listening(&nats, "stream = \"JOBS\"", "");
    let server = dayfly().up(second.folder()).await;
    let began = Instant::now();
    assert_eq!(heard(&server.state(""), 1).await, ["given back"]);
    assert!(began.elapsed() < Duration::from_secs(20));
    server.stop().await;
}

#[tokio::test]
async fn answers_are_published_with_their_attributes() {
    let nats = Nats::with_jetstream().await;
    nats.stream("DONE", "done").await;
    let mut listener = nats.listen("answers.>").await;
    let trigger = |subject: &str, output: &str| {
        format!(
            "[[trigger.nats]]\nsubject = \"{subject}\"\ncomponent = \"rust-events\"\noutput = \"{output}\"\n"
        )
    };
    let manifest = format!(
        "[application.trigger.nats]\naddress = \"{}\"\n{}{}{}",
        nats.url(),
        trigger("asked", "nats:///answers.a"),
        trigger("kept", "nats://done?as=stream"),
        trigger("elsewhere", &format!("{}/answers.b", nats.url())),
    );
    let app = app(&manifest, &["rust-events"]);
    let server = dayfly().up(app.folder()).await;
    let echo = until("an answer", async || {
        nats.publish(
            "asked",
            &["ce-traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
            b"a word",
        )
        .await;
        tokio::time::timeout(Duration::from_millis(300), listener.hear()).await.ok()
    })
    .await;
    assert_eq!((&*echo.subject, &*echo.data), ("answers.a", &b"a word"[..]));
    for header in [
        "ce-specversion: 1.0",
        "ce-type: dayfly.output",
        "ce-source: /test/rust-events",
        "ce-subject: asked",
        "ce-dayflyhops: 1",
        "content-type: text/plain",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-",
    ] {
        assert!(echo.headers.contains(header), "no {header} in {}", echo.headers);
    }
    // A stream takes an answer to the same event once.
    let event = ["ce-specversion: 1.0", "ce-id: 1", "ce-source: /mine", "ce-type: made"];
    let kept = async || {
        let info = nats.jetstream("STREAM.INFO.DONE", &Value::Null).await;
        info["state"]["messages"].as_u64().unwrap()
    };
    until("it is kept", async || {
        nats.publish("kept", &event, b"once").await;
        sleep(Duration::from_millis(50)).await;
        (kept().await > 0).then_some(())
    })
    .await;
    for _ in 0..3 {
        nats.publish("kept", &event, b"once").await;
    }
    nats.publish("kept", &[], b"another").await;
    until("the other", async || (kept().await == 2).then_some(())).await;
    nats.publish("elsewhere", &[], b"b").await;
    until("the answer", async || (listener.hear().await.subject == "answers.b").then_some(()))
        .await;
    assert_eq!(kept().await, 2);
    server.stop().await;
}

#[tokio::test]
async fn a_cycle_is_noticed() {
    let nats = Nats::with_jetstream().await;
    nats.stream("JOBS", "jobs").await;
    let trigger = |from: &str, output: &str| {
        format!(
            "[[trigger.nats]]\n{from}\ncomponent = \"rust-events\"\noutput = \"{output}\"\n\
             retry = {{ attempts = 1 }}\n"
        )
    };
    let manifest = format!(
        "[application.trigger.nats]\naddress = \"{}\"\n{}{}",
        nats.url(),
        trigger("subject = \"round\"", "nats://jobs?as=stream"),
        trigger("stream = \"JOBS\"", "nats://round"),
    );
    let app = app(&manifest, &["rust-events"]);
    let server = dayfly().up(app.folder()).await;
    nats.add_all("jobs", ["round".to_owned()]).await;
    let letters = dead_letters(&server).await;
    assert!(
        letters[0]["error"].as_str().unwrap().contains("the outputs are a cycle"),
        "{letters:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let mut nats = Nats::with_jetstream().await;
    nats.stream("JOBS", "jobs").await;
    for (from, subject) in [("subject = \"news\"", "news"), ("stream = \"JOBS\"", "jobs")] {
        let app = listening(&nats, from, "");
        let server = dayfly().up(app.folder()).await;
        let state = server.state("");
        publish(&nats, subject, "one", &state).await;
        nats.kill().await;
        server.stderr().containing("the NATS server is lost").await;
        sleep(Duration::from_millis(500)).await;
        nats.restart().await;
        server.stderr().containing("the NATS server is back").await;
        publish(&nats, subject, "two", &state).await;
        until("two", async || out(&state).contains(&"two".to_owned()).then_some(())).await;
        server.stop().await;
    }
}

#[tokio::test]
async fn what_was_handled_is_not_again_though_the_server_has_forgotten_it() {
    let mut nats = Nats::with_jetstream().await;
    nats.stream("JOBS", "jobs").await;
    let app = listening(&nats, "stream = \"JOBS\"\nack_wait = \"1s\"", "");
    let server = dayfly().up(app.folder()).await;
    let messages = (0..100).map(|number| number.to_string());
    nats.add_all("jobs", messages.chain(["sleep 1000".to_owned()])).await;
    heard(&server.state(""), 100).await;
    // With one under way that is acknowledged when there is no server.
    nats.kill().await;
    heard(&server.state(""), 101).await;
    nats.restart().await;
    all_acknowledged(&nats).await;
    assert_eq!(out(&server.state("")).len(), 101);
    server.stop().await;
}

#[tokio::test]
async fn messages_that_no_handler_could_take_hold_up_nothing() {
    let nats = Nats::with_jetstream().await;
    nats.stream("JOBS", "jobs").await;
    let large = "x".repeat(17 << 20);
    for (from, subject) in [("stream = \"JOBS\"", "jobs"), ("subject = \"news\"", "news")] {
        let app = listening(&nats, from, "");
        let server = dayfly().up(app.folder()).await;
        let state = server.state("");
        publish(&nats, subject, "first", &state).await;
        nats.publish(subject, &[], large.as_bytes()).await;
        nats.publish(subject, &[], b"after").await;
        until("after", async || out(&state).contains(&"after".to_owned()).then_some(())).await;
        server.stderr().containing("more than 16 MiB").await;
        server.stop().await;
    }
    all_acknowledged(&nats).await;
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_told_and_waited_for() {
    let nats = Nats::with_jetstream().await;
    let app = listening(&nats, "stream = \"JOBS\"", "");
    let server = dayfly().up(app.folder()).await;
    server.stderr().containing("there is no stream `JOBS`").await;
    nats.stream("JOBS", "jobs").await;
    nats.add_all("jobs", ["late".to_owned()]).await;
    assert_eq!(heard(&server.state(""), 1).await, ["late"]);
    // Deleted under way, and made again: numbers begin anew.
    nats.jetstream("STREAM.DELETE.JOBS", &Value::Null).await;
    nats.stream("JOBS", "jobs").await;
    nats.add_all("jobs", ["again".to_owned()]).await;
    assert_eq!(heard(&server.state(""), 2).await, ["late", "again"]);
    server.stop().await;
    let plain = Nats::start().await;
    let app = listening(&plain, "stream = \"JOBS\"", "");
    let server = dayfly().up(app.folder()).await;
    server.stderr().containing("the server has no JetStream").await;
    server.stop().await;
}

#[tokio::test]
async fn servers_are_logged_in_to_and_passwords_told_nobody() {
    let nats = Nats::with_password("shop", "opensesame").await;
    let with = |password: &str| {
        app(
            &format!(
                "[[trigger.nats]]\naddress = \"nats://shop:{password}@{}\"\nsubject = \"news\"\n\
                 component = \"rust-events\"\noutput = \"nats://closed\"\nretry = {{ attempts = 1 }}\n",
                nats.authority()
            ),
            &["rust-events"],
        )
    };
    let app = with("wrongsesame");
    let server = dayfly().up(app.folder()).await;
    server.stderr().containing("Authorization Violation").await;
    let ended = server.stop().await;
    assert!(!format!("{ended:?}").contains("sesame"), "{ended:?}");
    let app = with("opensesame");
    let server = dayfly().up(app.folder()).await;
    let ended = server.stop().await;
    assert!(!ended.stderr.contains("is lost") && !format!("{ended:?}").contains("sesame"));
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_and_tried_again() {
    let trigger = "[[trigger.nats]]\naddress = \"nats://ADDRESS\"\nstream = \"JOBS\"";
    is_given_up_that_never_answers(trigger, "the NATS server is lost").await;
}
