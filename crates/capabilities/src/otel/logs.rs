//! Log records of guests.

use dayfly_telemetry::export::{Item, Scope};
use dayfly_telemetry::proto::logs::v1 as proto;
use dayfly_telemetry::trace::{Context, SpanId};

use super::attributes::weigh_scope;
use super::attributes::{name, nanos, of_component, resource, scope, value, weigh as weigh_all};
use super::bindings::wasi::otel::logs::LogRecord;

/// The scope of records that name none.
const GUEST: &str = "dayfly::guest";

/// The greatest severity that there is.
const MAX_SEVERITY: u8 = 24;

/// The bytes of a record.
pub(super) fn weigh(record: &LogRecord) -> usize {
    let texts = [&record.severity_text, &record.body, &record.event_name];
    let lists = [
        record.attributes.as_deref(),
        record.resource.as_ref().map(|resource| &*resource.attributes),
    ];
    texts.into_iter().flatten().map(String::len).sum::<usize>()
        + lists.into_iter().flatten().map(weigh_all).sum::<usize>()
        + record.instrumentation_scope.as_ref().map_or(0, weigh_scope)
}

/// A record as OTLP has it, at its request's place in a trace.
pub(super) fn convert(
    record: LogRecord,
    context: &Context,
    component: &str,
) -> Item<proto::LogRecord> {
    let limits = context.telemetry().limits();
    let attributes = record.attributes.unwrap_or_default();
    let (attributes, dropped_attributes_count) = of_component(attributes, limits, component);
    let mut data = proto::LogRecord {
        time_unix_nano: record.timestamp.map_or(0, nanos),
        observed_time_unix_nano: record.observed_timestamp.map_or(0, nanos),
        severity_number: record.severity_number.unwrap_or(0).min(MAX_SEVERITY).into(),
        severity_text: name(record.severity_text.unwrap_or_default()),
        body: record.body.map(|body| value(body, limits)),
        attributes,
        dropped_attributes_count,
        event_name: name(record.event_name.unwrap_or_default()),
        ..proto::LogRecord::default()
    };
    if context.trace().is_valid() {
        let span = record.span_id.as_deref().and_then(SpanId::parse).unwrap_or(context.span());
        data.trace_id = context.trace().0.to_vec();
        data.span_id = span.0.to_vec();
        data.flags = u32::from(context.is_sampled());
    }
    Item {
        resource: record.resource.and_then(|said| resource(said, limits)),
        scope: match record.instrumentation_scope {
            Some(named) => scope(named, limits),
            None => Scope::Target(GUEST),
        },
        data,
    }
}
