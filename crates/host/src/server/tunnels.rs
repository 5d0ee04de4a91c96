//! Streams of HTTP/2 that another protocol has taken over (RFC 8441). Each has a task of its own, which is
//! woken when the connection is told something, and closes if its client takes nothing. The connection
//! is there as long as they are.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use slab::Slab;

use super::activity::Activity;
use super::upgrade::{Upgrade, Upgraded};

/// The streams of one connection; takes no room until there is one.
#[derive(Default)]
pub(super) struct Tunnels(OnceLock<Box<Mutex<Slab<Arc<Tunnel>>>>>);

/// One stream.
pub(super) struct Tunnel {
    waker: Waker,
    /// The tick after the one since which the client takes nothing; 0 while it does.
    blocked: AtomicU64,
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

    /// Ends those whose clients have taken nothing for longer than `patience`.
    pub(super) fn sweep(&self, now: u32, patience: u32) {
        let Some(slots) = self.slots() else { return };
        for (_, tunnel) in slots.iter() {
            let blocked = tunnel.blocked.load(Relaxed);
            if blocked > 0 && u64::from(now) > blocked - 1 + u64::from(patience) {
                tunnel.is_over.store(true, Relaxed);
                tunnel.waker.wake_by_ref();
            }
        }
    }
}

impl Tunnel {
    /// Notes, at this tick, whether bytes went out.
    pub(super) fn say(&self, moved: bool, now: u32) {
        if moved {
            self.blocked.store(0, Relaxed);
        } else {
            let since = u64::from(now) + 1;
            let _ = self.blocked.compare_exchange(0, since, Relaxed, Relaxed);
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
    let blocked = AtomicU64::new(0);
    let tunnel = Arc::new(Tunnel { waker, blocked, is_over: AtomicBool::new(false) });
    let slots = activity.tunnels.0.get_or_init(Box::default);
    let key = slots.lock().unwrap_or_else(PoisonError::into_inner).insert(tunnel.clone());
    let _place = Place { key, activity: activity.clone() };
    let stream = opening.await.ok().map(TokioIo::new);
    let upgraded = stream.map(|stream| Upgraded::of_stream(stream, tunnel, activity));
    if let Some(speaking) = upgrade.start(upgraded) {
        speaking.await;
    }
}
