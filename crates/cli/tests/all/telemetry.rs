//! OpenTelemetry: what a collector is told of requests, of what guests ask the host, and of what they
//! tell themselves; and what it costs when it is not there.

use std::time::{Duration, Instant};

use dayfly_testing::otlp::common::v1::any_value::Value;
use dayfly_testing::otlp::metrics::v1::metric::Data;
use dayfly_testing::otlp::metrics::v1::number_data_point::Value as Number;
use dayfly_testing::otlp::trace::v1::Span;
use dayfly_testing::otlp::trace::v1::span::SpanKind;
use dayfly_testing::{
    App, Certificate, Collector, Dayfly, Page, Rotel, Running, Told, Upstream, attribute, number,
    text,
};

use crate::dayfly;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub(crate) const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A server that exports soon.
pub(crate) fn exporting(collector: &Collector) -> Dayfly {
    let soon =
        ["OTEL_BSP_SCHEDULE_DELAY", "OTEL_BLRP_SCHEDULE_DELAY", "OTEL_METRIC_EXPORT_INTERVAL"];
    let command = dayfly().env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    soon.into_iter().fold(command, |command, name| command.env(name, "200"))
}

async fn up(collector: &Collector, app: &App) -> Running {
    exporting(collector).up(app.folder()).await
}

pub(crate) fn hex(id: &[u8]) -> String {
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
async fn grpc_and_gzip_carry_the_same() {
    for protocol in ["grpc", "http/protobuf"] {
        let collector = Collector::start().await;
        let app = App::of("rust-http");
        let command = exporting(&collector)
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
            .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20opensesame")
            .env("OTEL_SERVICE_NAME", "mine");
        let server = command.up(app.folder()).await;
        server.text("/log").await;
        let told = collector
            .until(|told| {
                !told.spans.is_empty() && !told.metrics.is_empty() && !told.logs.is_empty()
            })
            .await;
        assert_eq!(text(&told.spans[0].0.attributes, "service.name"), "mine");
        assert!(told.requests.iter().all(|(_, headers)| {
            headers["authorization"] == "Bearer opensesame" && headers.contains_key("user-agent")
        }));
        let ended = server.stop().await;
        assert!(!ended.stderr.contains("opensesame"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("lost"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_collector_that_others_wrote_understands_it() {
    for (protocol, compression) in
        [("http/protobuf", "none"), ("http/protobuf", "gzip"), ("grpc", "none"), ("grpc", "gzip")]
    {
        // What it understood, it tells on in words of its own.
        let collector = Collector::start().await;
        let between = match protocol {
            "grpc" => Rotel::over_grpc(&collector).await,
            _ => Rotel::over_http(&collector).await,
        };
        let app = App::of("rust-interfaces");
        let command = exporting(&collector)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", between.url())
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .env("OTEL_EXPORTER_OTLP_COMPRESSION", compression);
        let server = command.up(app.folder()).await;
        let headers = [("traceparent", PARENT), ("tracestate", "a=1")];
        for path in ["/otel/spans", "/otel/logs", "/otel/metrics"] {
            assert_eq!(server.get_with(path, &headers).await.status, 200, "{path}");
        }
        let has = |told: &Told, name: &str| told.metrics.iter().any(|(.., m)| m.name == name);
        let told = collector
            .until(|told| {
                told.spans_named("GET /...").len() == 3
                    && !told.spans_named("guest child").is_empty()
                    && told.logs.iter().any(|(_, scope, _)| scope.name == "guest-library")
                    && has(told, "dayfly.requests")
                    && has(told, "dayfly.request.duration")
                    && has(told, "guest.exponential")
            })
            .await;
        for request in told.spans_named("GET /...") {
            assert_eq!(hex(&request.trace_id), TRACE, "{protocol}");
            assert_eq!(hex(&request.parent_span_id), "b7ad6b7169203331");
            assert_eq!((request.kind(), request.trace_state.as_str()), (SpanKind::Server, "a=1"));
            assert_eq!(number(&request.attributes, "http.response.status_code"), Some(200));
        }
        assert_child(told.span("guest child"), told.span("guest root"));
        assert_eq!(told.span("guest child").events[0].name, "it happened");
        assert_eq!(text(&told.spans[0].0.attributes, "service.name"), "test");
        let (_, _, log) =
            told.logs.iter().find(|(_, scope, _)| scope.name == "guest-library").unwrap();
        assert_eq!((hex(&log.trace_id).as_str(), log.severity_number), (TRACE, 13));
        let ended = server.stop().await;
        assert!(!ended.stderr.contains("dayfly::telemetry"), "{protocol}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_collector_behind_tls_is_reached_by_whom_both_trust() {
    let (certificate, own) = (Certificate::new(), Certificate::new());
    for protocol in ["grpc", "http/protobuf"] {
        let collector = Collector::start_tls(&certificate, &own).await;
        let app = App::of("rust-http");
        let trusting = || {
            exporting(&collector)
                .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
                .env("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", own.chain())
                .env("OTEL_EXPORTER_OTLP_CLIENT_KEY", own.key())
        };
        // The platform knows nothing of this authority.
        let server = trusting().up(app.folder()).await;
        server.text("/hello").await;
        server.stop().await;
        assert!(collector.told().requests.is_empty(), "{protocol}");
        let command = trusting().env("OTEL_EXPORTER_OTLP_CERTIFICATE", certificate.authority());
        let command = command.args(["up", "--harden", "on"]);
        let server = command.arg(app.folder()).serve().await;
        server.text("/hello").await;
        collector.until(|told| !told.spans.is_empty() && !told.metrics.is_empty()).await;
        server.stop().await;
    }
}

#[tokio::test]
async fn what_is_lost_is_counted_and_said_once() {
    let (deaf, collector) = (Collector::start().await, Collector::start().await);
    deaf.answer(400);
    let app = App::of("rust-interfaces");
    let metrics = format!("{}/v1/metrics", collector.url());
    let command = exporting(&deaf)
        .env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", metrics)
        .env("OTEL_LOGS_EXPORTER", "none")
        .env("OTEL_BSP_MAX_QUEUE_SIZE", "20");
    let server = command.up(app.folder()).await;
    for _ in 0..5 {
        server.text("/otel/many?count=100").await;
    }
    let count = |told: &Told, what: &str| {
        let mut latest = told.metrics.iter().rev();
        let (_, _, metric) = latest.find(|(.., metric)| metric.name == what)?;
        let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:#?}") };
        let point = sum.data_points.iter();
        let of_traces =
            point.clone().find(|point| text(&point.attributes, "signal") == "traces")?;
        match of_traces.value {
            Some(Number::AsInt(count)) => Some(count),
            _ => None,
        }
    };
    let told = collector
        .until(|told| {
            count(told, "dayfly.telemetry.dropped").is_some_and(|dropped| dropped > 300)
                && count(told, "dayfly.telemetry.failed").is_some_and(|failed| failed > 0)
        })
        .await;
    assert_eq!(count(&told, "dayfly.telemetry.exported"), Some(0));
    let ended = server.stop().await;
    let lines = ended.stderr.lines();
    let lines: Vec<&str> = lines.filter(|line| line.contains("signal=\"traces\"")).collect();
    assert_eq!(lines.len(), 1, "{}", ended.stderr);
}

#[tokio::test]
async fn a_collector_that_never_answers_delays_nobody() {
    // It takes connections, and nothing more.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let app = App::of("rust-http");
    let command = dayfly()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", silent.local_addr().unwrap()))
        .env("OTEL_BSP_SCHEDULE_DELAY", "10")
        .env("OTEL_BSP_MAX_QUEUE_SIZE", "8");
    let server = command.up(app.folder()).await;
    server.text("/hello").await;
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(server.text("/hello").await, "hello world");
    }
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let began = Instant::now();
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_sampler_that_is_told_to_takes_a_share() {
    let collector = Collector::start().await;
    let app = App::of("rust-http");
    let command = exporting(&collector)
        .env("OTEL_TRACES_SAMPLER", "traceidratio")
        .env("OTEL_TRACES_SAMPLER_ARG", "0.25");
    let server = command.up(app.folder()).await;
    for _ in 0..200 {
        server.text("/hello").await;
    }
    server.stop().await;
    let sampled = collector.told().spans_named("GET /...").len();
    assert!((15..100).contains(&sampled), "{sampled} of 200");
}

#[tokio::test]
async fn what_is_not_served_is_warned_of() {
    let collector = Collector::start().await;
    let app = App::of("rust-http");
    let command = exporting(&collector)
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
        .env("OTEL_TRACES_SAMPLER", "jaeger_remote");
    let server = command.up(app.folder()).await;
    let ended = server.stop().await;
    for variable in ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_TRACES_SAMPLER"] {
        let lines = ended.stderr.lines().filter(|line| line.contains(variable)).count();
        assert_eq!(lines, 1, "{variable}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_collector_that_is_away_costs_nobody_anything() {
    let collector = Collector::start().await;
    collector.answer(503);
    let app = App::of("rust-http");
    let server = up(&collector, &app).await;
    let began = Instant::now();
    for _ in 0..50 {
        server.text("/hello").await;
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    collector.until(|told| told.requests.len() > 1).await;
    // What was not taken is sent again.
    collector.answer(200);
    collector.until(|told| told.spans_named("GET /...").len() == 50).await;
    server.stop().await;
    // One that is not there at all does not keep the server.
    let gone = dayfly().env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let server = gone.env("OTEL_BSP_SCHEDULE_DELAY", "50").up(app.folder()).await;
    server.text("/hello").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_waits_is_sent_in_the_end() {
    let collector = Collector::start().await;
    let app = App::of("rust-http");
    let command = dayfly().env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let server = command.env("OTEL_BSP_SCHEDULE_DELAY", "60000").up(app.folder()).await;
    for _ in 0..7 {
        server.text("/hello").await;
    }
    assert!(collector.told().spans.is_empty());
    server.stop().await;
    let told = collector.told();
    assert_eq!(told.spans_named("GET /...").len(), 7);
    assert!(!told.metrics.is_empty(), "the last metrics");
}

#[tokio::test]
async fn nothing_is_told_unless_it_is_asked_for() {
    let collector = Collector::start().await;
    let app = App::of("rust-interfaces");
    let nothing = "0".repeat(32) + " " + &"0".repeat(16) + " false true []";
    let disabled = exporting(&collector).env("OTEL_SDK_DISABLED", "true");
    for command in [dayfly(), disabled] {
        let server = command.up(app.folder()).await;
        assert_eq!(server.text("/otel/outer").await, nothing);
        for told in ["spans", "logs", "metrics"] {
            assert_eq!(server.text(&format!("/otel/{told}")).await, nothing);
        }
        server.stop().await;
    }
    let traces = ["OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"];
    let only = traces.into_iter().fold(exporting(&collector), |c, name| c.env(name, "none"));
    let server = only.env("OTEL_TRACES_SAMPLER", "always_off").up(app.folder()).await;
    let outer = server.get_with("/otel/outer", &[("traceparent", PARENT)]).await.text();
    assert!(outer.starts_with(TRACE) && outer.contains(" false true "), "{outer}");
    server.text("/otel/logs").await;
    server.stop().await;
    assert!(collector.told().requests.is_empty(), "{:#?}", collector.told());
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

#[tokio::test]
async fn an_endpoint_that_is_none_ends_the_command() {
    let app = App::of("rust-http");
    let command = dayfly().env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:opensesame@host");
    let stderr = command.up_ends(app.folder()).await.with(1);
    assert!(stderr.contains("`OTEL_EXPORTER_OTLP_ENDPOINT` is no URL"), "{stderr}");
    assert!(!stderr.contains("opensesame"), "{stderr}");
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
