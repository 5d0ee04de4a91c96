//! Takes the events of one trigger, as many at once as may be under way, and tells their sources how they
//! went. How one is brought to its end, `carry.rs` says.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use dayfly_capabilities::redis::note::{Note, Place};
use dayfly_capabilities::redis::server::Server;
use dayfly_model::Delivery;
use dayfly_model::events::Order;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::batch::Gather;
use super::carry::Seen;
use super::metrics::{Settled, TriggerMetrics};
use super::order::Lanes;
use super::outlet::{Outlet, Topology};
use super::workers::Workers;
use super::{Ending, Event};
use crate::dispatch::ComponentHost;

/// The part of all that may be under way for which alone a source is not asked at once, and how long then
/// is waited for more.
const FEW: usize = 8;
const GATHER: Duration = Duration::from_millis(1);

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
}

fn boxed<F: Future<Output = ()> + Send + 'static>(
    settle: impl FnOnce(Settled) -> F + Send + 'static,
) -> Settle {
    Box::new(move |settled| Box::pin(settle(settled)))
}
