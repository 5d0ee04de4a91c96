//! What guests tell themselves, by `wasi:otel` and `wasi:logging`, and by their lines.

use dayfly_testing::otlp::common::v1::any_value::Value;
use dayfly_testing::otlp::trace::v1::Span;
use dayfly_testing::otlp::trace::v1::span::SpanKind;
use dayfly_testing::{App, Collector, Page, Told, attribute, text};

use super::{PARENT, TRACE, exporting, hex, up};
use crate::dayfly;

#[tokio::test]
async fn guests_tell_and_log_as_their_page_says() {
    let collector = Collector::start().await;
    let manifest = Page::read("capabilities/telemetry.md").example("toml", 0).to_owned();
    let app = App::new(&manifest.replace("shop.wasm", "guest:rust-interfaces"));
    let server = up(&collector, &app).await;
    server.text("/otel/spans").await;
    server.text("/logging/draft?level=warn&context=here&message=careful").await;
    let is_logged = |told: &Told| format!("{:?}", told.logs).contains("careful");
    let is_there = |told: &Told| !told.spans_named("guest root").is_empty() && is_logged(told);
    let told = collector.until(is_there).await;
    assert_eq!(text(&told.span("guest root").attributes, "dayfly.component"), "shop");
    server.stop().await;
}

#[tokio::test]
async fn spans_of_guests_are_their_requests_children() {
    let collector = Collector::start().await;
    let app = App::of("rust-interfaces");
    let server = up(&collector, &app).await;
    server.text("/otel/spans").await;
    server.text("/otel/forged").await;
    let told = collector.until(|told| told.spans.len() == 7).await;
    let (root, child) = (told.span("guest root"), told.span("guest child"));
    let host = told.spans_named("guest");
    let guest = host.iter().find(|span| span.span_id == root.parent_span_id).expect("its parent");
    assert_eq!(root.trace_id, guest.trace_id);
    assert_eq!(hex(&root.span_id), "00000000000000aa");
    assert_eq!(child.parent_span_id, root.span_id);
    assert_eq!(child.kind(), SpanKind::Producer);
    assert_eq!((child.start_time_unix_nano % 10, child.end_time_unix_nano % 10), (1, 5));
    assert_eq!(child.status.as_ref().unwrap().message, "it failed");
    assert_eq!(child.dropped_attributes_count, 4);
    assert_eq!(child.events[0].name, "it happened");
    assert_eq!(child.links[0].span_id, root.span_id);
    let value = |key| attribute(&child.attributes, key);
    assert_eq!(value("yes"), Some(&Value::BoolValue(true)));
    assert_eq!(value("whole"), Some(&Value::IntValue(7)));
    assert_eq!(value("half"), Some(&Value::DoubleValue(0.5)));
    assert_eq!(value("bytes"), Some(&Value::BytesValue(vec![0, 1, 2])));
    assert!(matches!(value("list"), Some(Value::ArrayValue(list)) if list.values.len() == 2));
    assert_eq!(text(&child.attributes, "dayfly.component"), "guest");
    let (resource, scope, _) =
        told.spans.iter().find(|(_, _, span)| span.name == "guest root").unwrap();
    assert_eq!((scope.name.as_str(), scope.version.as_str()), ("guest-library", "1.2.3"));
    assert_eq!(text(&resource.attributes, "service.name"), "test");
    // Of another trace there is none.
    let forged = told.span("forged");
    assert!(host.iter().any(|span| span.trace_id == forged.trace_id));
    assert!(!format!("{:?}", told.names()).contains("without an id"));
    assert!(!told.names().contains(&"not sampled"));
    server.stop().await;
}

#[tokio::test]
async fn logs_of_guests_and_of_the_host_stand_at_their_request() {
    let collector = Collector::start().await;
    let app = App::of("rust-interfaces");
    let server = up(&collector, &app).await;
    server.get_with("/otel/logs", &[("traceparent", PARENT)]).await;
    let level = "/logging/draft?level=warn&context=here&message=careful";
    server.get_with(level, &[("traceparent", PARENT)]).await;
    let of_trace = |told: &Told| {
        told.logs
            .iter()
            .filter(|(_, _, record)| hex(&record.trace_id) == TRACE)
            .cloned()
            .collect::<Vec<_>>()
    };
    let told = collector.until(|told| of_trace(told).len() >= 3).await;
    let records = of_trace(&told);
    let of_scope = |name: &str| records.iter().filter(|(_, scope, _)| scope.name == name).collect();
    let told: Vec<_> = of_scope("guest-library");
    let [(resource, _, full)] = told[..] else { panic!("{told:#?}") };
    assert_eq!((full.severity_number, full.severity_text.as_str()), (13, "WARN"));
    assert_eq!((full.time_unix_nano % 10, full.observed_time_unix_nano % 10), (1, 2));
    assert_eq!(full.event_name, "something");
    assert_eq!(hex(&full.span_id), "00000000000000aa");
    let body = full.body.as_ref().unwrap().value.as_ref();
    assert!(matches!(body, Some(Value::KvlistValue(list)) if list.values[0].key == "a"));
    assert_eq!(text(&full.attributes, "k"), "v");
    assert_eq!(text(&resource.attributes, "service.name"), "test", "a guest forges nothing");
    assert_eq!(text(&resource.attributes, "guest.said"), "this");
    let said: Vec<_> = of_scope("dayfly::guest");
    let said = said.iter().map(|(_, _, said)| said);
    let said: Vec<_> = said.filter(|said| said.severity_text == "WARN").collect();
    let [said] = said[..] else { panic!("{said:#?}") };
    assert_eq!(text(&said.attributes, "context"), "here");
    let body = said.body.as_ref().unwrap().value.clone();
    assert_eq!(body, Some(Value::StringValue("careful".to_owned())));
    server.stop().await;
}

#[tokio::test]
async fn what_guests_tell_is_bounded() {
    let collector = Collector::start().await;
    let app = App::of("rust-interfaces");
    let command = exporting(&collector).env("OTEL_BSP_MAX_QUEUE_SIZE", "10000");
    let server = command.up(app.folder()).await;
    server.text("/otel/many?count=3000").await;
    server.text("/otel/many?count=10&bytes=200000").await;
    server.text("/otel/many?count=100&bytes=30000").await;
    let told = collector.until(|told| told.spans_named("GET /...").len() == 3).await;
    let spans = told.spans_named("one of many");
    let of_bytes = |bytes: usize| {
        let length = |span: &&&Span| text(&span.attributes, "long").len() == bytes;
        spans.iter().filter(length).count()
    };
    assert_eq!(of_bytes(1), 1000);
    // What is too long is cut; so many of them have no room.
    assert_eq!(spans.len() - of_bytes(1), (1 << 20) / 30_000);
    assert!(spans.iter().all(|span| text(&span.attributes, "long").len() <= 8 << 10));
    server.stop().await;
}

#[tokio::test]
async fn messages_are_logged_with_their_level_and_bounded() {
    let app = App::granted("rust-interfaces", "limits = { log = \"64KiB\" }");
    let server = dayfly().arg("up").arg(app.folder()).serve().await;
    server.text("/logging/draft?level=error&context=here&message=one").await;
    server.text("/logging/old?level=debug&message=two").await;
    server.text("/logging/old?message=three").await;
    let line = server.stderr().containing("three").await;
    assert!(line.contains(" INFO ") && line.contains("component=guest"), "{line}");
    let line = server.stderr().containing("one").await;
    assert!(line.contains("ERROR") && line.contains("context=\"here\""), "{line}");
    let file = std::fs::read_to_string(server.state("logs/guest_stderr.txt")).unwrap();
    assert_eq!(file, "error: [here] one\ndebug: two\ninfo: three\n");
    server.text("/logging/draft?message=flood&bytes=1000&times=1000").await;
    let ended = server.stop().await;
    assert!(!ended.stderr.contains("two"), "debug is not shown");
    assert!(ended.stderr.contains("log limit"));
    assert!(ended.stderr.matches("flood").count() < 20_000, "{}", ended.stderr.len());
}
