//! OpenTelemetry: what a collector is told of requests, of what guests ask the host, and of what they
//! tell themselves; and what it costs when it is not there.

mod calls;
mod collectors;
mod guests;

use dayfly_testing::otlp::common::v1::any_value::Value;
use dayfly_testing::otlp::metrics::v1::metric::Data;
use dayfly_testing::otlp::metrics::v1::number_data_point::Value as Number;
use dayfly_testing::otlp::trace::v1::Span;
use dayfly_testing::otlp::trace::v1::span::SpanKind;
use dayfly_testing::{
    App, Collector, Dayfly, Page, Running, Told, Upstream, attribute, number, text,
};

use crate::dayfly;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A server that exports soon.
fn exporting(collector: &Collector) -> Dayfly {
    let soon =
        ["OTEL_BSP_SCHEDULE_DELAY", "OTEL_BLRP_SCHEDULE_DELAY", "OTEL_METRIC_EXPORT_INTERVAL"];
    let command = dayfly().env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    soon.into_iter().fold(command, |command, name| command.env(name, "200"))
}

async fn up(collector: &Collector, app: &App) -> Running {
    exporting(collector).up(app.folder()).await
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether one span is within the other, and its child.
fn assert_child(child: &Span, parent: &Span) {
    assert_eq!(hex(&child.parent_span_id), hex(&parent.span_id), "{child:#?} of {parent:#?}");
    assert_eq!(child.trace_id, parent.trace_id);
    assert!(child.start_time_unix_nano >= parent.start_time_unix_nano);
    assert!(child.end_time_unix_nano <= parent.end_time_unix_nano);
}

#[tokio::test]
async fn a_request_is_a_span_with_its_parts_beneath() {
    let collector = Collector::start().await;
    let app = App::of("rust-http");
    let command = exporting(&collector).args(["up", "--check=never"]);
    let server = command.arg(app.folder()).serve().await;
    let headers = [("traceparent", PARENT), ("tracestate", "a=1"), ("user-agent", "me")];
    let answer = server.get_with("/hello?secret=1", &headers).await;
    assert_eq!(answer.status, 200);
    let told = collector.until(|told| !told.spans_named("GET /...").is_empty()).await;
    let request = told.span("GET /...");
    assert_eq!(hex(&request.trace_id), TRACE);
    assert_eq!(hex(&request.parent_span_id), "b7ad6b7169203331");
    assert_eq!(request.trace_state, "a=1");
    assert_eq!(request.kind(), SpanKind::Server);
    assert_eq!(request.status.as_ref().unwrap().code, 0);
    let attributes = &request.attributes;
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/..."),
        ("url.path", "/hello"),
        ("url.scheme", "http"),
        ("network.protocol.version", "1.1"),
        ("server.address", "127.0.0.1"),
        ("client.address", "127.0.0.1"),
        ("user_agent.original", "me"),
        ("dayfly.component", "guest"),
    ] {
        assert_eq!(text(attributes, key), value, "{key}");
    }
    assert_eq!(number(attributes, "http.response.status_code"), Some(200));
    assert!(!format!("{told:?}").contains("secret"), "the query is told");
    let guest = told.span("guest");
    assert_child(guest, request);
    assert!(matches!(attribute(&guest.attributes, "dayfly.cpu_time"), Some(Value::DoubleValue(_))));
    assert_child(told.span("load"), request);
    let (resource, scope, _) = &told.spans[0];
    assert_eq!(scope.name, "dayfly");
    assert_eq!(text(&resource.attributes, "service.name"), "test");
    assert_eq!(text(&resource.attributes, "telemetry.sdk.name"), "dayfly");
    server.stop().await;
}

/// The lines of a tree, each with the one that it stands beneath.
fn tree(text: &str) -> Vec<(&str, Option<&str>)> {
    let mut above: Vec<&str> = Vec::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        let name = line.trim_start();
        above.truncate((line.len() - name.len()) / 2);
        lines.push((name, above.last().copied()));
        above.push(name);
    }
    lines
}

#[tokio::test]
async fn the_pages_example_tells_what_it_says() {
    let collector = Collector::start().await;
    let page = Page::read("observability.md");
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"shop\"\n\
         [component.shop]\nsource = \"guest:rust-spin-3\"\nsqlite_databases = [\"default\"]\n",
    );
    let variables = page.example("sh", 0).lines().filter_map(|line| line.strip_prefix("export "));
    let variables = variables.map(|line| line.split_once('=').expect("a value"));
    let command = variables.fold(exporting(&collector), |command, (name, value)| {
        let value = value.replace("http://127.0.0.1:4318", collector.url());
        command.env(name, value)
    });
    let server = command.args(["up", "--check=never"]).arg(app.folder()).serve().await;
    let lines = "CREATE TABLE t (a)\nINSERT INTO t VALUES (1)\n";
    assert_eq!(server.post("/sqlite/default", lines).await.status, 200);
    let expected = tree(page.example("text", 0));
    let told = collector.until(|told| told.spans.len() == expected.len()).await;
    for (name, parent) in expected {
        let span = told.span(name);
        match parent {
            Some(parent) => assert_child(span, told.span(parent)),
            None => assert!(span.parent_span_id.is_empty(), "{span:#?}"),
        }
    }
    let attributes = &told.spans[0].0.attributes;
    assert_eq!(text(attributes, "service.name"), "shop");
    assert_eq!(text(attributes, "deployment.environment.name"), "test");
    server.stop().await;
}

#[tokio::test]
async fn failures_are_told_with_whose_fault_they_are() {
    let collector = Collector::start().await;
    let app = App::granted("rust-http", "limits = { time = \"300ms\" }");
    let server = up(&collector, &app).await;
    let failed = server.get("/panic").await;
    server.get("/status?code=404").await;
    server.get("/status?code=503").await;
    let broken = server.request(http::Method::GET, "/break").body(dayfly_testing::Body::empty());
    // A trap just after the first bytes may come early enough for a status of its own.
    let breaks_off = server.try_send(broken).await.is_err();
    let told = collector.until(|told| told.spans_named("GET /...").len() == 4).await;
    let spans = told.spans_named("GET /...");
    let facts: Vec<(i64, &str, &str, i32)> = spans
        .iter()
        .map(|span| {
            let of = |key| text(&span.attributes, key);
            let status = number(&span.attributes, "http.response.status_code").unwrap();
            (status, of("dayfly.fault"), of("error.type"), span.status.as_ref().unwrap().code)
        })
        .collect();
    let expected = [
        (500, "guest", "500", 2),
        (404, "", "", 0),
        (503, "", "503", 2),
        if breaks_off { (200, "guest", "broke_off", 2) } else { (500, "guest", "500", 2) },
    ];
    assert_eq!(facts, expected);
    assert_eq!(text(&spans[0].attributes, "dayfly.error_id"), failed.error_id());
    server.stop().await;
}

#[tokio::test]
async fn what_no_component_got_is_told_too() {
    let collector = Collector::start().await;
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/static\"\nstatic_response = { status_code = 204 }\n",
    );
    let server = up(&collector, &app).await;
    server.get("/static").await;
    server.get("/nowhere").await;
    server.get("/.well-known/dayfly/health").await;
    let told = collector.until(|told| told.spans.len() == 2).await;
    let statuses: Vec<Option<i64>> = told
        .spans_named("GET")
        .iter()
        .map(|span| number(&span.attributes, "http.response.status_code"))
        .collect();
    assert_eq!(statuses, [Some(204), Some(404)]);
    server.stop().await;
}

#[tokio::test]
async fn an_outbound_request_is_a_span_whose_place_the_server_is_told() {
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    for guest in ["rust-http", "rust-spin-7"] {
        let lines = format!("allowed_outbound_hosts = [{:?}]", upstream.url());
        let app = App::granted(guest, &lines);
        let server = up(&collector, &app).await;
        let before = collector.told().spans.len();
        let path = format!("/fetch?url={}/there?secret=1", upstream.url());
        let seen = server.text(&path).await;
        let refused = server.get("/fetch?url=http://127.0.0.1:1/").await;
        assert_ne!(refused.status, 200);
        let enough = |told: &Told| told.spans.len() >= before + 6;
        let told = collector.until(enough).await;
        let spans: Vec<&Span> = told.spans[before..].iter().map(|(_, _, span)| span).collect();
        let clients: Vec<&&Span> =
            spans.iter().filter(|span| span.kind() == SpanKind::Client).collect();
        let [fetched, refused] = clients[..] else { panic!("{clients:#?}") };
        assert_eq!(fetched.name, "GET");
        assert_eq!(text(&fetched.attributes, "url.full"), format!("{}/there", upstream.url()));
        assert_eq!(number(&fetched.attributes, "http.response.status_code"), Some(200));
        assert_eq!(number(&fetched.attributes, "server.port"), Some(upstream.port().into()));
        let guest = spans.iter().find(|span| span.span_id == fetched.parent_span_id).unwrap();
        assert_eq!(guest.name, "guest");
        let place =
            format!("traceparent: 00-{}-{}-01\n", hex(&fetched.trace_id), hex(&fetched.span_id));
        assert!(seen.contains(&place), "no {place} in {seen}");
        assert_eq!(text(&refused.attributes, "error.type"), "refused");
        assert_eq!(refused.status.as_ref().unwrap().code, 2);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_guest_knows_its_place_and_what_is_no_place_is_passed_by() {
    let collector = Collector::start().await;
    let app = App::of("rust-interfaces");
    let server = up(&collector, &app).await;
    let headers = [("traceparent", PARENT), ("tracestate", "a=1,b=2")];
    let outer = server.get_with("/otel/outer", &headers).await.text();
    let told = collector.until(|told| told.spans.len() == 2).await;
    let span = hex(&told.span("guest").span_id);
    assert_eq!(outer, format!("{TRACE} {span} true true [(\"a\", \"1\"), (\"b\", \"2\")]"));
    let unsampled = PARENT.replace("-01", "-00");
    let outer = server.get_with("/otel/outer", &[("traceparent", &unsampled)]).await.text();
    assert!(outer.starts_with(TRACE) && outer.contains(" false true"), "{outer}");
    for wrong in ["", "00-1-2-3", &PARENT.to_uppercase(), &format!("{PARENT}{PARENT}")] {
        let outer = server.get_with("/otel/outer", &[("traceparent", wrong)]).await.text();
        assert!(!outer.starts_with(TRACE) && outer.contains(" true true []"), "{outer}");
    }
    let told = collector.until(|told| told.spans.len() == 10).await;
    assert_eq!(told.spans_named("GET /...").len(), 5, "one was not sampled");
    server.stop().await;
}

#[tokio::test]
async fn errors_in_the_log_stand_at_their_request() {
    let collector = Collector::start().await;
    let app = App::of("rust-http");
    let server = up(&collector, &app).await;
    let id = server.get_with("/panic", &[("traceparent", PARENT)]).await.error_id();
    server.get_with("/log?text=line", &[("traceparent", PARENT)]).await;
    let is_error = |told: &Told| told.logs.iter().any(|(_, scope, _)| scope.name == "dayfly::edge");
    let is_line = |told: &Told| format!("{:?}", told.logs).contains("stdout line 1");
    let told = collector.until(|told| is_error(told) && is_line(told)).await;
    let (_, _, error) =
        told.logs.iter().find(|(_, scope, _)| scope.name == "dayfly::edge").unwrap();
    assert_eq!(hex(&error.trace_id), TRACE);
    assert_eq!(text(&error.attributes, "error_id"), id);
    let (_, _, line) = told
        .logs
        .iter()
        .find(|(_, _, record)| format!("{:?}", record.body).contains("stdout line 1"))
        .unwrap();
    assert_eq!(hex(&line.trace_id), TRACE);
    server.stop().await;
}

#[tokio::test]
async fn metrics_of_the_host_and_of_guests_are_told() {
    let collector = Collector::start().await;
    let app = App::of("rust-interfaces");
    let server = up(&collector, &app).await;
    server.text("/hello").await;
    server.text("/otel/metrics").await;
    let is_there = |told: &Told, name: &str| {
        told.metrics.iter().rev().find(|(_, _, metric)| metric.name == name).cloned()
    };
    let counted = |told: &Told| {
        let (_, _, metric) = is_there(told, "dayfly.requests")?;
        let Some(Data::Sum(sum)) = metric.data else { return None };
        let point = sum.data_points.iter().find(|point| {
            text(&point.attributes, "component") == "guest"
                && text(&point.attributes, "status") == "2xx"
        })?;
        (sum.is_monotonic && sum.aggregation_temporality == 2).then_some(point.value.unwrap())
    };
    let told = collector
        .until(|told| {
            counted(told) == Some(Number::AsInt(2)) && is_there(told, "guest.exponential").is_some()
        })
        .await;
    let (_, _, duration) = is_there(&told, "dayfly.request.duration").unwrap();
    assert_eq!(duration.unit, "s");
    let Some(Data::Histogram(histogram)) = duration.data else { panic!("a histogram") };
    assert_eq!(histogram.data_points[0].count, 2);
    assert_eq!(histogram.data_points[0].bucket_counts.len(), 17);
    let (resource, scope, gauge) = is_there(&told, "guest.gauge").unwrap();
    assert_eq!(scope.name, "guest-library");
    assert_eq!(text(&resource.attributes, "service.name"), "test");
    assert_eq!(text(&resource.attributes, "guest.said"), "this");
    let Some(Data::Gauge(gauge)) = gauge.data else { panic!("a gauge") };
    assert_eq!(gauge.data_points[0].value, Some(Number::AsDouble(2.5)));
    assert_eq!(text(&gauge.data_points[0].attributes, "dayfly.component"), "guest");
    assert_eq!(hex(&gauge.data_points[0].exemplars[0].span_id), "00000000000000aa");
    let Some(Data::Sum(sum)) = is_there(&told, "guest.sum").unwrap().2.data else {
        panic!("a sum")
    };
    assert_eq!(sum.data_points[0].value, Some(Number::AsInt(7)));
    assert_eq!((sum.aggregation_temporality, sum.is_monotonic), (1, true));
    let Some(Data::Histogram(histogram)) = is_there(&told, "guest.histogram").unwrap().2.data
    else {
        panic!("a histogram")
    };
    assert_eq!(histogram.data_points[0].bucket_counts, [1, 1, 1]);
    assert_eq!(histogram.data_points[0].min, Some(-1.0));
    let Some(Data::ExponentialHistogram(histogram)) =
        is_there(&told, "guest.exponential").unwrap().2.data
    else {
        panic!("an exponential histogram")
    };
    assert_eq!(histogram.data_points[0].positive.as_ref().unwrap().offset, 2);
    server.stop().await;
}

#[tokio::test]
async fn others_are_told_nothing_if_they_are_not_to_be() {
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    let app =
        App::granted("rust-http", &format!("allowed_outbound_hosts = [{:?}]", upstream.url()));
    let server = exporting(&collector).env("OTEL_PROPAGATORS", "none").up(app.folder()).await;
    let path = format!("/fetch?url={}/", upstream.url());
    let seen = server.get_with(&path, &[("traceparent", PARENT)]).await.text();
    assert!(!seen.contains("traceparent"), "{seen}");
    let told = collector.until(|told| told.spans.len() == 3).await;
    assert_ne!(hex(&told.span("GET /...").trace_id), TRACE);
    server.stop().await;
}
