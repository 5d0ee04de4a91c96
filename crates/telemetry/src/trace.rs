//! Traces: a span a request, children for its parts and for what its guest asks the host, and the
//! context by which other processes take part (<https://www.w3.org/TR/trace-context/>).
//!
//! Spans are made only while they are exported; everybody else pays for one look at a flag.

mod context;
mod current;
mod id;
mod method;
mod propagation;
mod sampler;
mod span;

pub use context::Context;
pub use current::{current, is_traced, within};
pub use id::{SpanId, TraceId};
pub use method::known_method;
pub use propagation::{Remote, TRACEPARENT, TRACESTATE};
pub use sampler::Sampler;
pub use span::{Kind, Span};

pub(crate) use current::activate;
pub(crate) use span::{attribute, now_nanos};
