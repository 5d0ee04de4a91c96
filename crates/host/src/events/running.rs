//! The event triggers of an app that run, whichever of its releases answers them. Where a release
//! follows another and a trigger's source is as it was, whatever listens there goes on and only aims at
//! the new handler: nothing is lost and nothing comes twice. Other sources end first, with what is under
//! way, before those that take their places begin.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use dayfly_capabilities::queue::Owner;
use dayfly_model::events::{Delivery, Order};
use futures_util::future::{OptionFuture, join_all};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::batch::{self, Gathered};
use super::courier::Manner;
use super::order::Lanes;
use super::sends::{self, Addressee};
use super::workers::Workers;
use super::{Aim, Courier, Ending, Opened, Ready, replays};
use crate::{ServeError, Shutdown};

/// Of what was due for so long when a trigger ended, it may have brought none.
const UNREACHED: Duration = Duration::from_secs(2);

/// How long what is cut off may take to be given back to its source.
const GIVE_BACK: Duration = Duration::from_secs(5);

/// How often is looked whether all is settled.
const LOOK: Duration = Duration::from_millis(10);

/// The threads that events of all apps run on, started when the first app has some.
pub(crate) struct Crew {
    count: usize,
    blocking_threads: usize,
    grace: Duration,
    started: Mutex<Option<Started>>,
    /// How many triggers end before others begin.
    winding_up: Arc<AtomicUsize>,
}

/// The threads, and what ends them.
type Started = (Arc<Workers>, Vec<JoinHandle<()>>);

/// The event triggers of one app.
#[derive(Default)]
pub(crate) struct AppEvents {
    owner: Option<Arc<Owner>>,
    running: HashMap<Arc<str>, Running>,
    /// Ends the delivery of what somebody sends.
    sends: Option<Shutdown>,
}

/// One trigger.
struct Running {
    identity: blake3::Hash,
    courier: Arc<Courier>,
    addressee: Addressee,
    line: String,
    shutdown: Shutdown,
    tasks: JoinSet<()>,
    gatherer: Option<AbortHandle>,
}

impl Crew {
    /// So many threads for handlers, each with so many for what blocks.
    pub(crate) fn new(count: usize, blocking_threads: usize, grace: Duration) -> Self {
        Self {
            count,
            blocking_threads,
            grace,
            started: Mutex::default(),
            winding_up: Arc::default(),
        }
    }

    fn workers(&self) -> Result<Arc<Workers>, ServeError> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((workers, _)) = &*started {
            return Ok(workers.clone());
        }
        let begun = Workers::start(self.count, self.blocking_threads);
        let (workers, threads) = begun.map_err(ServeError::Start)?;
        *started = Some((workers.clone(), threads));
        Ok(workers)
    }

    /// Whether every trigger that was replaced has ended.
    pub(crate) fn is_settled(&self) -> bool {
        self.winding_up.load(Relaxed) == 0
    }

    /// Ends the threads; what still runs is dropped.
    pub(crate) fn end(&self) -> Result<(), ServeError> {
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((workers, threads)) = started else { return Ok(()) };
        workers.end();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| ServeError::Thread))
    }
}

impl AppEvents {
    /// Who takes messages of the app's queues, if this process does.
    pub(crate) const fn owner(&self) -> Option<&Arc<Owner>> {
        self.owner.as_ref()
    }

    /// What wakes which component, a line each, for people.
    pub(crate) fn describe(&self) -> impl Iterator<Item = &str> {
        self.running.values().map(|running| &*running.line)
    }

    /// Lets the triggers of a release take the places of those that run. What comes back is aimed at
    /// by nothing that begins, and held for as long as something runs there.
    ///
    /// # Errors
    /// If the system denies a thread; all runs on as it was.
    pub(crate) fn take_over(
        &mut self,
        opened: Opened,
        crew: &Crew,
    ) -> Result<Vec<Arc<Aim>>, ServeError> {
        let Opened { ready, owner, is_rehearsed } = opened;
        if ready.is_empty() && self.running.is_empty() {
            self.owner = owner;
            return Ok(Vec::new());
        }
        let workers = crew.workers()?;
        self.owner = owner;
        let mut former = std::mem::take(&mut self.running);
        let (mut left, mut stopped, mut begun) = (Vec::new(), Vec::new(), Vec::new());
        for ready in ready {
            match former.remove(&ready.id) {
                Some(mut running) if running.identity == ready.identity => {
                    left.push(running.courier.aim.swap(Arc::new(ready.aim)));
                    running.line = ready.line;
                    self.running.insert(ready.id, running);
                }
                other => {
                    stopped.extend(other);
                    begun.push(ready);
                }
            }
        }
        stopped.extend(former.into_values());
        left.extend(stopped.iter().map(|running| running.courier.aim()));
        let couriers = stopped.iter().map(|running| &running.courier);
        let former: HashMap<Arc<str>, Arc<Courier>> =
            couriers.map(|courier| (courier.trigger().clone(), courier.clone())).collect();
        let freed = self.stop(stopped, crew, &workers);
        for ready in begun {
            let id = ready.id.clone();
            let is_deaf = is_rehearsed && !ready.is_of_queue;
            let before = (former.get(&id).cloned(), &freed);
            let owner = self.owner.as_ref();
            let running = Running::begin(ready, &workers, owner, before, is_deaf);
            self.running.insert(id, running);
        }
        self.deliver_sends(&workers);
        Ok(left)
    }

    /// Ends triggers in good order; tells when that is done.
    fn stop(
        &self,
        stopped: Vec<Running>,
        crew: &Crew,
        workers: &Arc<Workers>,
    ) -> CancellationToken {
        let freed = CancellationToken::new();
        if stopped.is_empty() {
            freed.cancel();
            return freed;
        }
        stopped.iter().for_each(|running| running.shutdown.start());
        let (winding_up, grace, told) = (crew.winding_up.clone(), crew.grace, freed.clone());
        winding_up.fetch_add(1, Relaxed);
        workers.sources().spawn(async move {
            wind_up(stopped, grace).await;
            told.cancel();
            winding_up.fetch_sub(1, Relaxed);
        });
        freed
    }

    fn deliver_sends(&mut self, workers: &Workers) {
        if let Some(former) = self.sends.take() {
            former.start();
        }
        let Some(owner) = self.owner.clone().filter(|_| !self.running.is_empty()) else { return };
        let addressee =
            |(id, running): (&Arc<str>, &Running)| (id.clone(), running.addressee.clone());
        let addressees = self.running.iter().map(addressee).collect();
        let shutdown = Shutdown::new();
        workers.sources().spawn(sends::run(owner, addressees, Ending(shutdown.clone())));
        self.sends = Some(shutdown);
    }

    /// Asks all triggers to end.
    pub(crate) fn start_end(&self) {
        self.running.values().for_each(|running| running.shutdown.start());
        self.sends.iter().for_each(Shutdown::start);
    }

    /// Whether all that were asked to end have.
    pub(crate) fn is_settled(&mut self) -> bool {
        self.running.values_mut().all(|running| {
            while running.tasks.try_join_next().is_some() {}
            running.tasks.is_empty() && running.courier.metrics().under_way() == 0
        })
    }

    /// How many events are under way.
    pub(crate) fn under_way(&self) -> u64 {
        self.running.values().map(|running| running.courier.metrics().under_way()).sum()
    }
}

/// Ends triggers that were asked to: what is under way may take its time, and is given back then.
async fn wind_up(mut stopped: Vec<Running>, grace: Duration) {
    let drained = join_all(stopped.iter_mut().map(Running::drained));
    if tokio::time::timeout(grace, drained).await.is_ok() {
        return;
    }
    for Running { courier, .. } in &stopped {
        let (trigger, events) = (&**courier.trigger(), courier.metrics().under_way());
        tracing::warn!(trigger, events, "another release took over: events are given back");
        courier.cut.cancel();
    }
    let drained = join_all(stopped.iter_mut().map(Running::drained));
    let _ = tokio::time::timeout(GIVE_BACK, drained).await;
}

impl Running {
    /// Begins a trigger once `freed` says that those before it have ended; one that is deaf has only the
    /// events that are sent to it.
    fn begin(
        ready: Ready,
        workers: &Arc<Workers>,
        owner: Option<&Arc<Owner>>,
        (former, freed): (Option<Arc<Courier>>, &CancellationToken),
        is_deaf: bool,
    ) -> Self {
        let Ready { id, source, identity, delivery, aim, metrics, line, .. } = ready;
        let (shutdown, now) = (Shutdown::new(), SystemTime::now());
        let (room, manner, gathered) = manner(&delivery);
        let courier = Arc::new(Courier {
            trigger: id,
            aim: ArcSwap::from_pointee(aim),
            delivery,
            metrics,
            room: Arc::new(Semaphore::new(room)),
            manner,
            workers: workers.clone(),
            ending: Ending(shutdown.clone()),
            reached: Mutex::new(now),
            cut: CancellationToken::new(),
        });
        let gatherer = gathered
            .map(|gathered| workers.sources().spawn(gathered.run(courier.clone())).abort_handle());
        let addressee = Addressee { courier: courier.clone(), sample: source.sample() };
        let mut tasks = JoinSet::new();
        let (taker, freed, owner) = (courier.clone(), freed.clone(), owner.cloned());
        let take = async move {
            freed.cancelled().await;
            if let Some(former) = former {
                let mut reached = taker.reached.lock().unwrap_or_else(PoisonError::into_inner);
                *reached = former.reached().max(now - UNREACHED);
            }
            if taker.ending().is_here() {
                return;
            }
            let replaying = owner.map(|owner| replays::run(owner, taker.clone()));
            let taking = (!is_deaf).then(|| source.run(taker.clone()));
            tokio::join!(OptionFuture::from(taking), OptionFuture::from(replaying));
        };
        tasks.spawn_on(take, workers.sources());
        Self { identity, courier, addressee, line, shutdown, tasks, gatherer }
    }

    /// Waits until it has ended, and all that was under way is settled.
    async fn drained(&mut self) {
        while self.tasks.join_next().await.is_some() {}
        while self.courier.metrics().under_way() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It holds the courier, which holds the other end of what it waits for.
        if let Some(gatherer) = &self.gatherer {
            gatherer.abort();
        }
    }
}

/// How many events may be under way, and which of them wait for one another or go together.
fn manner(delivery: &Delivery) -> (usize, Manner, Option<Gathered>) {
    let concurrency = usize::try_from(delivery.concurrency).unwrap_or(1);
    if let Some(batch) = delivery.batch {
        let (gather, gathered) = batch::gather(batch, concurrency);
        let most = usize::try_from(batch.most).unwrap_or(1);
        return (concurrency * most, Manner::InBatches(gather), Some(gathered));
    }
    match &delivery.order {
        Order::None | Order::All => (concurrency, Manner::Single, None),
        key => (concurrency, Manner::ByKey(Lanes::new(key.clone())), None),
    }
}
