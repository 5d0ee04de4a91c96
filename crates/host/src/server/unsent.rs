//! Bodies of requests whose clients let a handler wait for them. The connection's sweep finds those
//! that send too little, and lets what reads them fail.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use slab::Slab;

use super::activity::Activity;
use super::pace::{Late, Pace, Wait};

/// Why a client's body broke off.
#[derive(Debug, thiserror::Error)]
pub enum ClientBodyError {
    /// The client left, or what it sent is no body.
    #[error("the request's body broke off")]
    Broken(#[from] hyper::Error),
    /// It sent too little for too long.
    #[error("the client sent the request's body too slowly")]
    Slow,
}

/// The bodies of one connection that were waited for; takes no room until there is one.
#[derive(Default)]
pub(super) struct Unsent(OnceLock<Box<Mutex<Slab<Arc<Slot>>>>>);

/// One body.
struct Slot {
    wait: Wait,
    /// Whether the client had its time.
    is_over: AtomicBool,
    /// Who waits.
    reader: Mutex<Option<Waker>>,
}

impl Slot {
    fn reader(&self) -> MutexGuard<'_, Option<Waker>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.is_over.store(true, Relaxed);
        let reader = self.reader().take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Unsent {
    fn slots(&self) -> Option<MutexGuard<'_, Slab<Arc<Slot>>>> {
        Some(self.0.get()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the bodies that were waited for too long.
    pub(super) fn sweep(&self, pace: &Pace) {
        let Some(slots) = self.slots() else { return };
        let over = slots.iter().filter(|(_, slot)| slot.wait.look(pace));
        over.for_each(|(_, slot)| slot.end());
    }

    /// Those whose clients are late.
    pub(super) fn late(&self) -> Late {
        let Some(slots) = self.slots() else { return Late::default() };
        Late::of(slots.iter().map(|(_, slot)| &slot.wait))
    }
}

/// A body's place among its connection's.
struct Place {
    slot: Arc<Slot>,
    key: usize,
}

/// The body of a client's request. It fails if the client sends too little while it is waited for.
pub struct ClientBody {
    body: Incoming,
    /// `None` where there is nothing to wait for.
    activity: Option<Arc<Activity>>,
    /// Once it was waited for.
    place: Option<Place>,
}

impl ClientBody {
    pub(super) fn new(body: Incoming, activity: &Arc<Activity>) -> Self {
        let activity = (!body.is_end_stream()).then(|| activity.clone());
        Self { body, activity, place: None }
    }

    /// Notes that the client is waited for.
    fn wait(&mut self, reader: &Waker) {
        let Some(activity) = &self.activity else { return };
        let place = self.place.get_or_insert_with(|| Place::take(activity));
        place.slot.wait.begin();
        let mut waiting = place.slot.reader();
        match &mut *waiting {
            Some(before) => before.clone_from(reader),
            none => *none = Some(reader.clone()),
        }
    }
}

impl Place {
    fn take(activity: &Activity) -> Self {
        let (wait, is_over, reader) = Default::default();
        let slot = Arc::new(Slot { wait, is_over, reader });
        let slots = activity.unsent.0.get_or_init(Box::default);
        let key = slots.lock().unwrap_or_else(PoisonError::into_inner).insert(slot.clone());
        Self { slot, key }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = ClientBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBodyError>>> {
        if self.place.as_ref().is_some_and(|place| place.slot.is_over.load(Relaxed)) {
            return Poll::Ready(Some(Err(ClientBodyError::Slow)));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            self.wait(cx.waker());
            return Poll::Pending;
        };
        if let (Some(place), Some(Ok(frame))) = (&self.place, &frame) {
            place.slot.wait.end(frame.data_ref().map_or(0, Bytes::len));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(ClientBodyError::Broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        if let (Some(activity), Some(place)) = (&self.activity, &self.place)
            && let Some(mut slots) = activity.unsent.slots()
        {
            slots.try_remove(place.key);
        }
    }
}
