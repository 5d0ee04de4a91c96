//! `wasi:otel`: `/otel/outer` says where in a trace the guest is, the others tell something there.

use crate::bindings::wasi::clocks::wall_clock::Datetime;
use crate::bindings::wasi::otel::logs::{LogRecord, on_emit};
use crate::bindings::wasi::otel::metrics::{
    Exemplar, ExponentialBucket, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge,
    GaugeDataPoint, Histogram, HistogramDataPoint, Metric, MetricData, MetricNumber,
    ResourceMetrics, ScopeMetrics, Sum, SumDataPoint, Temporality, export,
};
use crate::bindings::wasi::otel::tracing::{
    Event, Link, SpanContext, SpanData, SpanKind, Status, TraceFlags, on_end, on_start,
    outer_span_context,
};
use crate::bindings::wasi::otel::types::{InstrumentationScope, KeyValue, Resource};
use crate::exchange::{Exchange, Failure, wit_failure};

pub fn call(exchange: &mut Exchange, operation: &str) -> Result<(), Failure> {
    let outer = outer_span_context();
    match operation {
        "outer" => {}
        "spans" => spans(&outer),
        "forged" => forged(&outer),
        "many" => many(exchange, &outer)?,
        "logs" => logs(&outer),
        "metrics" => metrics().map_err(|error| wit_failure("export", error))?,
        other => return exchange.answer(404, &format!("no such operation: {other}\n")),
    }
    let SpanContext { trace_id, span_id, trace_flags, is_remote, trace_state } = outer;
    let sampled = trace_flags.contains(TraceFlags::SAMPLED);
    exchange.text(&format!("{trace_id} {span_id} {sampled} {is_remote} {trace_state:?}"))
}

fn at(nanoseconds: u32) -> Datetime {
    Datetime { seconds: 1_700_000_000, nanoseconds }
}

fn pair(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: value.to_owned() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "guest-library".to_owned(),
        version: Some("1.2.3".to_owned()),
        schema_url: Some("https://example.com/schema".to_owned()),
        attributes: vec![pair("scoped", "true")],
    }
}

fn resource() -> Resource {
    Resource {
        attributes: vec![pair("service.name", "\"forged\""), pair("guest.said", "\"this\"")],
        schema_url: None,
    }
}

/// A context like the outer one, with another span.
fn place(outer: &SpanContext, span_id: &str) -> SpanContext {
    SpanContext { span_id: span_id.to_owned(), ..outer.clone() }
}

fn span(context: SpanContext, parent: &str, name: &str) -> SpanData {
    SpanData {
        span_context: context,
        parent_span_id: parent.to_owned(),
        span_kind: SpanKind::Internal,
        name: name.to_owned(),
        start_time: at(1),
        end_time: at(5),
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
        status: Status::Unset,
        instrumentation_scope: scope(),
        dropped_attributes: 0,
        dropped_events: 0,
        dropped_links: 0,
    }
}

/// A span without a parent of the guest's, and a child of it with all that there can be.
fn spans(outer: &SpanContext) {
    let (first, second) = (place(outer, "00000000000000aa"), place(outer, "00000000000000bb"));
    on_start(&first);
    on_start(&second);
    on_end(&SpanData {
        span_kind: SpanKind::Producer,
        attributes: vec![
            pair("text", "\"a\""),
            pair("yes", "true"),
            pair("whole", "7"),
            pair("half", "0.5"),
            pair("list", "[1,2]"),
            pair("bytes", "\"data:application/octet-stream;base64,AAEC\""),
        ],
        events: vec![Event {
            name: "it happened".to_owned(),
            time: at(3),
            attributes: vec![pair("n", "1")],
        }],
        links: vec![Link { span_context: first.clone(), attributes: vec![pair("why", "\"so\"")] }],
        status: Status::Error("it failed".to_owned()),
        dropped_attributes: 4,
        ..span(second, &first.span_id, "guest child")
    });
    on_end(&span(first, "", "guest root"));
}

/// Spans of a trace that the guest made up, and of none at all.
fn forged(outer: &SpanContext) {
    let other = SpanContext { trace_id: "f".repeat(32), ..place(outer, "00000000000000cc") };
    on_end(&span(other, &"e".repeat(16), "forged"));
    on_end(&span(place(outer, "no id"), "", "without an id"));
    let unsampled =
        SpanContext { trace_flags: TraceFlags::empty(), ..place(outer, "00000000000000dd") };
    on_end(&span(unsampled, "", "not sampled"));
}

/// `count` spans with an attribute of `bytes` bytes each.
fn many(exchange: &Exchange, outer: &SpanContext) -> Result<(), Failure> {
    let value = format!("\"{}\"", "x".repeat(exchange.number("bytes", 1)? as usize));
    for number in 1..=exchange.number("count", 1)? {
        let context = place(outer, &format!("{number:016x}"));
        on_end(&SpanData {
            attributes: vec![pair("long", &value)],
            ..span(context, "", "one of many")
        });
    }
    Ok(())
}

/// A full record, and an empty one.
fn logs(outer: &SpanContext) {
    on_emit(&LogRecord {
        timestamp: Some(at(1)),
        observed_timestamp: Some(at(2)),
        severity_text: Some("WARN".to_owned()),
        severity_number: Some(13),
        body: Some("{\"a\":1}".to_owned()),
        attributes: Some(vec![pair("k", "\"v\"")]),
        event_name: Some("something".to_owned()),
        resource: Some(resource()),
        instrumentation_scope: Some(scope()),
        trace_id: Some("f".repeat(32)),
        span_id: Some("00000000000000aa".to_owned()),
        trace_flags: Some(outer.trace_flags),
    });
    on_emit(&LogRecord {
        timestamp: None,
        observed_timestamp: None,
        severity_text: None,
        severity_number: None,
        body: Some("\"empty\"".to_owned()),
        attributes: None,
        event_name: None,
        resource: None,
        instrumentation_scope: None,
        trace_id: None,
        span_id: None,
        trace_flags: None,
    });
}

/// A metric of each kind.
fn metrics() -> Result<(), String> {
    let attributes = || vec![pair("k", "\"v\"")];
    let exemplars = || {
        vec![Exemplar {
            filtered_attributes: attributes(),
            time: at(2),
            value: MetricNumber::F64(1.5),
            span_id: "00000000000000aa".to_owned(),
            trace_id: "0000000000000000000000000000000b".to_owned(),
        }]
    };
    let gauge = Gauge {
        data_points: vec![GaugeDataPoint {
            attributes: attributes(),
            value: MetricNumber::F64(2.5),
            exemplars: exemplars(),
        }],
        start_time: None,
        time: at(9),
    };
    let sum = Sum {
        data_points: vec![SumDataPoint {
            attributes: attributes(),
            value: MetricNumber::U64(7),
            exemplars: Vec::new(),
        }],
        start_time: at(1),
        time: at(9),
        temporality: Temporality::Delta,
        is_monotonic: true,
    };
    let histogram = Histogram {
        data_points: vec![HistogramDataPoint {
            attributes: attributes(),
            count: 3,
            bounds: vec![1.0, 2.0],
            bucket_counts: vec![1, 1, 1],
            min: Some(MetricNumber::S64(-1)),
            max: Some(MetricNumber::S64(3)),
            sum: MetricNumber::S64(4),
            exemplars: Vec::new(),
        }],
        start_time: at(1),
        time: at(9),
        temporality: Temporality::Cumulative,
    };
    let exponential = ExponentialHistogram {
        data_points: vec![ExponentialHistogramDataPoint {
            attributes: attributes(),
            count: 2,
            min: None,
            max: None,
            sum: MetricNumber::F64(3.0),
            scale: -1,
            zero_count: 1,
            positive_bucket: ExponentialBucket { offset: 2, counts: vec![1] },
            negative_bucket: ExponentialBucket { offset: 0, counts: Vec::new() },
            zero_threshold: 0.1,
            exemplars: Vec::new(),
        }],
        start_time: at(1),
        time: at(9),
        temporality: Temporality::Cumulative,
    };
    let metric = |name: &str, data| Metric {
        name: name.to_owned(),
        description: "what it says".to_owned(),
        unit: "1".to_owned(),
        data,
    };
    export(&ResourceMetrics {
        resource: resource(),
        scope_metrics: vec![ScopeMetrics {
            scope: scope(),
            metrics: vec![
                metric("guest.gauge", MetricData::F64Gauge(gauge)),
                metric("guest.sum", MetricData::U64Sum(sum)),
                metric("guest.histogram", MetricData::S64Histogram(histogram)),
                metric("guest.exponential", MetricData::F64ExponentialHistogram(exponential)),
            ],
        }],
    })
}
