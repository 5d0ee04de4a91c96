//! Metrics: counters that whoever knows a fact adds to, and families of samples for those that ask.

mod component;
mod counter;
pub mod edge;
mod family;
mod histogram;
mod names;
mod process;
pub mod text;

use std::sync::Arc;

pub use component::{ComponentMetrics, Origin, Status};
pub use counter::Counter;
pub use family::{Families, Family, Kind, Labels, Metric, Sample, Unit, Value};
pub use histogram::{BOUNDS, Histogram, Observed};
pub use names::*;
pub use process::note_start;

/// Has facts for those that ask.
pub trait Source: Send + Sync {
    /// Adds samples to families.
    fn collect(&self, families: &mut Families);
}

/// Everything there is to tell now: of the process, of requests that no component got, and of
/// `source`.
pub fn collect(source: &dyn Source) -> Families {
    let mut families = Families::default();
    source.collect(&mut families);
    edge::collect(&mut families);
    process::collect(&mut families);
    families
}

impl<S: Source + ?Sized> Source for Arc<S> {
    fn collect(&self, families: &mut Families) {
        (**self).collect(families);
    }
}
