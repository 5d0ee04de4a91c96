//! One span, from its beginning until it is dropped.

use std::borrow::Cow;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Context, SpanId};
use crate::export::{Item, Scope};
use crate::proto::common::v1::{AnyValue, KeyValue, any_value};
use crate::proto::trace::v1 as proto;

/// What a span stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A part of the work here.
    Internal,
    /// A request from outside.
    Server,
    /// A request to somebody else.
    Client,
    /// Something that is handed to somebody who takes it later.
    Producer,
    /// Something that somebody handed over before.
    Consumer,
}

/// A span; it ends, and is exported, when it is dropped.
pub struct Span {
    context: Context,
    scope: Scope,
    /// What is known of it, if it is recorded.
    record: Option<Box<Record>>,
}

struct Record {
    parent: Option<SpanId>,
    has_remote_parent: bool,
    kind: Kind,
    name: Cow<'static, str>,
    start_nanos: u64,
    attributes: Vec<KeyValue>,
    failed: bool,
}

/// What is shorter need not be told of, where a part of the work is usually not there at all.
const WORTH_NANOS: u64 = 100_000;

/// What OTLP's flags of a span say beside W3C's: whether it is known if the parent is elsewhere, and
/// whether it is.
const KNOWS_PARENT: u32 = 0x100;
const REMOTE_PARENT: u32 = 0x200;

impl Span {
    pub(super) fn begin(
        context: Context,
        parent: Option<SpanId>,
        has_remote_parent: bool,
        kind: Kind,
        name: Cow<'static, str>,
    ) -> Self {
        let record = context.is_recorded().then(|| {
            Box::new(Record {
                parent,
                has_remote_parent,
                kind,
                name,
                start_nanos: now_nanos(),
                attributes: Vec::new(),
                failed: false,
            })
        });
        Self { context, scope: Scope::Host, record }
    }

    /// Makes it the span of a guest's call.
    pub(super) fn of_call(mut self) -> Self {
        self.scope = Scope::Calls;
        self
    }

    /// Begins the span of a request from outside. `name` is made only if it is recorded.
    pub(crate) fn of_request(
        context: Context,
        parent: Option<SpanId>,
        name: impl FnOnce() -> String,
    ) -> Self {
        let name = if context.is_recorded() { name() } else { String::new() };
        Self::begin(context, parent, parent.is_some(), Kind::Server, name.into())
    }

    /// Ends it, and leaves it out if it took no time that is worth a word.
    pub fn end_if_worth(mut self) {
        if let Some(record) = &self.record
            && now_nanos().saturating_sub(record.start_nanos) < WORTH_NANOS
        {
            self.record = None;
        }
    }

    /// Its place.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Whether it is recorded: what is not, need not be described.
    pub fn is_recorded(&self) -> bool {
        self.record.is_some()
    }

    /// Gives it another name. Names have few values: nothing of them is what somebody made up.
    pub fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        if let Some(record) = &mut self.record {
            record.name = name.into();
        }
    }

    /// Makes it one of another kind.
    pub fn set_kind(&mut self, kind: Kind) {
        if let Some(record) = &mut self.record {
            record.kind = kind;
        }
    }

    /// Adds a text to it, cut to what the settings allow.
    pub fn text(&mut self, key: &'static str, value: impl AsRef<str>) {
        let most = self.context.telemetry().limits().value_bytes;
        let value = value.as_ref();
        let value = &value[..value.floor_char_boundary(most)];
        self.set(key, any_value::Value::StringValue(value.to_owned()));
    }

    /// Adds a whole number to it.
    pub fn integer(&mut self, key: &'static str, value: i64) {
        self.set(key, any_value::Value::IntValue(value));
    }

    /// Adds a number to it.
    pub fn number(&mut self, key: &'static str, value: f64) {
        self.set(key, any_value::Value::DoubleValue(value));
    }

    fn set(&mut self, key: &'static str, value: any_value::Value) {
        if let Some(record) = &mut self.record {
            record.attributes.push(attribute(key, value));
        }
    }

    /// Notes that it failed, and by what kind of error.
    pub fn fail(&mut self, error_type: &str) {
        self.text("error.type", error_type);
        if let Some(record) = &mut self.record {
            record.failed = true;
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(record) = self.record.take() else { return };
        let code = match record.failed {
            true => proto::status::StatusCode::Error,
            false => proto::status::StatusCode::Unset,
        };
        let kind = match record.kind {
            Kind::Internal => proto::span::SpanKind::Internal,
            Kind::Server => proto::span::SpanKind::Server,
            Kind::Client => proto::span::SpanKind::Client,
            Kind::Producer => proto::span::SpanKind::Producer,
            Kind::Consumer => proto::span::SpanKind::Consumer,
        };
        let remote = if record.has_remote_parent { REMOTE_PARENT } else { 0 };
        let span = proto::Span {
            trace_id: self.context.trace().0.to_vec(),
            span_id: self.context.span().0.to_vec(),
            trace_state: self.context.state().to_owned(),
            parent_span_id: record.parent.map_or_else(Vec::new, |parent| parent.0.to_vec()),
            flags: 1 | KNOWS_PARENT | remote,
            name: record.name.into_owned(),
            kind: kind.into(),
            start_time_unix_nano: record.start_nanos,
            // The wall clock may have been set back meanwhile.
            end_time_unix_nano: now_nanos().max(record.start_nanos),
            attributes: record.attributes,
            status: Some(proto::Status { message: String::new(), code: code.into() }),
            ..proto::Span::default()
        };
        let item = Item { resource: None, scope: self.scope.clone(), data: span };
        self.context.telemetry().export_span(item);
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Span({:?})", self.context)
    }
}

/// An attribute.
pub(crate) fn attribute(key: impl Into<String>, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// The wall clock, in nanoseconds since the beginning of 1970.
pub(crate) fn now_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
