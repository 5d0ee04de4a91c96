//! Answers that an HTTP/2 client leaves unread. It can keep a stream's window shut while it uses
//! others, so the connection is not stuck, and hyper asks such an answer for nothing more: the
//! connection's sweep must find it and end what makes it.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use slab::Slab;

use super::activity::Activity;
use crate::body::{BodyStream, BoxError};

/// The streamed answers of one connection; takes no room until there is one.
#[derive(Default)]
pub(super) struct Unread(OnceLock<Box<Mutex<Slab<Arc<Slot>>>>>);

/// One answer.
struct Slot {
    /// `None` once the client had its time.
    body: Mutex<Option<BodyStream>>,
    /// The tick after the one in which the client was last offered something; 0 while it is the
    /// handler that is waited for.
    offered: AtomicU64,
}

impl Slot {
    fn body(&self) -> MutexGuard<'_, Option<BodyStream>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the answer if the client let it lie for longer than `patience`.
    fn sweep(&self, now: u32, patience: u32) {
        let offered = self.offered.load(Relaxed);
        if offered > 0 && u64::from(now) > offered - 1 + u64::from(patience) {
            *self.body() = None;
        }
    }
}

impl Unread {
    fn slots(&self) -> Option<MutexGuard<'_, Slab<Arc<Slot>>>> {
        Some(self.0.get()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the answers that lay for longer than `patience`.
    pub(super) fn sweep(&self, now: u32, patience: u32) {
        let Some(slots) = self.slots() else { return };
        for (_, slot) in slots.iter() {
            slot.sweep(now, patience);
        }
    }
}

/// An answer's body that ends if the client leaves it unread.
pub(super) struct Impatient {
    slot: Arc<Slot>,
    key: usize,
    activity: Arc<Activity>,
}

impl Impatient {
    pub(super) fn new(body: BodyStream, activity: Arc<Activity>) -> Self {
        let offered = AtomicU64::new(u64::from(activity.now()) + 1);
        let slot = Arc::new(Slot { body: Mutex::new(Some(body)), offered });
        let slots = activity.unread.0.get_or_init(Box::default);
        let key = slots.lock().unwrap_or_else(PoisonError::into_inner).insert(slot.clone());
        Self { slot, key, activity }
    }
}

impl http_body::Body for Impatient {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut body = self.slot.body();
        let Some(stream) = &mut *body else {
            return Poll::Ready(Some(Err("the client did not read it".into())));
        };
        let polled = stream.as_mut().poll_frame(cx);
        let offered = if polled.is_ready() { u64::from(self.activity.now()) + 1 } else { 0 };
        self.slot.offered.store(offered, Relaxed);
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
