//! What is noted of one request: how it ended, when, and whose fault it was. It goes with the request
//! until the last byte of its answer was handed over, into the answer's body if that is streamed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dayfly_capabilities::wasi::stdio::LogSink;
use dayfly_telemetry::trace::{Context, Kind, Span, within};
use dayfly_telemetry::{ComponentMetrics, Fault, Status, UsageCounters};
use http::StatusCode;

use super::component::ComponentHost;
use super::failure::Failure;
use crate::ErrorId;
use crate::current::at_work_for;

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
    /// Whose bill it is on, where somebody is to know that.
    bill: Option<Bill>,
}

/// Where a request is counted by its release, and told about.
#[derive(Clone)]
struct Bill {
    usage: Arc<UsageCounters>,
    log: Arc<dyn LogSink>,
    request: ErrorId,
    is_event: bool,
}

/// What is left of a request that has ended, while its guest runs on.
pub(super) struct Ended {
    metrics: Arc<ComponentMetrics>,
    bill: Option<Bill>,
}

impl Meter {
    /// Begins with a request, or with an event. Until more is known, its client left before there was
    /// an answer.
    pub(super) fn begin(host: &ComponentHost, is_event: bool, mut span: Option<Span>) -> Self {
        if let (Some(span), Some(owner)) = (&mut span, &host.shared.owner) {
            span.text("dayfly.tenant", &*owner.tenant);
            span.text("dayfly.app", &*owner.app);
        }
        let bill = |usage: &Arc<UsageCounters>| Bill {
            usage: usage.clone(),
            log: host.told.clone(),
            request: ErrorId::random(),
            is_event,
        };
        Self(Some(Running {
            metrics: host.metrics.clone(),
            began: Instant::now(),
            status: None,
            fault: Some(Fault::Client),
            broke_off: false,
            span,
            bill: host.image.usage.as_ref().map(bill),
        }))
    }

    /// When the request came.
    pub(super) fn began(&self) -> Instant {
        self.0.as_ref().map_or_else(Instant::now, |running| running.began)
    }

    /// The request's id, if requests are told apart.
    pub(super) fn request(&self) -> Option<ErrorId> {
        Some(self.0.as_ref()?.bill.as_ref()?.request)
    }

    /// Notes the head of the guest's answer.
    pub(super) fn answered(&mut self, status: StatusCode) {
        if let Some(running) = &mut self.0 {
            (running.status, running.fault) = (Some(status), None);
        }
    }

    /// Notes that so much of an answer's body was handed over.
    pub(super) fn handed_over(&self, bytes: u64) {
        if let Some(Running { bill: Some(bill), .. }) = &self.0 {
            bill.usage.handed_over(bytes);
        }
    }

    /// Notes that the answer is an error of the edge.
    pub(super) fn failed(&mut self, failure: &Failure) {
        let problem = failure.problem();
        if let Some(running) = &mut self.0 {
            running.status = Some(problem.status());
            running.fault = Some(problem.fault());
            if let Some(bill) = &running.bill {
                bill.tell(failure);
            }
        }
    }

    /// Notes that the answer broke off, and logs why.
    pub(super) fn broke_off(self, failure: Failure) {
        let Self(Some(mut running)) = self else { return };
        running.fault = Some(failure.problem().fault());
        running.broke_off = true;
        let id = running.bill.as_ref().map(|bill| bill.request);
        if let Some(bill) = &running.bill {
            bill.tell(&failure);
        }
        let mut context = running.span.as_ref().map(|span| span.context().clone());
        within(&mut context, || failure.log(&running.metrics, id));
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
    pub(super) fn end(self) -> Option<Ended> {
        let running = self.0.as_ref()?;
        Some(Ended { metrics: running.metrics.clone(), bill: running.bill.clone() })
    }
}

impl Ended {
    /// Logs how a guest failed that ran on.
    pub(super) fn failed(self, failure: Failure) {
        if let Some(bill) = &self.bill {
            bill.tell(&failure);
        }
        failure.log(&self.metrics, self.bill.map(|bill| bill.request));
    }
}

impl Bill {
    /// Counts the request, which ends.
    fn end(&self, status: Status, fault: Option<Fault>, took: Duration) {
        match self.is_event {
            true => self.usage.event(status, fault, took),
            false => self.usage.request(status, fault, took),
        }
    }

    /// Tells whoever owns the guest how a request failed.
    fn tell(&self, failure: &Failure) {
        let (level, text) = failure.told();
        at_work_for(self.request, || self.log.failure(level, &text));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let status = self.status.map_or(Status::None, |status| Status::of(status.as_u16()));
        let took = self.began.elapsed();
        self.metrics.request(status, self.fault, took);
        if let Some(bill) = &self.bill {
            bill.end(status, self.fault, took);
        }
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
