//! Streams of HTTP/2 that another protocol has taken over (RFC 8441). Each has a task of its own, which is
//! woken when the connection is told something, and closes if its client takes nothing. The connection
//! is there as long as they are.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use slab::Slab;

use super::activity::Activity;
use super::pace::{Pace, Wait};
use super::upgrade::{Upgrade, Upgraded};

/// The streams of one connection; takes no room until there is one.
#[derive(Default)]
pub(super) struct Tunnels(OnceLock<Box<Mutex<Slab<Arc<Tunnel>>>>>);

/// One stream.
pub(super) struct Tunnel {
    waker: Waker,
    /// For the client to take what it is sent.
    wait: Wait,
    /// Whether the client had its time.
    is_over: AtomicBool,
}

impl Tunnels {
    fn slots(&self) -> Option<MutexGuard<'_, Slab<Arc<Tunnel>>>> {
        Some(self.0.get()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn are_there(&self) -> bool {
        self.slots().is_some_and(|slots| !slots.is_empty())
    }

    /// Has each of them look at what it is told.
    pub(super) fn wake(&self) {
        let Some(slots) = self.slots() else { return };
        slots.iter().for_each(|(_, tunnel)| tunnel.waker.wake_by_ref());
    }

    /// Ends those whose clients have taken too little for too long.
    pub(super) fn sweep(&self, pace: &Pace) {
        let Some(slots) = self.slots() else { return };
        for (_, tunnel) in slots.iter() {
            if tunnel.wait.look(pace) {
                tunnel.is_over.store(true, Relaxed);
                tunnel.waker.wake_by_ref();
            }
        }
    }
}

impl Tunnel {
    /// Notes how many bytes went out, or that the client takes none.
    pub(super) fn say(&self, moved: Option<usize>) {
        match moved {
            Some(bytes) => self.wait.end(bytes),
            None => self.wait.begin(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }
}

/// A stream's place among its connection's, which is told when it is given up.
struct Place {
    key: usize,
    activity: Arc<Activity>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(mut slots) = self.activity.tunnels.slots() {
            slots.try_remove(self.key);
        }
        self.activity.end_tunnel();
    }
}

/// Lets another protocol have a stream, until that is done with it.
pub(super) async fn serve(opening: OnUpgrade, upgrade: Upgrade, activity: Arc<Activity>) {
    let waker = std::future::poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let (wait, is_over) = Default::default();
    let tunnel = Arc::new(Tunnel { waker, wait, is_over });
    let slots = activity.tunnels.0.get_or_init(Box::default);
    let key = slots.lock().unwrap_or_else(PoisonError::into_inner).insert(tunnel.clone());
    let _place = Place { key, activity: activity.clone() };
    let stream = opening.await.ok().map(TokioIo::new);
    let upgraded = stream.map(|stream| Upgraded::of_stream(stream, tunnel, activity));
    if let Some(speaking) = upgrade.start(upgraded) {
        speaking.await;
    }
}
