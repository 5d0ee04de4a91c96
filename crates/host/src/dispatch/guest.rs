//! Runs a guest inside the task of its request: no task is spawned and nothing is handed over. The
//! guest's future is polled until it has answered; what is left of it moves into the response's
//! body and is polled there, as the client takes what it writes. Whoever drops the body, drops
//! the guest: a client that leaves ends it.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use dayfly_engine::{CpuBudget, Metered};
use dayfly_telemetry::trace::{self, Kind, Span, within};
use http::HeaderMap;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;
use wasmtime_wasi_http::WasiBody;

use super::admission::Permit;
use super::body;
use super::failure::Failure;
use super::loading::Resident;
use super::meter::Meter;
use super::turns::{Lane, Place, SHORT, Share};
use crate::current::at_work_for;
use crate::{Body, ErrorId};

/// The CPU time of a core's guests after which its runtime looks for I/O and timers, whatever else is
/// ready: it would look after so many tasks only, be they short or long.
const LOOK: Duration = Duration::from_millis(1);

thread_local! {
    /// The CPU time of this core's guests since the runtime was last made to look.
    static SINCE_LOOK: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// What a guest does: with its store and its instance, once it has begun.
pub(super) type Work = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// A guest at work, with its place among those that may run.
pub(super) struct Guest {
    work: Metered<Work>,
    place: Place,
    answered: bool,
    /// Whether it waits for the runtime to look for I/O.
    gave_way: bool,
    /// The code that it runs.
    resident: Arc<Resident>,
    /// Its leave to run.
    permit: Permit,
    /// Whose turns it takes.
    share: Share,
    /// The CPU time that its tenant was charged for.
    charged: Duration,
    /// Its place in a trace, if anything is exported.
    trace: Option<Box<Trace>>,
    /// The id of its request, if requests are told apart.
    request: Option<ErrorId>,
}

/// A guest's place in a trace, and its span if that is recorded.
pub(super) struct Trace {
    context: Option<trace::Context>,
    span: Option<Span>,
}

impl Trace {
    /// The place of a component's guest that answers a request at `context`.
    pub(super) fn new(context: &trace::Context, component: &str) -> Box<Self> {
        let span = context.child(Kind::Internal, component.to_owned());
        let context = span.as_ref().map_or(context, Span::context).clone();
        Box::new(Self { context: Some(context), span })
    }

    /// Tells the guest of its place, as it would be told by a client.
    pub(super) fn inject(&self, headers: &mut HeaderMap) {
        if let Some(context) = &self.context {
            context.inject(headers);
        }
    }
}

impl Guest {
    /// A guest that has not begun, and may use the CPU as far as that goes. Without a lane it need not wait
    /// to begin.
    pub(super) fn new(
        work: Work,
        cpu: Arc<CpuBudget>,
        lane: Option<Lane>,
        (permit, resident): (Permit, Arc<Resident>),
        (trace, request): (Option<Box<Trace>>, Option<ErrorId>),
    ) -> Self {
        let work = Metered::within(cpu, work);
        let place = lane.map_or(Place::Free, Place::Fresh);
        let share = permit.account().map_or(Share::WHOLE, Share::of);
        let (answered, gave_way, charged) = Default::default();
        Self { work, place, answered, gave_way, resident, permit, share, charged, trace, request }
    }

    /// Lets the runtime look for I/O first, if guests have had the core for long enough: tokio wakes
    /// what yields only after a look, and runs what else is ready before.
    fn gives_way(&mut self, cx: &mut Context<'_>) -> bool {
        // One whose slice was over has yielded by itself.
        if std::mem::take(&mut self.gave_way) || self.work.was_preempted() {
            SINCE_LOOK.set(Duration::ZERO);
        }
        let is_due = SINCE_LOOK.get() > LOOK && self.place.is_first();
        self.gave_way = is_due && pin!(yield_now()).poll(cx).is_pending();
        self.gave_way
    }

    /// Charges its tenant for what it has used since that was done last.
    fn charge(&mut self) -> Result<(), Failure> {
        let Some(account) = self.permit.account() else { return Ok(()) };
        let spent = self.work.spent();
        let more = spent.saturating_sub(std::mem::replace(&mut self.charged, spent));
        account.charge(more, SystemTime::now()).map_err(Failure::Over)
    }

    /// How it fails that its CPU time is used up, or a caller's, by all that run for them.
    fn used_up(&self) -> Option<Failure> {
        let own = self.work.budget();
        let over = own.used_up()?;
        let failed = if std::ptr::eq(own, over) { Failure::Cpu } else { Failure::CallersCpu };
        Some(failed(over.limit()))
    }

    /// Whether others should not wait for it.
    fn computes_for_long(&self) -> bool {
        self.work.spent() > SHORT || self.answered && self.work.was_preempted()
    }
}

impl Future for Guest {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        // Tenants begin in turn where there is not time for all; one that owns the node need not count.
        let is_busy = this.share != Share::WHOLE && SINCE_LOOK.get() > LOOK;
        if is_busy && this.place.line_up(this.share, cx.waker()).is_err() {
            return Poll::Ready(Err(Failure::Slow));
        }
        // What it called has spent it, perhaps, while it waited.
        if let Some(over) = this.used_up() {
            return Poll::Ready(Err(over));
        }
        if this.gives_way(cx) {
            return Poll::Pending;
        }
        let in_no_hurry = this.computes_for_long();
        if ready!(this.place.poll((this.share, in_no_hurry), cx)).is_err() {
            return Poll::Ready(Err(Failure::Slow));
        }
        let before = this.work.spent();
        let (work, trace) = (&mut this.work, &mut this.trace);
        let mut poll = || match trace {
            None => Pin::new(&mut *work).poll(cx),
            Some(trace) => within(&mut trace.context, || Pin::new(&mut *work).poll(cx)),
        };
        let poll = match this.request {
            None => poll(),
            Some(request) => at_work_for(request, poll),
        };
        let spent = this.work.spent() - before;
        SINCE_LOOK.set(SINCE_LOOK.get() + spent);
        let (interrupted, in_no_hurry) = (this.work.was_preempted(), this.computes_for_long());
        this.place.polled(interrupted, in_no_hurry, (this.share, spent), cx.waker());
        if interrupted && poll.is_pending() {
            // Not for what ends by itself: it has had the time already.
            this.charge()?;
        }
        match poll {
            Poll::Ready(Err(Failure::Cpu(limit))) => {
                Poll::Ready(Err(this.used_up().unwrap_or(Failure::Cpu(limit))))
            }
            poll => poll,
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let cpu = self.work.spent();
        // It is over, whatever is left.
        let _ = self.charge();
        self.resident.grants.metrics.cpu(cpu);
        if let Some(usage) = &self.resident.grants.usage {
            usage.cpu(cpu);
        }
        if let Some(span) = self.trace.as_mut().and_then(|trace| trace.span.as_mut()) {
            span.number("dayfly.cpu_time", cpu.as_secs_f64());
            let left_out = span.context().calls_left_out();
            if left_out > 0 {
                span.integer("dayfly.calls_left_out", left_out.into());
            }
        }
    }
}

/// What a guest answered, or why it cannot.
pub(super) type Answer = Result<http::Response<WasiBody>, Failure>;

/// What a response needs to know about its request.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// How long the guest may take until it answers, and between two pieces of its body.
    pub(super) time: Duration,
    /// How much it may write, in bytes.
    pub(super) output_bytes: u64,
    /// Whether the client takes no body (`HEAD`).
    pub(super) head_only: bool,
}

/// What a guest answered, and the guest itself if it still runs.
pub(super) type Answered = (http::Response<WasiBody>, Option<Guest>);

/// Runs `guest` until it has answered on `answer`, for so long.
pub(super) async fn run(
    guest: Guest,
    answer: oneshot::Receiver<Answer>,
    time: Duration,
) -> Result<Answered, Failure> {
    timeout(time, first_answer(guest, answer)).await.unwrap_or(Err(Failure::Time(time)))
}

/// Makes the response of a guest that has answered. The meter notes it.
pub(super) fn respond(
    (response, guest): Answered,
    terms: Terms,
    meter: &mut Meter,
) -> Result<http::Response<Body>, Failure> {
    if response.status().is_informational() {
        // An interim answer promises another one, and 101 another protocol.
        return Err(Failure::Status(response.status()));
    }
    meter.answered(response.status());
    let guest = guest.map(|mut guest| {
        guest.answered = true;
        guest.place.answered();
        guest
    });
    let (mut parts, content) = response.into_parts();
    let content = body::of_response(&mut parts, content, guest, terms, meter)?;
    Ok(http::Response::from_parts(parts, content))
}

/// The guest's answer, and the guest itself if it still runs.
async fn first_answer(
    guest: Guest,
    mut answer: oneshot::Receiver<Answer>,
) -> Result<Answered, Failure> {
    let mut guest = Some(guest);
    let mut closed = false;
    let response = poll_fn(|cx| {
        // The guest first: an answer can only come from it, and often it ends with it.
        if let Some(running) = &mut guest
            && let Poll::Ready(ended) = Pin::new(running).poll(cx)
        {
            guest = None;
            ended?;
            // What it said is there; polled, it would not be if the task has used up tokio's budget.
            return Poll::Ready(answer.try_recv().unwrap_or(Err(Failure::NoResponse)));
        }
        if !closed {
            match Pin::new(&mut answer).poll(cx) {
                Poll::Ready(Ok(response)) => return Poll::Ready(response),
                Poll::Ready(Err(_)) => closed = true,
                Poll::Pending => {}
            }
        }
        // Without a way to answer, a guest that still runs may yet say why by how it ends.
        Poll::Pending
    })
    .await?;
    Ok((response, guest))
}
