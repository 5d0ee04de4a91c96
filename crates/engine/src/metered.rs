//! Runs guests under a CPU budget.
//!
//! A budget is spent by the time that a guest's future is being polled: guest code and the host
//! functions that it calls, but not what it waits for. It is wall time of these polls, so a thread
//! that the operating system takes the core from spends it too.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use wasmtime::UpdateDeadline;

use crate::budget::CpuBudget;
use crate::ticker;

/// The guest used more CPU time than it may. A host finds it in the error of a call by
/// `error.is::<CpuLimitExceeded>()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the guest exceeded its CPU limit")]
pub struct CpuLimitExceeded;

/// Ticks that a guest may see pass, one by one, between host calls without ever coming to a place
/// where it yields. Any loop and any call is such a place; only thousands of host calls written one
/// after the other are not, and they would keep the core for as long as a compiler lets functions be.
const MAX_UNYIELDING_TICKS: u32 = 50;

/// What the epoch callback sees of the innermost guest that this thread runs.
#[derive(Clone, Copy)]
struct Run {
    deadline: Instant,
    /// The ticker's count when a host call last returned.
    tick: u64,
    /// How often that was another one than before, since the guest went on or yielded.
    unyielding: u32,
    /// Time of the guests that run inside of this one's poll: a guest that calls another service
    /// in this process pays only for itself.
    nested: Duration,
    /// Whether it may be suspended.
    can_yield: bool,
}

thread_local! {
    static RUN: Cell<Option<Run>> = const { Cell::new(None) };
    /// Whether a guest was suspended because its slice was over.
    static PREEMPTED: Cell<bool> = const { Cell::new(false) };
}

/// Called by Wasmtime in a guest at the first tick after it went on.
pub(crate) fn on_epoch() -> wasmtime::Result<UpdateDeadline> {
    RUN.set(RUN.get().map(|run| Run { unyielding: 0, ..run }));
    match RUN.get() {
        Some(run) if Instant::now() >= run.deadline + run.nested => Err(CpuLimitExceeded.into()),
        Some(run) if run.can_yield => {
            PREEMPTED.set(true);
            // Tokio's own yield: the guest goes on only after the runtime has looked for I/O and
            // timers, however many tasks it runs between two looks.
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        }
        _ => Ok(UpdateDeadline::Continue(1)),
    }
}

/// Called by Wasmtime each time a host function returns to a guest, which looks at the epoch at
/// loops and calls only: the deadline holds for a guest that has neither, and for the time that
/// host functions take.
pub(crate) fn on_host_return() -> wasmtime::Result<()> {
    let tick = ticker::ticks();
    match RUN.get() {
        Some(run) if run.tick != tick => on_tick(Run { tick, ..run }),
        _ => Ok(()),
    }
}

#[cold]
fn on_tick(mut run: Run) -> wasmtime::Result<()> {
    run.unyielding += 1;
    RUN.set(Some(run));
    let stuck = run.can_yield && run.unyielding > MAX_UNYIELDING_TICKS;
    if stuck || Instant::now() >= run.deadline + run.nested {
        return Err(CpuLimitExceeded.into());
    }
    Ok(())
}

/// One stay in a guest: while it lives the ticker runs and the deadline is set. Leaving by a panic
/// restores the outer guest's too.
struct Stay {
    start: Instant,
    outer: Option<Run>,
    _ticking: ticker::Ticking,
}

impl Stay {
    fn enter(remaining: Duration, can_yield: bool) -> Stay {
        let ticking = ticker::enter();
        let start = Instant::now();
        // A limit of centuries is none.
        let deadline = start.checked_add(remaining).unwrap_or(start + Duration::from_secs(1 << 32));
        let tick = ticker::ticks();
        let run = Run { deadline, tick, unyielding: 0, nested: Duration::ZERO, can_yield };
        Stay { start, outer: RUN.replace(Some(run)), _ticking: ticking }
    }

    /// The time spent so far, without that of nested guests.
    fn spent(&self) -> Duration {
        let nested = RUN.get().map_or(Duration::ZERO, |run| run.nested);
        self.start.elapsed().saturating_sub(nested)
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let outer = self.outer.map(|run| Run { nested: run.nested + self.start.elapsed(), ..run });
        RUN.set(outer);
    }
}

/// A future that runs a guest under a CPU budget.
///
/// Past its budget the guest traps with [`CpuLimitExceeded`], at the first loop iteration or call
/// after the next tick. A future that spends its budget in host functions, and never in a guest,
/// is not ended by it.
pub struct Metered<F> {
    budget: Arc<CpuBudget>,
    spent: Duration,
    preempted: bool,
    future: F,
}

impl<F> Metered<F> {
    /// Lets `future` use the CPU for `limit` in all.
    pub fn new(limit: Duration, future: F) -> Metered<F> {
        Metered::within(CpuBudget::new(limit, None), future)
    }

    /// Lets `future` use the CPU as far as `budget` goes.
    pub fn within(budget: Arc<CpuBudget>, future: F) -> Metered<F> {
        Metered { budget, spent: Duration::ZERO, preempted: false, future }
    }

    /// The CPU time that it has used so far itself.
    pub fn spent(&self) -> Duration {
        self.spent
    }

    /// Whether it would go on at once, and waits only because its slice was over.
    pub fn was_preempted(&self) -> bool {
        self.preempted
    }

    /// The budget.
    pub fn budget(&self) -> &CpuBudget {
        &self.budget
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned structurally: nothing moves it out of a pinned `Metered`,
        // which has no destructor of its own and is `Unpin` only when `F` is. The other fields are
        // never pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: see above.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        let stay = Stay::enter(this.budget.left(), true);
        PREEMPTED.set(false);
        let poll = future.poll(cx);
        this.preempted = poll.is_pending() && PREEMPTED.get();
        let spent = stay.spent();
        this.spent += spent;
        this.budget.spend(spent);
        poll
    }
}

/// Runs a guest that is called without async under a CPU budget, on this thread, and says how much
/// of it was spent. The guest does not yield.
pub fn metered_blocking<R>(limit: Duration, guest: impl FnOnce() -> R) -> (R, Duration) {
    let stay = Stay::enter(limit, false);
    let result = guest();
    let spent = stay.spent();
    (result, spent)
}
