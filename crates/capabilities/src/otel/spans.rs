//! Spans of guests. Whatever trace a guest says they are of, they are of its request's: no guest
//! writes into another one's.

use dayfly_telemetry::export::{Item, Limits};
use dayfly_telemetry::proto::trace::v1 as proto;
use dayfly_telemetry::trace::{Context, SpanId, TraceId};

use super::attributes::{convert as attributes, count, name, nanos, of_component, scope};
use super::attributes::{weigh as weigh_attributes, weigh_scope};
use super::bindings::wasi::otel::tracing::{
    Event, Link, SpanContext, SpanData, SpanKind, Status, TraceFlags,
};

/// What an event or a link counts beside its texts.
const EACH: usize = 64;

/// The bytes of a span.
pub(super) fn weigh(span: &SpanData) -> usize {
    let event = |event: &Event| event.name.len() + weigh_attributes(&event.attributes) + EACH;
    let link = |link: &Link| weigh_attributes(&link.attributes) + EACH;
    span.name.len()
        + weigh_attributes(&span.attributes)
        + span.events.iter().map(event).sum::<usize>()
        + span.links.iter().map(link).sum::<usize>()
        + weigh_scope(&span.instrumentation_scope)
}

/// A span as OTLP has it; `None` if it has no id of its own or is not to be recorded.
pub(super) fn convert(
    span: SpanData,
    context: &Context,
    component: &str,
) -> Option<Item<proto::Span>> {
    if !span.span_context.trace_flags.contains(TraceFlags::SAMPLED) {
        return None;
    }
    let limits = context.telemetry().limits();
    let id = SpanId::parse(&span.span_context.span_id)?;
    // The first of a guest's own is a child of the host's.
    let parent = SpanId::parse(&span.parent_span_id).unwrap_or(context.span());
    let (attributes, dropped_attributes) = of_component(span.attributes, limits, component);
    let dropped_events = span.events.len().saturating_sub(limits.events);
    let dropped_links = span.links.len().saturating_sub(limits.links);
    let start = nanos(span.start_time);
    let data = proto::Span {
        trace_id: context.trace().0.to_vec(),
        span_id: id.0.to_vec(),
        trace_state: context.state().to_owned(),
        parent_span_id: parent.0.to_vec(),
        flags: 1,
        name: name(span.name),
        kind: kind(span.span_kind).into(),
        start_time_unix_nano: start,
        end_time_unix_nano: nanos(span.end_time).max(start),
        attributes,
        dropped_attributes_count: span.dropped_attributes.saturating_add(dropped_attributes),
        events: span.events.into_iter().take(limits.events).map(|e| event(e, limits)).collect(),
        dropped_events_count: span.dropped_events.saturating_add(count(dropped_events)),
        links: span.links.into_iter().take(limits.links).filter_map(|l| link(l, limits)).collect(),
        dropped_links_count: span.dropped_links.saturating_add(count(dropped_links)),
        status: Some(status(span.status, limits)),
    };
    Some(Item { resource: None, scope: scope(span.instrumentation_scope, limits), data })
}

fn event(event: Event, limits: Limits) -> proto::span::Event {
    let (attributes, dropped_attributes_count) = attributes(event.attributes, limits);
    proto::span::Event {
        time_unix_nano: nanos(event.time),
        name: name(event.name),
        attributes,
        dropped_attributes_count,
    }
}

fn link(link: Link, limits: Limits) -> Option<proto::span::Link> {
    let (attributes, dropped_attributes_count) = attributes(link.attributes, limits);
    let SpanContext { trace_id, span_id, trace_flags, .. } = link.span_context;
    Some(proto::span::Link {
        trace_id: TraceId::parse(&trace_id)?.0.to_vec(),
        span_id: SpanId::parse(&span_id)?.0.to_vec(),
        attributes,
        dropped_attributes_count,
        flags: u32::from(trace_flags.contains(TraceFlags::SAMPLED)),
        ..proto::span::Link::default()
    })
}

fn kind(kind: SpanKind) -> proto::span::SpanKind {
    match kind {
        SpanKind::Client => proto::span::SpanKind::Client,
        SpanKind::Server => proto::span::SpanKind::Server,
        SpanKind::Producer => proto::span::SpanKind::Producer,
        SpanKind::Consumer => proto::span::SpanKind::Consumer,
        SpanKind::Internal => proto::span::SpanKind::Internal,
    }
}

fn status(status: Status, limits: Limits) -> proto::Status {
    let (code, mut message) = match status {
        Status::Unset => (proto::status::StatusCode::Unset, String::new()),
        Status::Ok => (proto::status::StatusCode::Ok, String::new()),
        Status::Error(message) => (proto::status::StatusCode::Error, message),
    };
    message.truncate(message.floor_char_boundary(limits.value_bytes));
    proto::Status { code: code.into(), message }
}

/// What the host tells a guest of its place; nothing that is one, if nothing is exported.
pub(super) fn outer(context: Option<&Context>) -> SpanContext {
    let sampled = context.is_some_and(Context::is_sampled);
    let (trace, span) =
        context.map_or_else(Default::default, |context| (context.trace(), context.span()));
    let state = context.map_or("", Context::state);
    let members = state.split(',').filter_map(|member| member.trim().split_once('='));
    SpanContext {
        trace_id: trace.to_string(),
        span_id: span.to_string(),
        trace_flags: if sampled { TraceFlags::SAMPLED } else { TraceFlags::empty() },
        is_remote: true,
        trace_state: members.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    }
}
