//! What Dayfly tells about itself and its guests. Counting is always on and costs a few relaxed
//! additions a request; it neither looks anything up nor takes a lock. Exporting is off unless the
//! standard variables of OpenTelemetry name somebody to export to.
//!
//! What it leaves out: who listens for those that ask (`dayfly-host`), and which facts there are
//! beside those of components (whoever has them implements [`Source`]).
#![deny(missing_docs)]

mod capability;
pub mod export;
mod fault;
mod lines;
pub mod metrics;
pub mod trace;
mod usage;

/// OTLP's messages, as its authors generate them.
pub use opentelemetry_proto::tonic as proto;

pub use capability::{Capability, Outcome};
pub use export::Telemetry;
pub use fault::Fault;
pub use lines::Lines;
pub use metrics::{ComponentMetrics, Source, Status};
pub use usage::UsageCounters;
