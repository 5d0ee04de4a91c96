//! What is told of WebSockets: a span for each event, and metrics.

use dayfly_testing::otlp::trace::v1::Span;
use dayfly_testing::otlp::trace::v1::span::SpanKind;
use dayfly_testing::{Client as Http, Collector, text};

use super::messages::until;
use super::{Client, app};
use crate::dayfly;

/// The spans of events of a type, and of nothing else.
fn of_type<'a>(spans: &[&'a Span], kind: &str) -> Vec<&'a Span> {
    let all = spans.iter().filter(|span| {
        text(&span.attributes, "cloudevents.event_type") == format!("dayfly.websocket.{kind}")
    });
    all.copied().collect()
}

#[tokio::test]
async fn each_event_is_a_span() {
    let (app, collector) = (app("true", ""), Collector::start().await);
    let command = dayfly().env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let server = command.env("OTEL_BSP_SCHEDULE_DELAY", "200").up(app.folder()).await;
    let mut client = Client::connect(&server, "/chat/room").await;
    let id = client.ask("whoami").await;
    client.ask("hello").await;
    client.send("fail").await;
    assert_eq!(client.code().await, 1011);
    // The beginning is a request; three messages, and the end.
    let told = collector.until(|told| told.spans_named("process websocket").len() >= 4).await;
    let open = told.span("GET /chat/...");
    assert_eq!(open.kind(), SpanKind::Server);
    let spans = told.spans_named("process websocket");
    let (messages, ends) = (of_type(&spans, "message"), of_type(&spans, "close"));
    assert_eq!((messages.len(), ends.len(), spans.len()), (3, 1, 4), "{spans:#?}");
    for span in &spans {
        assert_eq!(span.kind(), SpanKind::Consumer);
        for (key, value) in [
            ("messaging.operation.type", "process"),
            ("messaging.destination.name", &*id),
            ("cloudevents.event_source", "/websocket"),
            ("dayfly.component", "chat"),
        ] {
            assert_eq!(text(&span.attributes, key), value, "{key}");
        }
        // Each is a trace of its own, with its guest beneath.
        assert!(span.parent_span_id.is_empty() && span.trace_id != open.trace_id);
        let guests = told.spans_named("chat");
        assert!(guests.iter().any(|guest| guest.parent_span_id == span.span_id), "{told:#?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn connections_and_messages_are_counted() {
    let app = app("true", "");
    let command = dayfly().args(["up", "--metrics-listen", "127.0.0.1:0"]).arg(app.folder());
    let server = command.serve().await;
    let line = server.stdout().containing("(metrics)").await;
    let metrics = Http::http1(line.split("/metrics").next().unwrap());
    let told = async |wanted: &[&str]| {
        until("the counts", async || {
            let text = metrics.get("/metrics").await.text();
            let is_told = |line: &&str| text.lines().any(|told| told == *line);
            wanted.iter().all(is_told).then_some(())
        })
        .await;
    };
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::connect(&server, "/chat/a?join=all").await);
        clients.last_mut().unwrap().text().await;
    }
    // One says something that reaches all three, and hears an answer.
    clients[0].send("say all hello").await;
    for client in &mut clients {
        client.text().await;
    }
    clients[0].text().await;
    told(&[
        "dayfly_websockets 3",
        "dayfly_websockets_opened_total 3",
        "dayfly_websocket_messages_total{direction=\"received\"} 1",
        // Three answers to those who came, three of what was said, one to who said it.
        "dayfly_websocket_messages_total{direction=\"sent\"} 7",
        "dayfly_websocket_events_failed_total 0",
    ])
    .await;
    clients[0].send("fail").await;
    assert_eq!(clients[0].code().await, 1011);
    told(&["dayfly_websockets 2", "dayfly_websocket_events_failed_total 1"]).await;
    server.stop().await;
}
