//! A place in a trace: what new spans are children of, and what other processes are told.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use http::HeaderMap;

use super::{Kind, Remote, Span, SpanId, TraceId, propagation};
use crate::Telemetry;

/// A place in a trace. Cloning it is cheap.
#[derive(Clone)]
pub struct Context(Arc<Place>);

struct Place {
    telemetry: Arc<Telemetry>,
    trace: TraceId,
    span: SpanId,
    sampled: bool,
    state: Arc<str>,
    /// How many spans there are of calls, of the whole request.
    calls: Arc<AtomicU32>,
}

/// How many calls of one request's guest are told of. Guests call as often as they like.
const CALLS: u32 = 1_000;

impl Context {
    /// The place of a new span that begins with a request.
    pub(crate) fn of_request(telemetry: &Arc<Telemetry>, parent: Option<&Remote>) -> Self {
        let recorded = telemetry.records_spans();
        let (trace, span) = match parent {
            // Where no span is recorded, what others said is passed on.
            Some(parent) if !recorded => (parent.trace, parent.span),
            Some(parent) => (parent.trace, SpanId::random()),
            None if !recorded => (TraceId::default(), SpanId::default()),
            None => (TraceId::random(), SpanId::random()),
        };
        let sampled = match recorded {
            true => telemetry.sampler().samples(trace, parent),
            false => parent.is_some_and(|parent| parent.sampled),
        };
        let state = parent.map_or_else(Arc::default, |parent| Arc::from(&*parent.state));
        let (telemetry, calls) = (telemetry.clone(), Arc::default());
        Self(Arc::new(Place { telemetry, trace, span, sampled, state, calls }))
    }

    /// The place of a new child.
    fn child_place(&self) -> Self {
        let Place { telemetry, trace, sampled, state, calls, .. } = &*self.0;
        Self(Arc::new(Place {
            telemetry: telemetry.clone(),
            trace: *trace,
            span: SpanId::random(),
            sampled: *sampled,
            state: state.clone(),
            calls: calls.clone(),
        }))
    }

    /// Begins a child of this place, if the trace is recorded.
    pub fn child(&self, kind: Kind, name: impl Into<Cow<'static, str>>) -> Option<Span> {
        self.is_recorded()
            .then(|| Span::begin(self.child_place(), Some(self.0.span), false, kind, name.into()))
    }

    /// Begins the span of a guest's call, if the trace is recorded and not too many are told of.
    /// `parent` is a span of the guest's, if it names one.
    pub fn call(
        &self,
        parent: Option<SpanId>,
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
    ) -> Option<Span> {
        if !self.is_recorded() || self.0.calls.fetch_add(1, Relaxed) >= CALLS {
            return None;
        }
        let parent = parent.unwrap_or(self.0.span);
        Some(Span::begin(self.child_place(), Some(parent), false, kind, name.into()).of_call())
    }

    /// How many calls were made beyond those that are told of.
    pub fn calls_left_out(&self) -> u32 {
        self.0.calls.load(Relaxed).saturating_sub(CALLS)
    }

    /// Whether spans of this trace are exported.
    pub fn is_recorded(&self) -> bool {
        self.0.sampled && self.0.telemetry.records_spans()
    }

    /// What exports.
    pub fn telemetry(&self) -> &Arc<Telemetry> {
        &self.0.telemetry
    }

    /// The trace; not valid if there is none.
    pub fn trace(&self) -> TraceId {
        self.0.trace
    }

    /// The span.
    pub fn span(&self) -> SpanId {
        self.0.span
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.0.sampled
    }

    /// What vendors add.
    pub fn state(&self) -> &str {
        &self.0.state
    }

    /// Tells another process of this place, if others are to be told.
    pub fn inject(&self, headers: &mut HeaderMap) {
        self.inject_with(&self.0.state, headers);
    }

    /// The same, with what vendors add as somebody in between has it.
    pub fn inject_with(&self, state: &str, headers: &mut HeaderMap) {
        let Place { telemetry, trace, span, sampled, .. } = &*self.0;
        if trace.is_valid() && telemetry.propagates() {
            propagation::inject(headers, *trace, *span, *sampled, state);
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({}-{})", self.0.trace, self.0.span)
    }
}
