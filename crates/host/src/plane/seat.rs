//! A release in its place: awake, or asleep until somebody asks for it. Of one that is asleep there is no more
//! than what it is made of again; it was made once before, so that what cannot be served is known at once.

use std::sync::atomic::{Ordering::Acquire, fence};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use dayfly_telemetry::ComponentMetrics;
use dayfly_telemetry::metrics::edge;
use thiserror::Error;

use super::Inner;
use super::slot::Slot;
use crate::activation::Activation;
use crate::dispatch::{ActivateError, Presence, on_thread};
use crate::error::{RETRY, chain};
use crate::events::Aim;
use crate::rollout::{AppKey, Recipe};
use crate::stay::Stay;
use crate::{BoxError, EdgeError, Problem};

/// How long a request waits for its release to be awake.
const PATIENCE: Duration = Duration::from_secs(30);

/// Releases that are woken at one time.
pub(super) const WAKES: usize = 4;

/// A release in its place.
pub(crate) enum Seat {
    /// It answers.
    Awake(Arc<Activation>),
    /// Its first request has woken it, or is yet to come.
    Woken(OnceLock<Arc<Activation>>, Asleep),
}

/// What wakes a release that nobody has asked for yet.
pub(crate) struct Asleep {
    pub(super) recipe: Arc<dyn Recipe>,
    pub(super) plane: Weak<Inner>,
    pub(super) slot: Weak<Slot>,
    pub(super) key: AppKey,
    /// Where its routes are reached.
    pub(super) url: Option<Box<str>>,
    /// The names of its components, one that is called in several ways as often.
    pub(super) components: Box<[Arc<str>]>,
    pub(super) has_routes: bool,
    /// Its tenant has its share of the node meanwhile.
    pub(super) _presence: Presence,
    /// Why it could not be woken, lately. Whoever wakes it has this.
    pub(super) failed: Mutex<Option<Box<Failed>>>,
}

/// A release could not be woken.
pub(super) struct Failed {
    error: Unwoken,
    when: Instant,
}

/// Why a release could not be woken.
#[derive(Debug, Clone, Error)]
#[error("the release could not be made ready for its first request: {text}")]
pub(super) struct Unwoken {
    text: Arc<str>,
    /// By which the lines of the log are bounded that say so.
    component: Arc<ComponentMetrics>,
}

impl Seat {
    /// One that its first request wakes.
    pub(super) fn asleep(asleep: Asleep) -> Arc<Self> {
        Arc::new(Self::Woken(OnceLock::new(), asleep))
    }

    /// The release, if it is awake.
    pub(crate) fn activation(&self) -> Option<&Arc<Activation>> {
        match self {
            Self::Awake(activation) => Some(activation),
            Self::Woken(activation, _) => activation.get(),
        }
    }

    /// What wakes it while it is asleep.
    pub(super) fn sleeping(&self) -> Option<&Asleep> {
        match self {
            Self::Woken(activation, asleep) if activation.get().is_none() => Some(asleep),
            _ => None,
        }
    }

    /// Whether clients reach it.
    pub(super) fn has_routes(&self) -> bool {
        match self {
            Self::Awake(activation) => !activation.stays().is_empty(),
            Self::Woken(_, asleep) => asleep.has_routes,
        }
    }

    /// A stay in it on a core, if it is awake and has routes.
    pub(crate) fn stay(&self, core: usize) -> Option<Arc<Stay>> {
        self.activation()?.stays().get(core).cloned()
    }

    /// Wakes it for a request that has come to a core.
    pub(crate) async fn wake(self: &Arc<Self>, core: usize) -> Result<Arc<Stay>, EdgeError> {
        let woken = tokio::time::timeout(PATIENCE, self.woken()).await;
        woken.unwrap_or_else(|_| Err(busy()))?;
        self.stay(core).ok_or_else(|| EdgeError::new(Problem::UnknownRoute))
    }

    /// Lasts until it is awake.
    async fn woken(self: &Arc<Self>) -> Result<(), EdgeError> {
        let Some(asleep) = self.sleeping() else { return Ok(()) };
        let wakes = asleep.plane.upgrade().ok_or_else(busy)?.wakes.clone();
        let leave = wakes.acquire_owned().await.map_err(|_| busy())?;
        if self.activation().is_some() {
            return Ok(());
        }
        let seat = self.clone();
        // It goes on if the client leaves.
        let woken = on_thread(move || {
            let _leave = leave;
            seat.activated().map(drop)
        });
        match woken.await {
            Ok(woken) => woken.map_err(Unwoken::at_edge),
            Err(error) => Err(busy().because(error)),
        }
    }

    /// The release, which is made now if it is asleep. It blocks, and must not be called on a thread of an
    /// asynchronous runtime.
    ///
    /// # Errors
    /// If it cannot be made any more, though it could before.
    pub(super) fn activated(&self) -> Result<&Arc<Activation>, Unwoken> {
        let (awake, asleep) = match self {
            Self::Awake(activation) => return Ok(activation),
            Self::Woken(awake, asleep) => (awake, asleep),
        };
        if let Some(activation) = awake.get() {
            return Ok(activation);
        }
        // One makes it, the others wait.
        let mut failed = asleep.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(activation) = awake.get() {
            return Ok(activation);
        }
        if let Some(failed) = &*failed
            && failed.when.elapsed() < RETRY
        {
            return Err(failed.error.clone());
        }
        match asleep.make() {
            Ok(activation) => {
                *failed = None;
                Ok(awake.get_or_init(|| Arc::new(activation)))
            }
            Err(error) => {
                let error = Unwoken::new(asleep.components.first(), &*error);
                *failed = Some(Box::new(Failed { error: error.clone(), when: Instant::now() }));
                Err(error)
            }
        }
    }

    /// Asks the clients of its WebSockets to come again.
    pub(crate) fn send_away(&self) {
        self.activation().into_iter().for_each(|it| it.send_away());
    }

    /// Ends the answers that are still being written.
    pub(crate) fn cut(&self) {
        self.activation().into_iter().for_each(|it| it.cut());
    }

    /// Whether nothing runs in it any more, nor waits for it to be awake, once no door leads to it.
    pub(crate) fn is_left(self: &Arc<Self>, aims: &[Arc<Aim>]) -> bool {
        if Arc::strong_count(self) > 1 {
            return false;
        }
        // Whoever had it has a stay since.
        fence(Acquire);
        self.activation().is_none_or(|activation| activation.is_left(aims))
    }
}

/// What a client is told where the node has no means to wake anything, or takes too long.
const fn busy() -> EdgeError {
    EdgeError::new(Problem::NodeBusy)
}

impl Asleep {
    /// Makes the release once more.
    fn make(&self) -> Result<Activation, BoxError> {
        let (Some(plane), Some(slot)) = (self.plane.upgrade(), self.slot.upgrade()) else {
            return Err("the node ends".into());
        };
        let began = Instant::now();
        let mut kept = slot.kept();
        let release = self.recipe.make(kept.backends.upgrade().as_deref())?;
        let place = (&self.key, &*slot);
        let activation = plane.activate(release, place, &mut kept.lasting, self.url.as_deref())?;
        kept.backends = Arc::downgrade(activation.components().backends());
        tracing::debug!(app = %self.key, took = ?began.elapsed(), "a release is awake");
        Ok(activation)
    }
}

impl Unwoken {
    fn new(component: Option<&Arc<str>>, error: &(dyn std::error::Error + 'static)) -> Self {
        let component = Arc::new(ComponentMetrics::new(component.cloned().unwrap_or_default()));
        Self { text: chain(error).into(), component }
    }

    /// What the client of a request learns of it.
    fn at_edge(self) -> EdgeError {
        let problem = Problem::Unavailable;
        // Nobody tells of this component.
        edge::count(problem.status().as_u16(), Some(problem.fault()));
        EdgeError::new(problem).of(self.component.clone()).because(self)
    }
}

impl From<Unwoken> for ActivateError {
    fn from(unwoken: Unwoken) -> Self {
        Self::Prepare(unwoken.into())
    }
}
