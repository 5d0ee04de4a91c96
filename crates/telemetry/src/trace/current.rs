//! The place in a trace of the guest that this thread runs: what happens while it is polled belongs
//! there, host calls and lines of the log among it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::Context;

/// Whether anything is exported at all.
static ACTIVE: AtomicBool = AtomicBool::new(false);

thread_local! {
    static CURRENT: Cell<Option<Context>> = const { Cell::new(None) };
}

pub(crate) fn activate() {
    ACTIVE.store(true, Relaxed);
}

/// Does something at a place in a trace.
pub fn within<R>(context: &mut Option<Context>, work: impl FnOnce() -> R) -> R {
    /// Puts things back, whether the work panics or not.
    struct Swapped<'a>(&'a mut Option<Context>, Option<Context>);
    impl Drop for Swapped<'_> {
        fn drop(&mut self) {
            *self.0 = CURRENT.replace(self.1.take());
        }
    }
    let outer = CURRENT.replace(context.take());
    let _swapped = Swapped(context, outer);
    work()
}

/// Whether anything is exported at all.
#[inline]
pub fn is_traced() -> bool {
    ACTIVE.load(Relaxed)
}

/// The place of what this thread does now; `None` if nothing is exported.
#[inline]
pub fn current() -> Option<Context> {
    if !is_traced() {
        return None;
    }
    let context = CURRENT.take();
    CURRENT.set(context.clone());
    context
}
