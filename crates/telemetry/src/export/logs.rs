//! The process's log as records: a layer beneath the one that writes it, so that the same filter
//! holds for both.

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, OnceLock};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context as LayerContext;

use super::Telemetry;
use super::group::{Item, Scope};
use crate::proto::common::v1::any_value::Value;
use crate::proto::common::v1::{AnyValue, KeyValue};
use crate::proto::logs::v1::{LogRecord, SeverityNumber};
use crate::trace::{attribute, current, now_nanos};

/// Who exports the log, once somebody does.
static EXPORTED: OnceLock<Arc<Telemetry>> = OnceLock::new();

thread_local! {
    /// Whether this thread's own lines are left out: those about exporting would make more of it.
    static SUPPRESSED: Cell<bool> = const { Cell::new(false) };
}

/// Lets the log be exported from now on.
pub(super) fn take(telemetry: &Arc<Telemetry>) {
    // The log is the process's, of which there is one.
    let _ = EXPORTED.set(telemetry.clone());
}

pub(super) fn suppress() {
    SUPPRESSED.set(true);
}

/// Exports the log, if somebody wants it.
#[derive(Debug, Default)]
pub struct LogLayer(());

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        let Some(telemetry) = EXPORTED.get() else { return };
        if SUPPRESSED.get() {
            return;
        }
        let metadata = event.metadata();
        let most = telemetry.limits().value_bytes;
        let mut fields = Fields { body: None, attributes: Vec::new(), most };
        event.record(&mut fields);
        let (severity, text) = match *metadata.level() {
            Level::TRACE => (SeverityNumber::Trace, "TRACE"),
            Level::DEBUG => (SeverityNumber::Debug, "DEBUG"),
            Level::INFO => (SeverityNumber::Info, "INFO"),
            Level::WARN => (SeverityNumber::Warn, "WARN"),
            Level::ERROR => (SeverityNumber::Error, "ERROR"),
        };
        let now = now_nanos();
        let mut data = LogRecord {
            time_unix_nano: now,
            observed_time_unix_nano: now,
            severity_number: severity.into(),
            severity_text: text.to_owned(),
            body: fields.body.map(|body| AnyValue { value: Some(Value::StringValue(body)) }),
            attributes: fields.attributes,
            ..LogRecord::default()
        };
        if let Some(context) = current().filter(|context| context.trace().is_valid()) {
            data.trace_id = context.trace().0.to_vec();
            data.span_id = context.span().0.to_vec();
            data.flags = u32::from(context.is_sampled());
        }
        let scope = Scope::Target(metadata.target());
        telemetry.export_log(Item { resource: None, scope, data });
    }
}

struct Fields {
    body: Option<String>,
    attributes: Vec<KeyValue>,
    most: usize,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        self.attributes.push(attribute(field.name(), value));
    }

    fn text(&mut self, field: &Field, mut text: String) {
        text.truncate(text.floor_char_boundary(self.most));
        match field.name() {
            "message" => self.body = Some(text),
            _ => self.add(field, Value::StringValue(text)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::IntValue(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::DoubleValue(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::BoolValue(value));
    }
}
