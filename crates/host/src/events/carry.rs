//! An event's way to its end: delivered, tried again if it failed, each time later, passed on, and a
//! dead letter if all that was in vain.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dayfly_capabilities::queue::DeadLetter;
use dayfly_telemetry::trace::Context;
use futures_util::FutureExt as _;

use super::Event;
use super::courier::{Aim, Courier, Manner, Parcel};
use super::metrics::Settled;
use super::outlet::{NotPassed, Steps};
use crate::dispatch::{Reply, Undelivered};

/// How long to wait for room for a handler, at first and at most.
const BUSY: Duration = Duration::from_millis(20);
const BUSY_MOST: Duration = Duration::from_secs(1);

/// What is said of an event that a mistake of ours ended.
pub(super) const HOST_FAILED: &str = "the host failed";

/// How long to wait when a dead letter cannot be kept.
const UNKEPT: Duration = Duration::from_secs(5);

impl Courier {
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
