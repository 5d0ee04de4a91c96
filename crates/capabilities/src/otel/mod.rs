//! Telemetry of guests: `wasi:otel`. Their spans become children of their request's, and their logs
//! and metrics go the host's way. Every guest may tell; without anybody who exports, nothing happens.

mod attributes;
mod bindings;
mod logs;
mod metrics;
mod spans;

use dayfly_engine::Flavour;
use dayfly_telemetry::trace::{Context, current};
use dayfly_telemetry::{Capability as Called, Outcome};
use wasmtime::component::{HasSelf, Linker};

use crate::HostState;
use crate::registry::Capability;
use bindings::wasi::otel;

/// This capability's line in the registry.
pub const CAPABILITY: Capability =
    Capability { name: "otel", interfaces: &["wasi:otel/*@0.2.0-rc.2"], granted_by: &[], link };

/// How much one instance may tell: items, and bytes of their texts.
const ITEMS: u32 = 1_000;
const BYTES: u32 = 1 << 20;

/// The most that one item may hold, in bytes of its texts: turning it into a message takes time, in
/// which nothing else runs on its core.
const ITEM_BYTES: usize = 128 << 10;

/// What one instance has told so far.
#[derive(Debug, Default)]
pub(crate) struct Told {
    items: u32,
    bytes: u32,
}

impl Told {
    /// Takes room for items of so many bytes; false if there is none.
    fn take(&mut self, items: usize, bytes: usize) -> bool {
        let items = u32::try_from(items).ok().and_then(|items| self.items.checked_add(items));
        let bytes = u32::try_from(bytes).ok().and_then(|bytes| self.bytes.checked_add(bytes));
        match (items, bytes) {
            (Some(items), Some(bytes)) if items <= ITEMS && bytes <= BYTES => {
                (self.items, self.bytes) = (items, bytes);
                true
            }
            _ => false,
        }
    }
}

fn link(linker: &mut Linker<HostState>, _: Flavour) -> wasmtime::Result<()> {
    fn itself(state: &mut HostState) -> &mut HostState {
        state
    }
    otel::tracing::add_to_linker::<HostState, HasSelf<HostState>>(linker, itself)?;
    otel::metrics::add_to_linker::<HostState, HasSelf<HostState>>(linker, itself)?;
    otel::logs::add_to_linker::<HostState, HasSelf<HostState>>(linker, itself)
}

impl HostState {
    fn count(&self, outcome: Outcome) {
        self.grants().metrics.call(Called::Otel, outcome);
    }
}

impl otel::types::Host for HostState {}

impl otel::tracing::Host for HostState {
    fn on_start(&mut self, _: otel::tracing::SpanContext) {
        // A span is exported when it is over: nothing is known of it before.
    }

    fn on_end(&mut self, span: otel::tracing::SpanData) {
        let Some(context) = current().filter(Context::is_recorded) else { return };
        let bytes = spans::weigh(&span);
        if bytes <= ITEM_BYTES && self.told().take(1, bytes) {
            if let Some(span) = spans::convert(span, &context, &self.grants().component) {
                context.telemetry().export_span(span);
            }
            self.count(Outcome::Ok);
        } else {
            self.count(Outcome::Refused);
        }
    }

    fn outer_span_context(&mut self) -> otel::tracing::SpanContext {
        spans::outer(current().as_ref())
    }
}

impl otel::logs::Host for HostState {
    fn on_emit(&mut self, record: otel::logs::LogRecord) {
        let Some(context) = current().filter(|context| context.telemetry().records_logs()) else {
            return;
        };
        let bytes = logs::weigh(&record);
        if bytes <= ITEM_BYTES && self.told().take(1, bytes) {
            let record = logs::convert(record, &context, &self.grants().component);
            context.telemetry().export_log(record);
            self.count(Outcome::Ok);
        } else {
            self.count(Outcome::Refused);
        }
    }
}

impl otel::metrics::Host for HostState {
    fn export(
        &mut self,
        metrics: otel::metrics::ResourceMetrics,
    ) -> Result<(), otel::metrics::Error> {
        let Some(context) = current().filter(|context| context.telemetry().records_metrics())
        else {
            return Ok(());
        };
        let (items, bytes) = metrics::weigh(&metrics);
        if bytes > ITEM_BYTES || !self.told().take(items, bytes) {
            self.count(Outcome::Refused);
            return Err("an instance may tell no more than this".to_owned());
        }
        let limits = context.telemetry().limits();
        let mut taken = true;
        for metric in metrics::convert(metrics, limits, &self.grants().component) {
            taken &= context.telemetry().export_metric(metric);
        }
        if taken {
            self.count(Outcome::Ok);
            Ok(())
        } else {
            self.count(Outcome::Refused);
            Err("as much waits to be exported as may".to_owned())
        }
    }
}
