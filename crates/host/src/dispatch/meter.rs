//! What is noted of one request: how it ended, when, and whose fault it was. It goes with the request
//! until the last byte of its answer was handed over, into the answer's body if that is streamed.

use std::sync::Arc;
use std::time::Instant;

use dayfly_telemetry::trace::{Context, Kind, Span, within};
use dayfly_telemetry::{ComponentMetrics, Fault, Status};
use http::StatusCode;

use super::failure::Failure;
use crate::ErrorId;

/// Notes how one request ends; counted when dropped.
pub(super) struct Meter(Option<Running>);

struct Running {
    metrics: Arc<ComponentMetrics>,
    began: Instant,
    /// None until there is an answer.
    status: Option<StatusCode>,
    fault: Option<Fault>,
    broke_off: bool,
    /// The request's span, if anything is exported.
    span: Option<Span>,
}

impl Meter {
    /// Begins with a request. Until more is known, its client left before there was an answer.
    pub(super) fn begin(metrics: &Arc<ComponentMetrics>, span: Option<Span>) -> Self {
        Self(Some(Running {
            metrics: metrics.clone(),
            began: Instant::now(),
            status: None,
            fault: Some(Fault::Client),
            broke_off: false,
            span,
        }))
    }

    /// When the request came.
    pub(super) fn began(&self) -> Instant {
        self.0.as_ref().map_or_else(Instant::now, |running| running.began)
    }

    /// Notes the head of the guest's answer.
    pub(super) fn answered(&mut self, status: StatusCode) {
        if let Some(running) = &mut self.0 {
            (running.status, running.fault) = (Some(status), None);
        }
    }

    /// Notes that the answer is an error of the edge.
    pub(super) fn failed(&mut self, failure: &Failure) {
        let problem = failure.problem();
        if let Some(running) = &mut self.0 {
            running.status = Some(problem.status());
            running.fault = Some(problem.fault());
        }
    }

    /// Notes that the answer broke off, and logs why.
    pub(super) fn broke_off(self, failure: Failure) {
        let Self(Some(mut running)) = self else { return };
        running.fault = Some(failure.problem().fault());
        running.broke_off = true;
        let mut context = running.span.as_ref().map(|span| span.context().clone());
        within(&mut context, || failure.log(running.metrics.component()));
    }

    /// The request's place in a trace, if anything is exported.
    pub(super) fn context(&self) -> Option<Context> {
        Some(self.0.as_ref()?.span.as_ref()?.context().clone())
    }

    /// Begins a part of the work, if it is recorded.
    pub(super) fn part(&self, name: &'static str) -> Option<Span> {
        self.0.as_ref()?.span.as_ref()?.context().child(Kind::Internal, name)
    }

    /// Notes what the log says of an error.
    pub(super) fn error_id(&mut self, id: ErrorId) {
        if let Some(span) = self.0.as_mut().and_then(|running| running.span.as_mut()) {
            span.text("dayfly.error_id", id.to_string());
        }
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
        let status = self.status.map_or(Status::None, |status| Status::of(status.as_u16()));
        self.metrics.request(status, self.fault, self.began.elapsed());
        if let Some(span) = &mut self.span {
            describe(span, self.status, self.fault, self.broke_off);
        }
    }
}

/// Says how a request ended.
fn describe(span: &mut Span, status: Option<StatusCode>, fault: Option<Fault>, broke_off: bool) {
    if let Some(fault) = fault {
        span.text("dayfly.fault", fault.label());
    }
    match status {
        // It is no failure of ours.
        None => span.text("error.type", "client_left"),
        Some(status) => {
            span.integer("http.response.status_code", status.as_u16().into());
            if broke_off {
                span.fail("broke_off");
            } else if status.is_server_error() {
                span.fail(status.as_str());
            }
        }
    }
}
