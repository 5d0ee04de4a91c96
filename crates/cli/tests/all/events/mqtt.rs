//! The MQTT trigger with a real broker.

use std::collections::HashMap;
use std::time::Duration;

use dayfly_testing::{App, Mosquitto, Running};
use tokio::time::sleep;

use super::{app, dead_letters, heard, is_given_up_that_never_answers, out, until};
use crate::dayfly;

/// An app that listens, by the manifest keys of Spin's plugin, and puts what it heard into a queue.
fn listening(broker: &Mosquitto, topic: &str, qos: u8, more: &str) -> App {
    app(
        &format!(
            "[application.trigger.mqtt]\naddress = \"{}\"\nusername = \"\"\npassword = \"\"\n\
             keep_alive_interval = \"5\"\n\
             [[trigger.mqtt]]\nid = \"heard\"\ntopic = \"{topic}\"\nqos = \"{qos}\"\n\
             component = \"rust-events\"\noutput = \"queue:out\"\n{more}\n",
            broker.url()
        ),
        &["rust-events"],
    )
}

#[tokio::test]
async fn messages_of_every_quality_wake_handlers() {
    for qos in 0..3 {
        let broker = Mosquitto::start().await;
        let app = listening(&broker, "rooms/+/heat", qos, "");
        broker.retain("rooms/1/heat", "facts").await;
        broker.retain("rooms/1/light", "not for us").await;
        let server = dayfly().up(app.folder()).await;
        let state = server.state("");
        heard(&state, 1).await;
        broker.publish("rooms/2/heat", "21", qos).await;
        let mut heard = heard(&state, 2).await;
        heard.sort();
        let source = format!("/mqtt/127.0.0.1:{}", broker.port());
        let facts = format!("dayfly.mqtt.message|{source}|rooms/1/heat|");
        assert_eq!(heard, ["21".to_owned(), facts], "quality {qos}");
        server.stop().await;
    }
}

#[tokio::test]
async fn what_comes_while_nobody_runs_is_kept_by_the_broker() {
    let broker = Mosquitto::start().await;
    let app = listening(&broker, "a", 1, "");
    let state = tempfile::tempdir().unwrap();
    let up = || dayfly().env("DAYFLY_STATE_DIR", state.path()).up(app.folder());
    broker.retain("a", "retained").await;
    let server = up().await;
    heard(state.path(), 1).await;
    server.stop().await;
    broker.publish("a", "meanwhile", 1).await;
    let server = up().await;
    heard(state.path(), 2).await;
    broker.publish("a", "after", 1).await;
    // What is retained does not come again.
    assert_eq!(heard(state.path(), 3).await, ["retained", "meanwhile", "after"]);
    server.stop().await;
}

#[tokio::test]
async fn a_broker_that_comes_back_is_found_again() {
    let mut broker = Mosquitto::start().await;
    let app = listening(&broker, "a", 2, "");
    broker.retain("a", "first").await;
    let server = dayfly().up(app.folder()).await;
    heard(&server.state(""), 1).await;
    broker.kill().await;
    server.stderr().containing("the broker is lost").await;
    broker.restart().await;
    server.stderr().containing("the broker is back").await;
    let state = server.state("");
    until("the message", async || {
        broker.publish("a", "again", 2).await;
        out(&state).contains(&"again".to_owned()).then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn a_broker_that_never_answers_is_given_up_and_tried_again() {
    let trigger = "[[trigger.mqtt]]\naddress = \"mqtt://ADDRESS\"\ntopic = \"a\"";
    is_given_up_that_never_answers(trigger, "the broker is lost").await;
}

/// As Spin's plugin has them.
#[tokio::test]
async fn a_manifest_of_spins_is_served() {
    let broker = Mosquitto::with_password("listener", "opensesame").await;
    let app = App::spin(&format!(
        "spin_manifest_version = 2\n[application]\nname = \"test\"\nversion = \"0.1.0\"\n\
         [application.trigger.mqtt]\naddress = \"{}\"\nusername = \"listener\"\n\
         password = \"{{{{ password }}}}\"\nkeep_alive_interval = \"30\"\n\
         [variables]\npassword = {{ secret = true, default = \"opensesame\" }}\n\
         [[trigger.mqtt]]\nid = \"mqtt-c01\"\ncomponent = \"mqtt-c01\"\n\
         topic = \"messages-in01\"\nqos = \"1\"\n\
         [component.mqtt-c01]\nsource = \"guest:rust-events\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"mqtt-c01\"\n",
        broker.url()
    ));
    let server = dayfly().up(app.folder()).await;
    let log = server.state("logs/mqtt-c01_stdout.txt");
    until("the message", async || {
        broker.publish("messages-in01", "a word", 1).await;
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.contains("handled a word").then_some(())
    })
    .await;
    let ended = server.stop().await;
    assert!(!format!("{ended:?}").contains("sesame"), "{ended:?}");
}

#[tokio::test]
async fn a_message_under_way_when_the_end_is_asked_for_is_finished_and_none_lost() {
    let broker = Mosquitto::start().await;
    let app = listening(&broker, "jobs", 1, "concurrency = 1");
    let state = tempfile::tempdir().unwrap();
    let up = || dayfly().env("DAYFLY_STATE_DIR", state.path()).up(app.folder());
    broker.retain("jobs", "first").await;
    let server = up().await;
    heard(state.path(), 1).await;
    let messages = ["sleep 1500", "next"].map(str::to_owned);
    broker.publish_all("jobs", &messages).await;
    sleep(Duration::from_millis(500)).await;
    server.stop().await.with(0);
    assert_eq!(out(state.path()), ["first", "sleep 1500"]);
    let server = up().await;
    assert_eq!(heard(state.path(), 3).await, ["first", "sleep 1500", "next"]);
    server.stop().await;
}

#[tokio::test]
async fn no_message_is_lost_though_dayfly_is_killed() {
    const MESSAGES: usize = 2_000;
    const KILLS: usize = 40;
    let broker = Mosquitto::start().await;
    let app = listening(&broker, "jobs", 1, "");
    let state = tempfile::tempdir().unwrap();
    let up = || dayfly().env("DAYFLY_STATE_DIR", state.path()).up(app.folder());
    broker.retain("jobs", "first").await;
    let mut server: Running = up().await;
    heard(state.path(), 1).await;
    for kill in 0..KILLS {
        let size = MESSAGES / KILLS;
        let lines: Vec<String> =
            (kill * size..(kill + 1) * size).map(|number| number.to_string()).collect();
        broker.publish_all("jobs", &lines).await;
        sleep(Duration::from_millis(5 * (kill as u64 % 7))).await;
        server.process().kill();
        server.ended().await;
        server = up().await;
    }
    let counts = until("all messages", async || {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for message in out(state.path()) {
            *counts.entry(message).or_default() += 1;
        }
        Some(counts).filter(|counts| counts.len() == MESSAGES + 1)
    })
    .await;
    let again: usize = counts.values().map(|count| count - 1).sum();
    eprintln!("mqtt: {again} of {MESSAGES} were handled again, {KILLS} kills");
    assert!(again <= KILLS * 64, "{again} handled again");
    server.stop().await;
}

/// By version 5 a message says itself what it is, in CloudEvents' binary mode.
#[tokio::test]
async fn a_message_may_be_an_event() {
    let broker = Mosquitto::start().await;
    let app = listening(&broker, "a", 1, "ordered = true");
    broker.retain("a", "first").await;
    let server = dayfly().up(app.folder()).await;
    let state = server.state("");
    heard(&state, 1).await;
    let whole = [
        ("specversion", "1.0"),
        ("id", "7"),
        ("source", "/shop"),
        ("type", "order.made"),
        ("subject", "carts/7"),
        ("dayflyhops", "3"),
    ];
    broker.publish_with("a", "facts", ("text/x", &whole)).await;
    broker.publish_with("a", "hops", ("text/x", &whole)).await;
    // Without all that an event needs, it is a message as others are.
    broker.publish_with("a", "facts", ("text/y", &whole[1..5])).await;
    // Too many steps are too many, whoever says so.
    broker
        .publish_with("a", "hops", ("text/x", &[("dayflyhops", "16"), ("dayflyhops", "0")]))
        .await;
    let plain = format!("dayfly.mqtt.message|/mqtt/127.0.0.1:{}|a|text/y", broker.port());
    let expected = ["first", "order.made|/shop|carts/7|text/x", "order.made 3", &plain];
    assert_eq!(heard(&state, 4).await, expected);
    let letters = dead_letters(&server).await;
    assert!(letters[0]["error"].as_str().unwrap().contains("are a cycle"), "{letters:?}");
    server.stop().await;
}

#[tokio::test]
async fn answers_are_published() {
    let broker = Mosquitto::start().await;
    let listener = broker.subscribe("answers/#").await;
    let manifest = format!(
        "[application.trigger.mqtt]\naddress = \"{}\"\n\
         [[trigger.mqtt]]\ntopic = \"asked\"\ncomponent = \"rust-command\"\noutput = \"mqtt:///answers/a\"\n",
        broker.url()
    );
    let app = app(&manifest, &["rust-hello", "rust-command"]);
    broker.retain("asked", "a word").await;
    let server = dayfly().up(app.folder()).await;
    listener.message("answers/a 1 A WORD").await;
    server.stop().await;
}

#[tokio::test]
async fn a_cycle_ends() {
    let broker = Mosquitto::start().await;
    let app = app(
        &format!(
            "[[trigger.mqtt]]\naddress = \"{}\"\ntopic = \"+\"\ncomponent = \"rust-events\"\n\
             output = \"mqtt:///round\"\nretry = {{ attempts = 1 }}\n",
            broker.url()
        ),
        &["rust-events"],
    );
    broker.retain("begin", "x").await;
    let server = dayfly().up(app.folder()).await;
    let letters = dead_letters(&server).await;
    let error = letters[0]["error"].as_str().unwrap();
    assert!(error.contains("the outputs are a cycle"), "{letters:?}");
    let handled = std::fs::read_to_string(server.state("logs/rust-events_stdout.txt")).unwrap();
    assert_eq!(handled.lines().count(), 17, "{handled}");
    server.stop().await;
}

#[tokio::test]
async fn a_message_that_no_handler_could_take_holds_up_nothing() {
    let broker = Mosquitto::start().await;
    let app = listening(&broker, "a", 1, "");
    broker.retain("a", "first").await;
    let server = dayfly().up(app.folder()).await;
    let state = server.state("");
    heard(&state, 1).await;
    broker.publish_file("a", &vec![b'x'; 17 << 20]).await;
    broker.publish("a", "after", 1).await;
    assert_eq!(heard(&state, 2).await, ["first", "after"]);
    server.stderr().containing("more than 16 MiB was dropped").await;
    server.stop().await;
}
