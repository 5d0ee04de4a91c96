//! Turns of guests that compute for long. A guest gives its core up at each tick, and would stand
//! in the runtime's queue again at once: with twenty such guests a neighbour's request would wait
//! for twenty slices. So a guest that has computed for a while waits until it is its turn among
//! its like; only one of them at a time stands in the queue, among all those that are short.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use dayfly_engine::Metered;
use tokio::time::{Sleep, sleep};

/// The CPU time in which most requests are done; what has used more takes turns.
const SHORT: Duration = Duration::from_millis(5);

/// The longest wait for a turn. It matters only if a guest whose turn it is does not take it,
/// because nobody reads its answer.
const PATIENCE: Duration = Duration::from_millis(50);

thread_local! {
    static LINE: Arc<Line> = Arc::default();
}

/// The guests of one core that compute for long.
#[derive(Default)]
struct Line(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Waiter>>,
    /// The guests that were let go on and have not used their slice up.
    running: u32,
}

/// A guest that waits.
struct Waiter {
    waker: Mutex<Waker>,
    may_run: AtomicBool,
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a turn, and begins that of whoever has waited longest.
    fn pass_on(&self) {
        let next = {
            let mut state = self.state();
            state.running = state.running.saturating_sub(1);
            if state.running > 0 {
                return;
            }
            let Some(next) = state.waiting.pop_front() else { return };
            state.running = 1;
            next
        };
        next.may_run.store(true, Relaxed);
        next.waker.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

/// Where a guest stands.
enum Place {
    /// It has not computed for long.
    Short,
    /// It waits for a turn.
    Waiting(Arc<Line>, Arc<Waiter>, Pin<Box<Sleep>>),
    /// It is its turn.
    Running(Arc<Line>),
}

impl Place {
    /// Takes a place at the end of this core's line, or the turn at once if nobody has it.
    fn take(waker: &Waker) -> Self {
        let line = LINE.with(Arc::clone);
        let mut state = line.state();
        if state.running == 0 && state.waiting.is_empty() {
            state.running = 1;
            drop(state);
            return Self::Running(line);
        }
        let waiter =
            Arc::new(Waiter { waker: Mutex::new(waker.clone()), may_run: AtomicBool::new(false) });
        state.waiting.push_back(waiter.clone());
        drop(state);
        Self::Waiting(line, waiter, Box::pin(sleep(PATIENCE)))
    }

    /// Waits for the turn.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self::Waiting(line, waiter, patience) = self else { return Poll::Ready(()) };
        // What is taken here is not given back when the place is dropped.
        if !waiter.may_run.swap(false, Relaxed) {
            waiter.waker.lock().unwrap_or_else(PoisonError::into_inner).clone_from(cx.waker());
            ready!(patience.as_mut().poll(cx));
            let mut state = line.state();
            state.waiting.retain(|other| !Arc::ptr_eq(other, waiter));
            state.running += 1;
        }
        *self = Self::Running(line.clone());
        Poll::Ready(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self {
            Self::Short => {}
            Self::Waiting(line, waiter, _) => {
                line.state().waiting.retain(|other| !Arc::ptr_eq(other, waiter));
                if waiter.may_run.load(Relaxed) {
                    line.pass_on();
                }
            }
            Self::Running(line) => line.pass_on(),
        }
    }
}

/// A guest that takes turns once it has computed for long.
pub(super) struct InTurn<F> {
    guest: Metered<F>,
    place: Place,
}

impl<F> InTurn<F> {
    pub(super) fn new(guest: Metered<F>) -> Self {
        Self { guest, place: Place::Short }
    }
}

impl<F: Future + Unpin> Future for InTurn<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        if this.guest.spent() > SHORT && matches!(this.place, Place::Short) {
            this.place = Place::take(cx.waker());
        }
        ready!(this.place.poll(cx));
        let poll = Pin::new(&mut this.guest).poll(cx);
        if matches!(this.place, Place::Running(..)) {
            // To the end of the line, and whoever is first goes on: perhaps this one.
            this.place = Place::Short;
            if this.guest.was_preempted() {
                this.place = Place::take(cx.waker());
            }
        }
        poll
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Instant;

    use super::*;

    /// Computes until the time is used up, giving the core up now and then, and notes each slice.
    fn computing(
        name: char,
        slices: u32,
        log: Rc<RefCell<Vec<char>>>,
    ) -> InTurn<Pin<Box<impl Future<Output = ()>>>> {
        let guest = Box::pin(async move {
            for _ in 0..slices {
                let began = Instant::now();
                while began.elapsed() < Duration::from_millis(2) {
                    std::hint::spin_loop();
                }
                log.borrow_mut().push(name);
                tokio::task::yield_now().await;
            }
        });
        InTurn::new(Metered::new(Duration::MAX, guest))
    }

    #[tokio::test(flavor = "current_thread")]
    async fn all_come_to_their_end() {
        let log = Rc::default();
        let local = tokio::task::LocalSet::new();
        for name in 'a'..='f' {
            local.spawn_local(computing(name, 8, Rc::clone(&log)));
        }
        local.await;
        assert_eq!(log.borrow().len(), 6 * 8);
        LINE.with(|line| {
            let state = line.state();
            assert!(state.waiting.is_empty());
            assert_eq!(state.running, 0);
        });
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_turn_that_is_not_taken_holds_nobody_up() {
        let log: Rc<RefCell<Vec<char>>> = Rc::default();
        let mut lazy = Box::pin(computing('a', 1000, log.clone()));
        // Until it has its turn, and then never again.
        while !matches!(lazy.place, Place::Running(..)) {
            let polled = lazy.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
            if lazy.guest.spent() > SHORT {
                lazy.place = Place::take(Waker::noop());
            }
        }
        let others = tokio::task::LocalSet::new();
        for name in 'b'..='d' {
            others.spawn_local(computing(name, 6, log.clone()));
        }
        others.await;
        assert_eq!(log.borrow().iter().filter(|name| **name != 'a').count(), 3 * 6);
        drop(lazy);
        LINE.with(|line| assert_eq!(line.state().running, 0));
    }
}
