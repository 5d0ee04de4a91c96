//! What one connection is doing, kept in a handful of numbers, so that one sweep a core can tell
//! which connections are idle, stuck or too slow, and no request has to set a timer.
//!
//! Only the connection's own core writes here on the way of a request; the numbers are atomic to
//! be shareable, and never contended.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use super::pace::{Pace, Wait};
use super::socket::Socket;
use super::tunnels::Tunnels;
use super::unread::Unread;
use super::unsent::Unsent;

/// A core's coarse clock, advanced by its sweep. It counts sweeps rather than time: when the core
/// was kept from running, nobody's time has passed.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU32);

impl Clock {
    pub(super) fn now(&self) -> u32 {
        self.0.load(Relaxed)
    }

    pub(super) fn advance(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// What a connection was told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Order {
    /// Go on.
    Serve,
    /// Close after the next answer that says so; nobody need hurry.
    Leave,
    /// Finish what runs, then close.
    Drain,
    /// Close at once.
    Drop,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// TLS is being agreed on.
    Handshake,
    /// HTTP/1, or not known yet.
    Http1,
    /// HTTP/2.
    Http2,
    /// Another protocol took over after a request of HTTP/1, and has bounds of its own.
    Upgraded,
    /// Everything was said; the client's last bytes are let in.
    Lingering,
}

/// The bounds of a connection's time, in ticks of the [`Clock`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) handshake: u32,
    pub(super) header: u32,
    pub(super) idle: u32,
    /// The same of a connection that another process would serve if it came again.
    pub(super) leave: u32,
    /// How long a client of HTTP/2 may leave all its answers.
    pub(super) unread: u32,
    /// How long a connection that was told to end may stay without a request, and how long it lingers.
    pub(super) goodbye: u32,
    /// How fast it takes what it is sent.
    pub(super) write: Pace,
    /// How fast it sends a body that is waited for.
    pub(super) body: Pace,
}

/// How ready a connection is to give way to another: the larger the sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dispensable {
    /// All that it is there for waits for its client, for so many microseconds too long.
    Late(u64),
    /// It has not come to its request, for so many ticks.
    Nascent(u32),
    /// It was idle for so many ticks.
    Idle(u32),
}

/// What one connection is doing.
pub(super) struct Activity {
    clock: Arc<Clock>,
    socket: Socket,
    /// When the present state began.
    since: AtomicU32,
    /// When it was last told to do something else.
    told: AtomicU32,
    /// The requests that run.
    requests: AtomicU32,
    /// Whether bytes came since the last request ended, so that a head is being read.
    heard: AtomicBool,
    /// For the client to take what it is being sent.
    writing: Wait,
    /// Whether the last request had a body, so that more of it may be on its way.
    body: AtomicBool,
    stage: AtomicU8,
    order: AtomicU8,
    /// The requests of HTTP/2 whose next step is ours, not the client's.
    working: AtomicU32,
    /// When one of those was ours last.
    worked: AtomicU32,
    /// The answers of HTTP/2 that are streamed.
    pub(super) unread: Unread,
    /// The bodies of requests that were waited for.
    pub(super) unsent: Unsent,
    /// The streams of HTTP/2 that another protocol took over.
    pub(super) tunnels: Tunnels,
    waker: OnceLock<Waker>,
}

impl Activity {
    pub(super) fn new(clock: Arc<Clock>, socket: Socket, stage: Stage) -> Self {
        let now = clock.now();
        Self {
            clock,
            socket,
            since: AtomicU32::new(now),
            told: AtomicU32::new(now),
            requests: AtomicU32::new(0),
            heard: AtomicBool::new(false),
            writing: Wait::default(),
            body: AtomicBool::new(false),
            stage: AtomicU8::new(stage as u8),
            order: AtomicU8::new(Order::Serve as u8),
            working: AtomicU32::new(0),
            worked: AtomicU32::new(now),
            unread: Unread::default(),
            unsent: Unsent::default(),
            tunnels: Tunnels::default(),
            waker: OnceLock::new(),
        }
    }

    pub(super) fn now(&self) -> u32 {
        self.clock.now()
    }

    /// Notes the task to wake when there is an order; a task's first one is its only one.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.get_or_init(|| waker.clone());
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Relaxed);
        self.heard.store(false, Relaxed);
        self.since.store(self.clock.now(), Relaxed);
    }

    pub(super) fn begin_request(&self, has_body: bool) {
        self.requests.fetch_add(1, Relaxed);
        self.heard.store(false, Relaxed);
        self.body.store(has_body, Relaxed);
    }

    pub(super) fn end_request(&self) {
        if self.requests.fetch_sub(1, Relaxed) == 1 {
            self.since.store(self.clock.now(), Relaxed);
        }
    }

    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Relaxed)
    }

    /// Whether bytes came that have not become a request of HTTP/1 yet.
    pub(super) fn is_reading_head(&self) -> bool {
        self.heard.load(Relaxed) && self.requests() == 0 && self.is(Stage::Http1)
    }

    /// Notes that bytes came in.
    pub(super) fn hear(&self) {
        if self.requests() == 0 && !self.heard.load(Relaxed) {
            self.heard.store(true, Relaxed);
            self.since.store(self.clock.now(), Relaxed);
        }
    }

    /// Notes how many bytes went out, or that the client takes none.
    pub(super) fn say(&self, moved: Option<usize>) {
        match moved {
            Some(bytes) => self.writing.end(bytes),
            None => self.writing.begin(),
        }
    }

    /// Whether the client may still be sending what nobody will read, so that closing at once
    /// would reset the connection and take our last answer with it.
    pub(super) fn may_still_send(&self) -> bool {
        let upgraded = self.is(Stage::Upgraded);
        upgraded || self.is(Stage::Http1) && (self.body.load(Relaxed) || self.heard.load(Relaxed))
    }

    /// Notes that an idle connection is about to be closed: nothing is on its way.
    pub(super) fn settle(&self) {
        if self.requests() == 0 && !self.heard.load(Relaxed) {
            self.body.store(false, Relaxed);
        }
    }

    /// Tells the connection what to do; orders only become stricter.
    pub(super) fn order(&self, order: Order) {
        if self.order.fetch_max(order as u8, Relaxed) < order as u8 {
            self.told.store(self.clock.now(), Relaxed);
            if order == Order::Leave {
                // It was told of now, however long it was idle before.
                self.since.store(self.clock.now(), Relaxed);
            }
            self.wake();
            self.tunnels.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// Notes that a protocol is done with the stream that it took over.
    pub(super) fn end_tunnel(&self) {
        self.since.store(self.clock.now(), Relaxed);
        self.wake();
    }

    pub(super) fn ordered(&self) -> Order {
        match self.order.load(Relaxed) {
            0 => Order::Serve,
            1 => Order::Leave,
            2 => Order::Drain,
            _ => Order::Drop,
        }
    }

    /// Whether HTTP/2 is spoken.
    pub(super) fn is_http2(&self) -> bool {
        self.is(Stage::Http2)
    }

    fn is(&self, stage: Stage) -> bool {
        self.stage.load(Relaxed) == stage as u8
    }

    /// Closes the connection if it used up its time.
    pub(super) fn sweep(&self, patience: &Patience) {
        let now = self.clock.now();
        let since = now.wrapping_sub(self.since.load(Relaxed));
        if self.writing.look(&patience.write) {
            return self.order(Order::Drop);
        }
        if self.is(Stage::Handshake) && since > patience.handshake
            || self.is(Stage::Lingering) && since > patience.goodbye
        {
            return self.order(Order::Drop);
        }
        if self.is_abandoned() {
            return self.order(Order::Drop);
        }
        if self.is(Stage::Upgraded) {
            return;
        }
        self.tunnels.sweep(&patience.write);
        if self.requests() > 0 {
            if self.leaves_all_unread(now, patience.unread) {
                self.order(Order::Drop);
            }
            self.unsent.sweep(&patience.body);
            return self.unread.sweep(&patience.write);
        }
        if self.is(Stage::Http1) && self.heard.load(Relaxed) {
            if since > patience.header {
                self.order(Order::Drop);
            }
        } else if self.tunnels.are_there() {
            // What speaks there has bounds of its own.
        } else if self.ordered() == Order::Drain {
            // However much it says: nothing of it is wanted any more.
            let told = now.wrapping_sub(self.told.load(Relaxed));
            if since.min(told) > patience.goodbye && !self.writing.is_on() {
                self.order(Order::Drop);
            }
        } else if since > patience.idle || self.ordered() == Order::Leave && since > patience.leave
        {
            self.order(Order::Drain);
        }
    }

    /// Whether an HTTP/2 client has had an answer to every request for longer than `patience`, and
    /// took nothing of any.
    fn leaves_all_unread(&self, now: u32, patience: u32) -> bool {
        self.is(Stage::Http2)
            && self.working.load(Relaxed) == 0
            && now.wrapping_sub(self.worked.load(Relaxed)) > patience
    }

    /// Whether something is at work for a client that has left. Hyper sees that only where it reads,
    /// which it does not while a body, or another request, waits to be read.
    pub(super) fn is_abandoned(&self) -> bool {
        self.requests() > 0 && self.is_left()
    }

    /// Whether the client is known to have closed its side.
    pub(super) fn is_left(&self) -> bool {
        self.socket.is_left()
    }

    /// Whether the connection may give way to another. `None` if it has a request whose client is in
    /// time, or has just come.
    pub(super) fn dispensable(&self) -> Option<Dispensable> {
        if self.ordered() == Order::Drop {
            return None;
        }
        let in_use = self.requests() > 0 || self.is(Stage::Upgraded) || self.tunnels.are_there();
        if in_use || self.writing.is_on() {
            return self.late().map(Dispensable::Late);
        }
        let age = self.clock.now().wrapping_sub(self.since.load(Relaxed));
        // What came just now may well have its request in the socket.
        match age {
            0 => None,
            _ if self.is(Stage::Handshake) || self.heard.load(Relaxed) => {
                Some(Dispensable::Nascent(age))
            }
            _ => Some(Dispensable::Idle(age)),
        }
    }

    /// How late the client is, in microseconds, if all that is there waits for it.
    fn late(&self) -> Option<u64> {
        if self.writing.is_on() {
            return Some(self.writing.owed()).filter(|owed| *owed > 0);
        }
        let late = self.unread.late().with(self.unsent.late());
        (late.count > 0 && late.count >= self.requests() && !self.tunnels.are_there())
            .then_some(late.most)
    }
}

/// A request that runs, as the connection's activity counts it.
pub(super) struct Running {
    activity: Arc<Activity>,
    /// Whether it is one of HTTP/2 whose next step is ours.
    working: bool,
}

impl Running {
    pub(super) fn begin(activity: &Arc<Activity>, has_body: bool) -> Self {
        activity.begin_request(has_body);
        Self { activity: activity.clone(), working: false }
    }

    /// Notes whether the next step of a request of HTTP/2 is ours, or the client's. The clients of
    /// HTTP/1 that do not read are known by their sockets.
    pub(super) fn set_working(&mut self, working: bool) {
        let activity = &self.activity;
        activity.worked.store(activity.now(), Relaxed);
        if working != self.working {
            let change = if working { 1 } else { u32::MAX };
            activity.working.fetch_add(change, Relaxed);
            self.working = working;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.working {
            self.set_working(false);
        }
        self.activity.end_request();
    }
}
