//! A place in a trace: what new spans are children of, and what other processes are told.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

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
}

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
        Self(Arc::new(Place { telemetry: telemetry.clone(), trace, span, sampled, state }))
    }

    /// The place of a new child.
    fn child_place(&self) -> Self {
        let Place { telemetry, trace, sampled, state, .. } = &*self.0;
        Self(Arc::new(Place {
            telemetry: telemetry.clone(),
            trace: *trace,
            span: SpanId::random(),
            sampled: *sampled,
            state: state.clone(),
        }))
    }

    /// Begins a child of this place, if the trace is recorded.
    pub fn child(&self, kind: Kind, name: impl Into<Cow<'static, str>>) -> Option<Span> {
        self.is_recorded()
            .then(|| Span::begin(self.child_place(), Some(self.0.span), false, kind, name.into()))
    }

    /// As [`Self::child`], of a span that another part of the process or the guest names.
    pub fn child_of(
        &self,
        parent: SpanId,
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
    ) -> Option<Span> {
        self.is_recorded()
            .then(|| Span::begin(self.child_place(), Some(parent), false, kind, name.into()))
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
        let Place { telemetry, trace, span, sampled, state } = &*self.0;
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
