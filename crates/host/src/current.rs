//! The request that a thread is at work for: what its guest says meanwhile is said for that one.

use std::cell::Cell;

use crate::ErrorId;

thread_local! {
    static CURRENT: Cell<Option<ErrorId>> = const { Cell::new(None) };
}

/// The request that this thread is at work for; none between requests, and where nobody asked for
/// requests to be told apart (`dayfly up`).
pub fn current_request() -> Option<ErrorId> {
    CURRENT.get()
}

/// Does some of a request's work.
pub(crate) fn at_work_for<T>(request: ErrorId, work: impl FnOnce() -> T) -> T {
    let _former = Former(CURRENT.replace(Some(request)));
    work()
}

/// What is current again when this is dropped, by a panic too.
struct Former(Option<ErrorId>);

impl Drop for Former {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_within_work_leaves_the_outer_request_current() {
        let (outer, inner) = (ErrorId::random(), ErrorId::random());
        at_work_for(outer, || {
            let panicked = std::panic::catch_unwind(|| {
                at_work_for(inner, || {
                    assert_eq!(current_request(), Some(inner));
                    std::panic::resume_unwind(Box::new(()))
                })
            });
            assert!(panicked.is_err());
            assert_eq!(current_request(), Some(outer));
        });
        assert_eq!(current_request(), None);
    }
}
