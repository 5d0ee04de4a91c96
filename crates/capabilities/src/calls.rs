//! Calls of guests to the host, as they are counted: one line at the beginning, one at the end.

use std::sync::Arc;

use dayfly_telemetry::{Capability, ComponentMetrics, Outcome};

use crate::Grants;

/// One call of a capability; counted when dropped, as an error unless it is told otherwise.
#[must_use]
pub(crate) struct Call {
    metrics: Arc<ComponentMetrics>,
    capability: Capability,
    outcome: Outcome,
}

impl Grants {
    /// Begins a call of `function`, which is over when the result is dropped.
    pub(crate) fn call(&self, capability: Capability, _function: &'static str) -> Call {
        Call { metrics: self.metrics.clone(), capability, outcome: Outcome::Error }
    }
}

impl Call {
    /// Ends it with a result, which it gives back.
    pub(crate) fn end<T, E>(self, result: Result<T, E>) -> Result<T, E> {
        self.end_with(result, |_| false)
    }

    /// The same; some errors are refusals.
    pub(crate) fn end_with<T, E>(
        mut self,
        result: Result<T, E>,
        is_refusal: impl FnOnce(&E) -> bool,
    ) -> Result<T, E> {
        self.outcome = match &result {
            Ok(_) => Outcome::Ok,
            Err(error) if is_refusal(error) => Outcome::Refused,
            Err(_) => Outcome::Error,
        };
        result
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.metrics.call(self.capability, self.outcome);
    }
}
