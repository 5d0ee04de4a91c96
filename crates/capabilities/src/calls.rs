//! Calls of guests to the host, as they are counted and traced: one line at the beginning, one at the
//! end.

use std::sync::Arc;

use dayfly_telemetry::trace::{Context, Kind, Remote, Span, current};
use dayfly_telemetry::{Capability, ComponentMetrics, Outcome};
use http::HeaderMap;

use crate::Grants;

/// One call of a capability; counted when dropped, as an error unless it is told otherwise.
#[must_use]
pub(crate) struct Call {
    metrics: Arc<ComponentMetrics>,
    capability: Capability,
    outcome: Outcome,
    /// The guest's place in a trace, if anything is exported, and the call's span if that is recorded.
    trace: Option<(Context, Option<Span>)>,
}

impl Grants {
    /// Begins a call of `function`, which is over when it is ended or dropped. It belongs into the
    /// poll of the guest that calls: there its place in a trace is known.
    pub(crate) fn call(&self, capability: Capability, function: &'static str) -> Call {
        let begun = |context: Context| {
            let span = context.child(Kind::Client, format!("{} {function}", capability.label()));
            let span = span.map(|mut span| {
                span.text("dayfly.capability", capability.label());
                span.text("dayfly.function", function);
                span
            });
            (context, span)
        };
        let trace = current().map(begun);
        Call { metrics: self.metrics.clone(), capability, outcome: Outcome::Error, trace }
    }

    /// Begins a request of HTTP's method `method`, which is a call whose span has a name by the
    /// conventions. What the guest says of its own span in `headers` holds if it is of this trace;
    /// in the end they tell of the call's.
    pub(crate) fn request(&self, method: &str, headers: &mut HeaderMap) -> Call {
        let begun = |context: Context| {
            let remote = Remote::extract(headers);
            let is_own = remote.as_ref().is_none_or(|remote| remote.trace == context.trace());
            let parent = remote.filter(|_| is_own).map_or(context.span(), |remote| remote.span);
            let span = context.child_of(parent, Kind::Client, method.to_owned());
            if is_own {
                span.as_ref().map_or(&context, Span::context).inject(headers);
            }
            (context, span)
        };
        let trace = current().map(begun);
        let capability = Capability::Http;
        Call { metrics: self.metrics.clone(), capability, outcome: Outcome::Error, trace }
    }
}

impl Call {
    /// Its span, if it is recorded.
    pub(crate) fn span(&mut self) -> Option<&mut Span> {
        self.trace.as_mut()?.1.as_mut()
    }

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
        let outcome = self.outcome;
        if let Some(span) = self.span()
            && outcome != Outcome::Ok
        {
            span.fail(outcome.label());
        }
    }
}
