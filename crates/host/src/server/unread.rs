//! Answers that an HTTP/2 client leaves unread. It can keep a stream's window shut while it uses
//! others, so the connection is not stuck, and hyper asks such an answer for nothing more: the
//! connection's sweep must find it and end what makes it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use slab::Slab;

use super::activity::Activity;
use super::pace::{Late, Pace, Wait};
use crate::body::{BodyStream, BoxError};

/// The streamed answers of one connection; takes no room until there is one.
#[derive(Default)]
pub(super) struct Unread(OnceLock<Box<Mutex<Slab<Arc<Slot>>>>>);

/// One answer.
struct Slot {
    /// `None` once the client had its time.
    body: Mutex<Option<BodyStream>>,
    /// For the client to take what it was offered last; not while it is the handler that is waited
    /// for.
    wait: Wait,
}

impl Slot {
    fn body(&self) -> MutexGuard<'_, Option<BodyStream>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the answer if the client let it lie for too long.
    fn sweep(&self, pace: &Pace) {
        if self.wait.look(pace) {
            *self.body() = None;
        }
    }
}

impl Unread {
    fn slots(&self) -> Option<MutexGuard<'_, Slab<Arc<Slot>>>> {
        Some(self.0.get()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the answers that lay for too long.
    pub(super) fn sweep(&self, pace: &Pace) {
        let Some(slots) = self.slots() else { return };
        for (_, slot) in slots.iter() {
            slot.sweep(pace);
        }
    }

    /// Those whose clients are late.
    pub(super) fn late(&self) -> Late {
        let Some(slots) = self.slots() else { return Late::default() };
        Late::of(slots.iter().map(|(_, slot)| &slot.wait))
    }
}

/// An answer's body that ends if the client leaves it unread.
pub(super) struct Impatient {
    slot: Arc<Slot>,
    key: usize,
    activity: Arc<Activity>,
    /// The bytes that the client was offered last.
    offered: usize,
}

impl Impatient {
    pub(super) fn new(body: BodyStream, activity: Arc<Activity>) -> Self {
        let wait = Wait::default();
        wait.begin();
        let slot = Arc::new(Slot { body: Mutex::new(Some(body)), wait });
        let slots = activity.unread.0.get_or_init(Box::default);
        let key = slots.lock().unwrap_or_else(PoisonError::into_inner).insert(slot.clone());
        Self { slot, key, activity, offered: 0 }
    }
}

impl http_body::Body for Impatient {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        // It is asked for more once the client has room for it.
        this.slot.wait.end(std::mem::take(&mut this.offered));
        let mut body = this.slot.body();
        let Some(stream) = &mut *body else {
            return Poll::Ready(Some(Err("the client did not read it".into())));
        };
        let polled = stream.as_mut().poll_frame(cx);
        if let Poll::Ready(frame) = &polled {
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            this.offered = data.map_or(0, Bytes::len);
            this.slot.wait.begin();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.slot.body().as_ref().is_some_and(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.slot.body().as_ref().map_or_else(Default::default, |body| body.size_hint())
    }
}

impl Drop for Impatient {
    fn drop(&mut self) {
        if let Some(mut slots) = self.activity.unread.slots() {
            slots.try_remove(self.key);
        }
    }
}
