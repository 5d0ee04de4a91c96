//! Collectors: reached by each protocol, away, slow, and others' own.

use std::time::{Duration, Instant};

use dayfly_testing::otlp::metrics::v1::metric::Data;
use dayfly_testing::otlp::metrics::v1::number_data_point::Value as Number;
use dayfly_testing::otlp::trace::v1::span::SpanKind;
use dayfly_testing::{App, Certificate, Collector, Rotel, Told, number, text};

use super::{PARENT, TRACE, assert_child, exporting, hex, up};
use crate::dayfly;

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
async fn an_endpoint_that_is_none_ends_the_command() {
    let app = App::of("rust-http");
    let command = dayfly().env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:opensesame@host");
    let stderr = command.up_ends(app.folder()).await.with(1);
    assert!(stderr.contains("`OTEL_EXPORTER_OTLP_ENDPOINT` is no URL"), "{stderr}");
    assert!(!stderr.contains("opensesame"), "{stderr}");
}
