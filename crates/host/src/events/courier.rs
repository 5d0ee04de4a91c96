//! An event's way to its end: delivered, tried again if it failed, each time later, passed on, and a
//! dead letter if all that was in vain.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use dayfly_capabilities::queue::DeadLetter;
use dayfly_capabilities::redis::note::{Note, Place};
use dayfly_capabilities::redis::server::Server;
use dayfly_model::Delivery;
use dayfly_model::events::Order;
use dayfly_telemetry::trace::Context;
use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::batch::Gather;
use super::metrics::{Settled, TriggerMetrics};
use super::order::Lanes;
use super::outlet::{NotPassed, Outlet, Steps, Topology};
use super::workers::Workers;
use super::{Ending, Event};
use crate::dispatch::{ComponentHost, Reply, Undelivered};

/// How long to wait for room for a handler, at first and at most.
const BUSY: Duration = Duration::from_millis(20);
const BUSY_MOST: Duration = Duration::from_secs(1);

/// The part of all that may be under way for which alone a source is not asked at once, and how long then
/// is waited for more.
const FEW: usize = 8;
const GATHER: Duration = Duration::from_millis(1);

/// What is said of an event that a mistake of ours ended.
pub(super) const HOST_FAILED: &str = "the host failed";

/// How long to wait when a dead letter cannot be kept.
const UNKEPT: Duration = Duration::from_secs(5);

/// Brings the events of one trigger to its handler.
pub(crate) struct Courier {
    pub(super) trigger: Arc<str>,
    pub(super) aim: ArcSwap<Aim>,
    pub(super) delivery: Delivery,
    pub(super) metrics: Arc<TriggerMetrics>,
    pub(super) room: Arc<Semaphore>,
    pub(super) manner: Manner,
    pub(super) workers: Arc<Workers>,
    pub(super) ending: Ending,
    /// Up to when what was due was brought, by this trigger or by the one in whose place it is.
    pub(super) reached: Mutex<SystemTime>,
    /// Gives back whatever is still under way.
    pub(super) cut: CancellationToken,
}

/// The handler of a trigger's events in one release of its app, and where the answers go. An attempt
/// that has begun ends where it began; the next one is brought to whatever is aimed at then.
pub(crate) struct Aim {
    pub(super) host: Arc<ComponentHost>,
    pub(super) outlet: Option<Outlet>,
    pub(super) topology: Arc<Topology>,
}

/// Which events are brought together, and which one after the other.
pub(super) enum Manner {
    /// Each by itself.
    Single,
    /// One after the other where their keys are the same.
    ByKey(Lanes),
    /// Several together.
    InBatches(Gather),
}

/// An event that is to be brought, with what its source is told.
pub(super) struct Errand {
    pub(super) leave: Leave,
    pub(super) parcel: Parcel,
    pub(super) settle: Settle,
}

type Settle = Box<dyn FnOnce(Settled) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Leave to bring one event; it may be held before there is one.
pub(crate) struct Leave {
    _permit: OwnedSemaphorePermit,
    metrics: Arc<TriggerMetrics>,
    /// Whether an event is under way by it.
    is_used: bool,
}

impl Leave {
    fn begin(&mut self) {
        self.is_used = true;
        self.metrics.began();
    }

    pub(super) fn settle(mut self, how: Settled) {
        self.is_used = false;
        self.metrics.settled(how);
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        if self.is_used {
            self.metrics.dropped();
        }
    }
}

/// An event that is to be brought, and what its source knows of it.
pub(crate) struct Parcel {
    pub(crate) event: Event,
    /// How often it was delivered before.
    pub(crate) attempts: u32,
    /// The number of the dead letter that it was.
    pub(crate) letter: i64,
    /// The number of the message of a queue of Dayfly's own that it is.
    pub(crate) taken: Option<i64>,
    /// Whether its source brings it again later if its handler fails.
    pub(crate) comes_again: bool,
}

impl From<Event> for Parcel {
    fn from(event: Event) -> Self {
        Self { event, attempts: 0, letter: 0, taken: None, comes_again: false }
    }
}

impl Courier {
    /// Waits until one more event may be under way.
    pub(crate) async fn leave(&self) -> Leave {
        if let Manner::InBatches(gather) = &self.manner {
            gather.has_room().await;
        }
        // Never closed.
        let permit = self.room.clone().acquire_owned().await;
        let Ok(permit) = permit else { std::future::pending().await };
        Leave { _permit: permit, metrics: self.metrics.clone(), is_used: false }
    }

    /// The same; nothing once the end was asked for.
    pub(crate) async fn leave_to_begin(&self) -> Option<Leave> {
        if self.ending.is_here() {
            return None;
        }
        tokio::select! {
            leave = self.leave() => Some(leave),
            () = self.ending.came() => None,
        }
    }

    /// The same for a source that brings several events at once, and how many it is to ask for. Where there
    /// is room for hardly more than one, there is for several a moment later.
    pub(crate) async fn leave_for_some(&self, most: usize) -> Option<(Leave, usize)> {
        let leave = self.leave_to_begin().await?;
        let few = usize::try_from(self.most()).unwrap_or(1) / FEW;
        if self.room.available_permits() < few {
            tokio::time::sleep(GATHER).await;
        }
        Some((leave, (self.room.available_permits() + 1).min(most)))
    }

    /// How many events may be under way at most.
    pub(crate) fn most(&self) -> u32 {
        let Delivery { concurrency, batch, .. } = &self.delivery;
        concurrency.saturating_mul(batch.map_or(1, |batch| batch.most))
    }

    /// Whether each event waits for the one before it.
    pub(crate) fn is_ordered(&self) -> bool {
        self.delivery.order == Order::All
    }

    /// Where an attempt that begins now goes.
    pub(super) fn aim(&self) -> Arc<Aim> {
        self.aim.load_full()
    }

    /// Gives an event that came from some place of its server as its data alone what is known to lie
    /// behind it.
    pub(crate) fn complete(&self, place: &str, event: &mut Event) {
        self.aim().topology.returns().complete(&self.trigger, place, event);
    }

    /// The same for events that came from a server of Redis.
    pub(crate) async fn complete_all(
        &self,
        (server, place): (&Server, Place<'_>),
        events: &mut [Event],
    ) {
        let aim = self.aim();
        aim.topology.returns().complete_all(&self.trigger, (server, place), events).await;
    }

    /// The commands by which a message that goes back to its list, unhandled, is preceded: what was noted of
    /// it before it was taken.
    pub(crate) fn noted_again(
        &self,
        place: Place<'_>,
        note: &Note,
        data: &[u8],
    ) -> redis::Pipeline {
        let mut commands = redis::pipe();
        if note.steps > 0 && self.aim().topology.returns().is_asked(&self.trigger) {
            note.keep(place, data, &mut commands);
        }
        commands
    }

    /// Up to when what was due was brought.
    pub(crate) fn reached(&self) -> SystemTime {
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that what was due then needs no other to bring it.
    pub(crate) fn reach(&self, due: SystemTime) {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        *reached = due.max(*reached);
    }

    /// The trigger's id.
    pub(crate) fn trigger(&self) -> &Arc<str> {
        &self.trigger
    }

    /// What is counted of the trigger.
    pub(crate) fn metrics(&self) -> &TriggerMetrics {
        &self.metrics
    }

    /// Tells when to end.
    pub(crate) fn ending(&self) -> Ending {
        self.ending.clone()
    }

    /// Brings an event, on whatever core is next; `settle` tells its source how it went. Events that
    /// may not be brought at once wait for one another by their leaves.
    pub(crate) fn bring<F>(
        self: &Arc<Self>,
        mut leave: Leave,
        parcel: Parcel,
        settle: impl FnOnce(Settled) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        leave.begin();
        match &self.manner {
            Manner::Single => {}
            Manner::ByKey(lanes) => {
                return lanes.add(self, Errand { leave, parcel, settle: boxed(settle) });
            }
            Manner::InBatches(gather) => {
                return gather.add(Errand { leave, parcel, settle: boxed(settle) });
            }
        }
        let courier = self.clone();
        self.workers.spawn(async move {
            let Seen { settled, .. } = courier.see_surely_through(parcel).await;
            settle(settled).await;
            leave.settle(settled);
        });
    }

    /// Brings an event that somebody sent and waits for; `tell` learns how it went.
    pub(super) fn bring_sent<F>(
        self: &Arc<Self>,
        mut leave: Leave,
        event: Event,
        tell: impl FnOnce(Seen) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send,
    {
        leave.begin();
        let courier = self.clone();
        self.workers.spawn(async move {
            let seen = courier.see_surely_through(event.into()).await;
            let settled = seen.settled;
            tell(seen).await;
            leave.settle(settled);
        });
    }

    /// Sees an event through; a mistake of ours must not leave it unsettled.
    pub(super) async fn see_surely_through(&self, parcel: Parcel) -> Seen {
        let (event, letter) = (parcel.event.clone(), parcel.letter);
        let seen = AssertUnwindSafe(self.see_through(parcel)).catch_unwind();
        let seen = self.cut.run_until_cancelled(seen).await;
        match seen.unwrap_or_else(|| Ok(Seen::back())) {
            Ok(seen) => seen,
            Err(_) => self.give_up((&event, letter), 1, HOST_FAILED.to_owned()).await,
        }
    }

    async fn see_through(&self, parcel: Parcel) -> Seen {
        let Parcel { event, attempts, letter, taken, comes_again } = parcel;
        // A handler of batches gets nothing else.
        let carried = match &self.manner {
            Manner::InBatches(_) => Cow::Owned(Event::batch(std::slice::from_ref(&event))),
            _ => Cow::Borrowed(&event),
        };
        // Those behind it with the same key would pass it.
        let comes_again = comes_again && matches!(self.manner, Manner::Single);
        let load = Load { event: &carried, taken: taken.as_slice(), comes_again };
        match self.carry(load, None, attempts).await {
            Ok(reply) => Seen { settled: Settled::Done, told: Ok(reply) },
            Err(NotCarried::Ended) => Seen::back(),
            Err(NotCarried::Later(delay, error)) => {
                Seen { settled: Settled::Later(delay), told: Err(error) }
            }
            Err(NotCarried::GivenUp { attempts, error }) => {
                self.give_up((&event, letter), attempts, error).await
            }
        }
    }

    /// Delivers an event, unless its handler has answered it already, and passes the answer on, as often
    /// as may be tried.
    pub(super) async fn carry(
        &self,
        load: Load<'_>,
        mut answered: Option<Answered>,
        mut attempts: u32,
    ) -> Result<Option<Reply>, NotCarried> {
        loop {
            let error = match self.attempt(load, &mut answered).await {
                Attempt::Done => return Ok(answered.map(|Answered { reply, .. }| reply)),
                Attempt::Hopeless(error) => {
                    attempts += 1;
                    self.metrics.failed();
                    return Err(NotCarried::GivenUp { attempts, error });
                }
                Attempt::Ended => return Err(NotCarried::Ended),
                Attempt::Failed(error) => error,
            };
            attempts += 1;
            self.metrics.failed();
            if attempts >= self.delivery.retry.attempts {
                return Err(NotCarried::GivenUp { attempts, error });
            }
            let delay = jittered(self.delivery.retry.delay_after(attempts));
            let aim = self.aim();
            aim.host.lines().note(|unsaid| {
                tracing::warn!(
                    trigger = &*self.trigger, component = aim.host.name(), event = load.event.id,
                    attempts, error, again_in = ?delay, unsaid, "an event was not handled"
                );
            });
            // An answer that is there already is kept, and passed on from here.
            if load.comes_again && answered.is_none() {
                return Err(NotCarried::Later(delay, error));
            }
            if self.ending.within(delay).await {
                return Err(NotCarried::Ended);
            }
        }
    }

    /// Delivers an event, unless its handler has answered it already, and passes the answer on.
    async fn attempt(&self, load: Load<'_>, answered: &mut Option<Answered>) -> Attempt {
        let Load { event, taken, .. } = load;
        if answered.is_none() {
            match self.deliver(event).await {
                Ok(reply) => *answered = Some(reply),
                Err(attempt) => return attempt,
            }
        }
        let Some(Answered { reply, place, steps, aim }) = answered.as_mut() else {
            return Attempt::Done;
        };
        let Aim { host, outlet: Some(outlet), topology } = &**aim else { return Attempt::Done };
        if reply.data.is_empty() {
            return Attempt::Done;
        }
        let reply = Reply { content_type: reply.content_type.clone(), data: reply.data.clone() };
        let answer = topology.answer(event, host.name(), reply, place.as_ref());
        let mut wait = BUSY;
        loop {
            match topology.pass_on(outlet, answer.clone(), taken, steps.again()).await {
                Err(NotPassed::Busy) => {}
                Ok(()) => return Attempt::Done,
                Err(NotPassed::Failed(error)) => {
                    return Attempt::Failed(format!("its output: {error}"));
                }
                Err(NotPassed::Hopeless(error)) => {
                    return Attempt::Hopeless(format!("its output: {error}"));
                }
            }
            if self.ending.within(jittered(wait)).await {
                return Attempt::Ended;
            }
            wait = (wait * 2).min(BUSY_MOST);
        }
    }

    pub(super) async fn deliver(&self, event: &Event) -> Result<Answered, Attempt> {
        let mut wait = BUSY;
        loop {
            let aim = self.aim();
            let span = aim.topology.span(event, &self.trigger, aim.host.name());
            let place = span.as_ref().map(|span| span.context().clone());
            match aim.host.deliver(event, span).await {
                Ok(reply) => return Ok(Answered { reply, place, steps: Steps::default(), aim }),
                Err(Undelivered::Failed(error)) => return Err(Attempt::Failed(error)),
                // It is no failure of the event's.
                Err(Undelivered::Busy) => {}
            }
            if self.ending.within(jittered(wait)).await {
                return Err(Attempt::Ended);
            }
            wait = (wait * 2).min(BUSY_MOST);
        }
    }

    /// Gives an event up: it is a dead letter then.
    async fn give_up(&self, event: (&Event, i64), attempts: u32, error: String) -> Seen {
        let told = match attempts {
            1 => format!("{error} (tried once)"),
            attempts => format!("{error} (tried {attempts} times)"),
        };
        Seen { settled: self.bury(event, attempts, error).await, told: Err(told) }
    }

    /// Keeps an event that could not be handled, however long that takes.
    pub(super) async fn bury(
        &self,
        (event, id): (&Event, i64),
        attempts: u32,
        error: String,
    ) -> Settled {
        let aim = self.aim();
        let letter = DeadLetter {
            id,
            at: SystemTime::now(),
            trigger: self.trigger.to_string(),
            component: aim.host.name().to_owned(),
            attempts,
            error,
            content: event.content(),
        };
        loop {
            match aim.topology.queues().bury(letter.clone()).await {
                Ok(id) => {
                    let DeadLetter { trigger, component, attempts, error, .. } = &letter;
                    tracing::error!(
                        trigger,
                        component,
                        event = event.id,
                        attempts,
                        error,
                        dead_letter = id,
                        "an event was given up (hint: `dayfly dead-letters` lists and replays)"
                    );
                    return Settled::Dead;
                }
                Err(error) => {
                    tracing::error!(trigger = &*self.trigger, %error, "a dead letter cannot be kept");
                }
            }
            if self.ending.within(UNKEPT).await {
                return Settled::Back;
            }
        }
    }
}

/// What goes to a handler, and which messages of a queue of Dayfly's own it is.
#[derive(Clone, Copy)]
pub(super) struct Load<'a> {
    pub(super) event: &'a Event,
    pub(super) taken: &'a [i64],
    /// Whether its source brings it again later if its handler fails.
    pub(super) comes_again: bool,
}

/// Why an event did not get to its end.
pub(super) enum NotCarried {
    /// This process ends.
    Ended,
    /// Its handler failed, and its source is to bring it again after so long.
    Later(Duration, String),
    /// It failed too often.
    GivenUp { attempts: u32, error: String },
}

fn boxed<F: Future<Output = ()> + Send + 'static>(
    settle: impl FnOnce(Settled) -> F + Send + 'static,
) -> Settle {
    Box::new(move |settled| Box::pin(settle(settled)))
}

/// How an event went, and what its handler answered or why it was given up.
pub(super) struct Seen {
    pub(super) settled: Settled,
    pub(super) told: Result<Option<Reply>, String>,
}

impl Seen {
    fn back() -> Self {
        Self { settled: Settled::Back, told: Err("the app ended".to_owned()) }
    }
}

/// What a handler answered, and where in a trace.
pub(super) struct Answered {
    reply: Reply,
    place: Option<Context>,
    steps: Steps,
    /// Where it was delivered.
    aim: Arc<Aim>,
}

pub(super) enum Attempt {
    Done,
    Failed(String),
    Hopeless(String),
    Ended,
}

/// Up to half of a time less, so that what failed together is not tried again together.
pub(crate) fn jittered(time: Duration) -> Duration {
    let random =
        u64::from_le_bytes(*uuid::Uuid::new_v4().as_bytes().first_chunk().unwrap_or(&[0; 8]));
    let part = f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX);
    time.mul_f64(1.0 - part / 2.0)
}
