//! The example of a topology: four languages, three kinds of triggers.

use dayfly_testing::{App, Collector, Guest, Mosquitto, Redis, workspace};

use super::Client;
use crate::dayfly;

fn example(file: &str) -> String {
    std::fs::read_to_string(workspace().join("examples/topology").join(file)).unwrap()
}

#[tokio::test]
async fn a_message_goes_through_all_of_it() {
    let (redis, broker) = (Redis::start().await, Mosquitto::start().await);
    let mut manifest = example("dayfly.toml")
        .replace("redis://127.0.0.1:6379", &redis.url())
        .replace("mqtt://127.0.0.1:1883", &broker.url());
    for guest in ["c-command", "js-componentize", "rust-events", "zig-command"] {
        let path = Guest::path(guest).display().to_string();
        manifest = manifest.replace(&format!("../../target/guests/{guest}.wasm"), &path);
    }
    let hello = Guest::path("rust-hello");
    // So that the test sees when it is ready.
    manifest.push_str(&format!(
        "[component.hello]\nsource = {hello:?}\n[[trigger.http]]\nroute = \"/\"\ncomponent = \"hello\"\n"
    ));
    let app = App::new(&manifest);
    let server = dayfly().up(app.folder()).await;
    let mut client = Client::of(&redis).await;
    let _: i64 = client.ask(&["LPUSH", "begin", "hello"]).await;
    assert_eq!(client.wait_for("end", 1).await, ["zig(js(c(hello)))"]);
    server.stop().await;
}

#[tokio::test]
async fn it_is_drawn_as_its_readme_shows() {
    let check = dayfly().args(["check", "--graph"]).arg(workspace().join("examples/topology"));
    let drawn = check.ends().await.with_stdout(0);
    assert!(drawn.starts_with("flowchart LR\n"), "{drawn}");
    assert!(example("README.md").contains(&drawn), "{drawn}");
}

/// Neither a list, a channel nor a topic carries a trace: the process that sends and hears knows it.
#[tokio::test]
async fn the_way_through_what_carries_data_alone_is_one_trace() {
    let (redis, broker) = (Redis::start().await, Mosquitto::start().await);
    let collector = Collector::start().await;
    let app = super::app(
        &format!(
            "[application.trigger.redis]\naddress = \"{}\"\n\
             [application.trigger.mqtt]\naddress = \"{}\"\n\
             [[trigger.redis]]\nid = \"first\"\nstream = \"begin\"\ncomponent = \"rust-events\"\n\
             output = \"redis://list?as=queue\"\n\
             [[trigger.redis]]\nid = \"second\"\nqueue = \"list\"\ncomponent = \"rust-events\"\n\
             output = \"redis://channel\"\n\
             [[trigger.redis]]\nid = \"third\"\nchannel = \"channel\"\ncomponent = \"rust-events\"\n\
             output = \"mqtt:///topic\"\n\
             [[trigger.mqtt]]\nid = \"fourth\"\ntopic = \"topic\"\ncomponent = \"rust-events\"\n",
            redis.url(),
            broker.url()
        ),
        &["rust-events"],
    );
    let command = dayfly().env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let server = command.env("OTEL_BSP_SCHEDULE_DELAY", "200").up(app.folder()).await;
    let mut client = Client::of(&redis).await;
    // What is published before somebody listens is lost.
    super::until("a listener", async || {
        let (_, count): (String, i64) = client.ask(&["PUBSUB", "NUMSUB", "channel"]).await;
        (count == 1).then_some(())
    })
    .await;
    broker.retain("topic", "first").await;
    let fourth = "process fourth";
    collector.until(|told| !told.spans_named(fourth).is_empty()).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let _: String =
        client.ask(&["XADD", "begin", "*", "data", "hello", "ce-traceparent", &parent]).await;
    let told = collector.until(|told| told.spans_named(fourth).len() == 2).await;
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let of_trace = |name: &str| {
        let spans = told.spans_named(name);
        let span = spans.into_iter().find(|span| hex(&span.trace_id) == trace);
        span.unwrap_or_else(|| panic!("no `{name}` of the trace in {told:#?}"))
    };
    let way = ["process first", "process second", "process third", fourth].map(of_trace);
    for two in way.windows(2) {
        assert_eq!(two[1].parent_span_id, two[0].span_id, "{way:#?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_way_of_an_event_is_one_trace() {
    let (redis, collector) = (Redis::start().await, Collector::start().await);
    let app = super::app(
        &format!(
            "[application.trigger.redis]\naddress = \"{}\"\n\
             [[trigger.redis]]\nid = \"first\"\nstream = \"begin\"\ncomponent = \"rust-events\"\n\
             output = \"queue:middle\"\n\
             [[trigger.queue]]\nid = \"second\"\nqueue = \"middle\"\ncomponent = \"rust-command\"\n\
             output = \"component:rust-p2-command\"\n\
             [[trigger.queue]]\nqueue = \"unused\"\ncomponent = \"rust-p2-command\"\n\
             output = \"redis://end?as=stream\"\n",
            redis.url()
        ),
        &["rust-events", "rust-command", "rust-p2-command"],
    );
    let command = dayfly().env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let server = command.env("OTEL_BSP_SCHEDULE_DELAY", "200").up(app.folder()).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let mut client = Client::of(&redis).await;
    let add = ["XADD", "begin", "*", "data", "hello", "ce-traceparent", &parent];
    let _: String = client.ask(&add).await;
    let names = ["process first", "process second", "process rust-p2-command"];
    let told =
        collector.until(|told| names.iter().all(|name| !told.spans_named(name).is_empty())).await;
    let spans = names.map(|name| told.span(name));
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(spans.iter().all(|span| hex(&span.trace_id) == trace), "{spans:#?}");
    assert_eq!(hex(&spans[0].parent_span_id), "b7ad6b7169203331");
    // Each is beneath the one before it, and what is passed on in the end beneath the last.
    assert_eq!(spans[1].parent_span_id, spans[0].span_id);
    assert_eq!(spans[2].parent_span_id, spans[1].span_id);
    let end: ::redis::Value = super::until("an entry", async || {
        let end: ::redis::Value = client.ask(&["XRANGE", "end", "-", "+"]).await;
        (end != ::redis::Value::Array(Vec::new())).then_some(end)
    })
    .await;
    let end = format!("{end:?}");
    assert!(end.contains(&format!("00-{trace}-{}-01", hex(&spans[2].span_id))), "{end}");
    server.stop().await;
}
