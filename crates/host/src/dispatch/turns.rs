//! Turns of guests that compute, on one core. A guest gives its core up at each tick; if all of
//! them stood in the runtime's queue again at once, they would slow one another down, and with
//! twenty endless loops a neighbour would wait for twenty slices. So
//!
//! - a guest that was interrupted soon after it began goes on before another one begins;
//! - those that have not begun wait in a line that goes around among their components, and are
//!   refused when their component's line is too slow;
//! - a guest that has computed for a while, or has answered already, waits until it is its turn
//!   among its like: one slice of one of them at a time, beside all others.
//!
//! Where tenants share the core, it is the turn of whichever has had least of it for its weight
//! (`turns/lines.rs`), however many guests each of them has.

mod lines;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};

pub(super) use lines::Share;
use lines::{Lines, Waiter};

/// The CPU time in which most requests are done; what has used more is in no hurry.
pub(super) const SHORT: Duration = Duration::from_millis(5);

/// After this long without a change, whoever waits goes on: the guest whose turn it is may not
/// take it, because nobody reads its answer.
const STANDSTILL: Duration = Duration::from_millis(50);

thread_local! {
    static CORE: Arc<Core> = Arc::default();
}

/// What a component's requests have in common: which they are, and how long they may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lane {
    /// A number that no other component of the process has.
    pub(super) component: usize,
    pub(super) max_wait: Duration,
}

/// The component's requests wait for too long on this core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooSlow;

/// Two kinds of turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// To begin, and to go on soon after.
    Short,
    /// A slice for one that computes for long.
    Long,
}

/// The guests of one core.
#[derive(Default)]
struct Core(Mutex<State>);

struct State {
    lines: Lines,
    /// How many have begun, were interrupted, and go on before others begin.
    begun: u32,
    /// Whose turn it is among those that compute for long.
    holder: Option<Arc<Waiter>>,
    /// When a turn of each kind last began or ended.
    changed: [Instant; 2],
}

impl Default for State {
    fn default() -> Self {
        let (lines, changed) = (Lines::default(), [Instant::now(); 2]);
        Self { lines, begun: 0, holder: None, changed }
    }
}

impl State {
    /// Gives the turn among those that compute for long.
    fn hold(&mut self, next: Option<Arc<Waiter>>) {
        self.changed[Kind::Long as usize] = Instant::now();
        if let Some(next) = &next {
            next.may_run.store(true, Relaxed);
            next.wake();
        }
        self.holder = next;
    }

    /// Lets a waiter stand in the line of those that compute for long, if it does not.
    fn join(&mut self, share: Share, waiter: &Arc<Waiter>) {
        if self.holder.is_none() {
            self.hold(Some(waiter.clone()));
        } else if !waiter.in_line.swap(true, Relaxed) {
            self.lines.push_long(share, waiter);
        }
    }

    /// Takes a waiter out of its line; most have been taken out already, when their turn came.
    fn leave(&mut self, waiter: &Arc<Waiter>) {
        if waiter.in_line.swap(false, Relaxed) {
            self.lines.remove(waiter);
        }
    }
}

impl Core {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the turn of one that began and was interrupted; whoever is next begins.
    fn end_short(&self) {
        let mut state = self.state();
        state.changed[Kind::Short as usize] = Instant::now();
        state.begun = state.begun.saturating_sub(1);
        if state.begun == 0
            && let Some(next) = state.lines.next_fresh()
        {
            state.begun = 1;
            next.may_run.store(true, Relaxed);
            next.wake();
        }
    }

    /// Ends the turn of one that computes for long, unless it was taken from it already.
    fn end_long(&self, waiter: &Arc<Waiter>) {
        let mut state = self.state();
        if state.holder.as_ref().is_some_and(|holder| Arc::ptr_eq(holder, waiter)) {
            let next = state.lines.next_long();
            state.hold(next);
        }
    }
}

/// Where a guest stands.
pub(super) enum Place {
    /// It has not begun.
    Fresh(Lane),
    /// It may go on whenever it can.
    Free,
    Waiting(Waiting),
    Turn(Turn),
}

/// A guest's place in a line.
pub(super) struct Waiting {
    kind: Kind,
    share: Share,
    core: Arc<Core>,
    waiter: Arc<Waiter>,
    patience: Pin<Box<Sleep>>,
    /// Set once a long one has its turn: it lets the runtime look for I/O first, or else those that
    /// hand the turn on among themselves would keep it from that.
    breath: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// A guest's turn.
pub(super) struct Turn {
    kind: Kind,
    core: Arc<Core>,
    waiter: Option<Arc<Waiter>>,
}

impl Place {
    /// Waits until the guest may be polled. `in_no_hurry` if it computes for long.
    pub(super) fn poll(
        &mut self,
        (share, in_no_hurry): (Share, bool),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TooSlow>> {
        match self {
            Self::Fresh(lane) => match begin((*lane, share), false, cx.waker()) {
                Ok(place) => *self = place,
                Err(too_slow) => return Poll::Ready(Err(too_slow)),
            },
            Self::Free if in_no_hurry => *self = take_turn(share, cx.waker()),
            _ => {}
        }
        if let Self::Waiting(waiting) = self {
            ready!(waiting.poll(cx));
            let (kind, core) = (waiting.kind, waiting.core.clone());
            let waiter = Some(waiting.waiter.clone());
            *self = Self::Turn(Turn { kind, core, waiter });
        }
        Poll::Ready(Ok(()))
    }

    /// Lets a guest that has not begun stand in a line, though nobody else does: there is more to do
    /// than time.
    pub(super) fn line_up(&mut self, share: Share, waker: &Waker) -> Result<(), TooSlow> {
        if let Self::Fresh(lane) = self {
            *self = begin((*lane, share), true, waker)?;
        }
        Ok(())
    }

    /// Whether the guest waits for no other one.
    pub(super) fn is_first(&self) -> bool {
        match self {
            Self::Waiting(waiting) => waiting.waiter.may_run.load(Relaxed),
            _ => true,
        }
    }

    /// What follows from a poll that took so much CPU time: whether the guest was interrupted, and is in
    /// no hurry.
    pub(super) fn polled(
        &mut self,
        interrupted: bool,
        in_no_hurry: bool,
        (share, spent): (Share, Duration),
        waker: &Waker,
    ) {
        let turn = match self {
            Self::Turn(turn) => Some(turn.kind),
            _ => None,
        };
        if interrupted || turn.is_some() {
            CORE.with(|core| core.state().lines.charge(share, spent));
        }
        match turn {
            // Nobody may begin before it is done.
            Some(Kind::Short) if interrupted && !in_no_hurry => {}
            None if interrupted && !in_no_hurry => {
                let core = CORE.with(Arc::clone);
                core.state().begun += 1;
                *self = Self::Turn(Turn { kind: Kind::Short, core, waiter: None });
            }
            _ => {
                // Joins those who wait for the next turn, and gives its own away.
                *self = if interrupted { take_turn(share, waker) } else { Self::Free };
            }
        }
    }

    /// Notes that the guest has answered: from now on it may be polled late or never, as the
    /// client reads, and must hold nobody up.
    pub(super) fn answered(&mut self) {
        if matches!(self, Self::Turn(_) | Self::Waiting(_)) {
            *self = Self::Free;
        }
    }
}

/// The place of a guest that wants to begin: free to, if nobody else waits and the core is not busy.
fn begin((lane, share): (Lane, Share), is_busy: bool, waker: &Waker) -> Result<Place, TooSlow> {
    CORE.with(|core| {
        let mut state = core.state();
        let is_first = state.begun == 0 && !state.lines.has_fresh();
        if is_first && !is_busy {
            return Ok(Place::Free);
        }
        if !is_first && state.lines.wait(share, lane.component) > lane.max_wait {
            return Err(TooSlow);
        }
        let waiting = Waiting::new((Kind::Short, share), core.clone(), waker);
        if is_first {
            state.begun = 1;
            waiting.waiter.may_run.store(true, Relaxed);
        } else {
            state.lines.push_fresh(share, lane.component, &waiting.waiter);
        }
        Ok(Place::Waiting(waiting))
    })
}

/// A place among those that compute for long: at the end of their line, or the turn itself if nobody
/// has it.
fn take_turn(share: Share, waker: &Waker) -> Place {
    CORE.with(|core| {
        let waiting = Waiting::new((Kind::Long, share), core.clone(), waker);
        core.state().join(share, &waiting.waiter);
        Place::Waiting(waiting)
    })
}

impl Waiting {
    fn new((kind, share): (Kind, Share), core: Arc<Core>, waker: &Waker) -> Self {
        let patience = Box::pin(sleep(STANDSTILL));
        Self { kind, share, core, waiter: Waiter::new(waker), patience, breath: None }
    }

    /// Waits for the turn; what is taken here is not given back when the place is dropped.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        {
            let mut polled = self.waiter.last_poll();
            polled.0.clone_from(cx.waker());
            polled.1 = Instant::now();
        }
        if self.kind == Kind::Long && !self.waiter.may_run.load(Relaxed) {
            // Its turn may have been taken from it while nobody polled it.
            self.core.state().join(self.share, &self.waiter);
        }
        if self.waiter.may_run.load(Relaxed) {
            if self.kind == Kind::Long {
                let breath = || -> Pin<Box<dyn Future<Output = ()> + Send>> {
                    Box::pin(tokio::task::yield_now())
                };
                ready!(self.breath.get_or_insert_with(breath).as_mut().poll(cx));
            }
            self.waiter.may_run.store(false, Relaxed);
            return Poll::Ready(());
        }
        loop {
            ready!(self.patience.as_mut().poll(cx));
            let still = self.core.state().changed[self.kind as usize].elapsed();
            if still >= STANDSTILL {
                self.go_on();
                return Poll::Ready(());
            }
            let wait = STANDSTILL - still;
            self.patience.as_mut().reset(tokio::time::Instant::now() + wait);
        }
    }

    /// Takes the turn because whoever has it does not use it, and stands in no line until it does.
    fn go_on(&self) {
        let mut state = self.core.state();
        state.leave(&self.waiter);
        state.changed[self.kind as usize] = Instant::now();
        match self.kind {
            Kind::Short => state.begun += 1,
            Kind::Long => {
                let before = state.holder.replace(self.waiter.clone());
                before.inspect(|holder| holder.may_run.store(false, Relaxed));
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.core.state().leave(&self.waiter);
        // It may have its turn without having used it.
        match self.kind {
            _ if !self.waiter.may_run.load(Relaxed) => {}
            Kind::Short => self.core.end_short(),
            Kind::Long => self.core.end_long(&self.waiter),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        match (self.kind, &self.waiter) {
            (Kind::Long, Some(waiter)) => self.core.end_long(waiter),
            _ => self.core.end_short(),
        }
    }
}

#[cfg(test)]
mod tests;
