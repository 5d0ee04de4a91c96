//! What is noted of one request: how it ended, when, and whose fault it was. It goes with the request
//! until the last byte of its answer was handed over, into the answer's body if that is streamed.

use std::sync::Arc;
use std::time::Instant;

use dayfly_telemetry::{ComponentMetrics, Fault, Status};
use http::StatusCode;

use super::failure::Failure;

/// Notes how one request ends; counted when dropped.
pub(super) struct Meter(Option<Running>);

struct Running {
    metrics: Arc<ComponentMetrics>,
    began: Instant,
    status: Status,
    fault: Option<Fault>,
}

impl Meter {
    /// Begins with a request. Until more is known, its client left before there was an answer.
    pub(super) fn begin(metrics: &Arc<ComponentMetrics>) -> Self {
        Self(Some(Running {
            metrics: metrics.clone(),
            began: Instant::now(),
            status: Status::None,
            fault: Some(Fault::Client),
        }))
    }

    /// When the request came.
    pub(super) fn began(&self) -> Instant {
        self.0.as_ref().map_or_else(Instant::now, |running| running.began)
    }

    /// Notes the head of the guest's answer.
    pub(super) fn answered(&mut self, status: StatusCode) {
        if let Some(running) = &mut self.0 {
            (running.status, running.fault) = (Status::of(status.as_u16()), None);
        }
    }

    /// Notes that the answer is an error of the edge.
    pub(super) fn failed(&mut self, failure: &Failure) {
        let problem = failure.problem();
        if let Some(running) = &mut self.0 {
            running.status = Status::of(problem.status().as_u16());
            running.fault = Some(problem.fault());
        }
    }

    /// Notes that the answer broke off, and logs why.
    pub(super) fn broke_off(self, failure: Failure) {
        let Self(Some(mut running)) = self else { return };
        running.fault = Some(failure.problem().fault());
        failure.log(running.metrics.component());
    }

    /// Hands over to the answer's body.
    pub(super) fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    /// Ends the request; the guest may run on.
    pub(super) fn end(self) -> Option<Arc<ComponentMetrics>> {
        self.0.as_ref().map(|running| running.metrics.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.metrics.request(self.status, self.fault, self.began.elapsed());
    }
}
