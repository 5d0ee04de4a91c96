//! What Dayfly tells about itself and its guests. Counting is always on and costs a few relaxed
//! additions a request; it neither looks anything up nor takes a lock.
//!
//! What it leaves out: who listens for those that ask (`dayfly-host`), and which facts there are
//! beside those of components (whoever has them implements [`Source`]).
#![deny(missing_docs)]

mod capability;
mod fault;
pub mod metrics;

pub use capability::{Capability, Outcome};
pub use fault::Fault;
pub use metrics::{ComponentMetrics, Source, Status};
