//! Turns of guests that compute, on one core. A guest gives its core up at each tick; if all of
//! them stood in the runtime's queue again at once, they would slow one another down, and with
//! twenty endless loops a neighbour would wait for twenty slices. So
//!
//! - a guest that was interrupted soon after it began goes on before another one begins;
//! - those that have not begun wait in a line that goes around among their components, and are
//!   refused when their component's line is too slow;
//! - a guest that has computed for a while, or has answered already, waits until it is its turn
//!   among its like: one slice of one of them at a time, beside all others.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};

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
    /// Those that wait to begin, by component, in the order in which components get their turns.
    fresh: VecDeque<Line>,
    /// How many have begun, were interrupted, and go on before others begin.
    begun: u32,
    long: VecDeque<Arc<Waiter>>,
    /// Whose turn it is among those that compute for long.
    holder: Option<Arc<Waiter>>,
    /// When a turn of each kind last began or ended.
    changed: [Instant; 2],
}

impl Default for State {
    fn default() -> Self {
        let (fresh, long) = Default::default();
        Self { fresh, begun: 0, long, holder: None, changed: [Instant::now(); 2] }
    }
}

/// The requests of one component that wait to begin.
struct Line {
    component: usize,
    waiters: VecDeque<Arc<Waiter>>,
    /// When the last of them began, and the time between two of them, averaged.
    began: Option<Instant>,
    interval: Duration,
}

impl Line {
    fn new(component: usize) -> Self {
        Self { component, waiters: VecDeque::new(), began: None, interval: Duration::ZERO }
    }

    /// How long one that joins now will wait, as far as can be told.
    fn wait(&self) -> Duration {
        let first = self.waiters.front().map_or(Duration::ZERO, |first| first.since.elapsed());
        let before = u32::try_from(self.waiters.len()).unwrap_or(u32::MAX);
        first.max(self.interval.saturating_mul(before))
    }

    fn push(&mut self, waiter: &Arc<Waiter>) {
        waiter.in_line.store(true, Relaxed);
        self.waiters.push_back(waiter.clone());
    }

    fn pop(&mut self) -> Option<Arc<Waiter>> {
        let next = self.waiters.pop_front()?;
        next.in_line.store(false, Relaxed);
        let now = Instant::now();
        if let Some(before) = self.began.replace(now) {
            let interval = now.duration_since(before);
            self.interval = match self.interval {
                Duration::ZERO => interval,
                average => (average * 15 + interval) / 16,
            };
        }
        Some(next)
    }
}

/// A guest that waits, or has its turn.
struct Waiter {
    since: Instant,
    /// Whom to wake, and when it was polled last.
    polled: Mutex<(Waker, Instant)>,
    may_run: AtomicBool,
    /// Whether it stands in one of the lines.
    in_line: AtomicBool,
}

impl Waiter {
    fn new(waker: &Waker) -> Arc<Self> {
        let since = Instant::now();
        let polled = Mutex::new((waker.clone(), since));
        let (may_run, in_line) = Default::default();
        Arc::new(Self { since, polled, may_run, in_line })
    }

    fn last_poll(&self) -> MutexGuard<'_, (Waker, Instant)> {
        self.polled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.last_poll().0.wake_by_ref();
    }

    /// Whether it would take a turn: those that nobody polls, because their clients do not read,
    /// would not. There may be thousands of them.
    fn is_attentive(&self) -> bool {
        self.last_poll().1.elapsed() < STANDSTILL * 2
    }
}

impl State {
    /// Whoever begins next, taken out of its line.
    fn next_fresh(&mut self) -> Option<Arc<Waiter>> {
        let mut line = self.fresh.pop_front()?;
        let next = line.pop();
        if !line.waiters.is_empty() {
            self.fresh.push_back(line);
        }
        next
    }

    /// Whoever is next among those that compute for long. The inattentive leave the line; they join
    /// it again when they are polled.
    fn next_long(&mut self) -> Option<Arc<Waiter>> {
        loop {
            let next = self.long.pop_front()?;
            next.in_line.store(false, Relaxed);
            if next.is_attentive() {
                return Some(next);
            }
        }
    }

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
    fn join(&mut self, waiter: &Arc<Waiter>) {
        if self.holder.is_none() {
            self.hold(Some(waiter.clone()));
        } else if !waiter.in_line.swap(true, Relaxed) {
            self.long.push_back(waiter.clone());
        }
    }

    /// Takes a waiter out of its line; most have been taken out already, when their turn came.
    fn leave(&mut self, waiter: &Arc<Waiter>) {
        if !waiter.in_line.swap(false, Relaxed) {
            return;
        }
        let others = |other: &Arc<Waiter>| !Arc::ptr_eq(other, waiter);
        self.long.retain(others);
        for line in &mut self.fresh {
            line.waiters.retain(others);
        }
        self.fresh.retain(|line| !line.waiters.is_empty());
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
            && let Some(next) = state.next_fresh()
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
            let next = state.next_long();
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
        in_no_hurry: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TooSlow>> {
        match self {
            Self::Fresh(lane) => match begin(*lane, cx.waker()) {
                Ok(place) => *self = place,
                Err(too_slow) => return Poll::Ready(Err(too_slow)),
            },
            Self::Free if in_no_hurry => *self = take_turn(cx.waker()),
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

    /// What follows from a poll: whether the guest was interrupted, and is in no hurry.
    pub(super) fn polled(&mut self, interrupted: bool, in_no_hurry: bool, waker: &Waker) {
        let turn = match self {
            Self::Turn(turn) => Some(turn.kind),
            _ => None,
        };
        match turn {
            // Nobody may begin before it is done.
            Some(Kind::Short) if interrupted && !in_no_hurry => {}
            None if interrupted && !in_no_hurry => {
                let core = CORE.with(Arc::clone);
                core.state().begun += 1;
                *self = Self::Turn(Turn { kind: Kind::Short, core, waiter: None });
            }
            _ => {
                // First gives its turn away, then joins those who wait for the next.
                *self = Self::Free;
                if interrupted {
                    *self = take_turn(waker);
                }
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

/// The place of a guest that wants to begin.
fn begin(lane: Lane, waker: &Waker) -> Result<Place, TooSlow> {
    CORE.with(|core| {
        let mut state = core.state();
        if state.begun == 0 && state.fresh.is_empty() {
            return Ok(Place::Free);
        }
        let index = state.fresh.iter().position(|line| line.component == lane.component);
        let index = index.unwrap_or_else(|| {
            state.fresh.push_back(Line::new(lane.component));
            state.fresh.len() - 1
        });
        let line = &mut state.fresh[index];
        if line.wait() > lane.max_wait {
            return Err(TooSlow);
        }
        let waiting = Waiting::new(Kind::Short, core.clone(), waker);
        line.push(&waiting.waiter);
        Ok(Place::Waiting(waiting))
    })
}

/// A place among those that compute for long: at the end of their line, or the turn itself if nobody
/// has it.
fn take_turn(waker: &Waker) -> Place {
    CORE.with(|core| {
        let waiting = Waiting::new(Kind::Long, core.clone(), waker);
        core.state().join(&waiting.waiter);
        Place::Waiting(waiting)
    })
}

impl Waiting {
    fn new(kind: Kind, core: Arc<Core>, waker: &Waker) -> Self {
        let patience = Box::pin(sleep(STANDSTILL));
        Self { kind, core, waiter: Waiter::new(waker), patience, breath: None }
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
            self.core.state().join(&self.waiter);
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
