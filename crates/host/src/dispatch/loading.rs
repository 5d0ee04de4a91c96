//! A component's way into memory: from its source by the artifact cache or the compiler to code
//! that is linked, with its grants opened. One event starts it, and the others wait.

mod following;

use std::future::Future;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use dayfly_capabilities::{Backends, Grants};
use dayfly_engine::{
    ArtifactCache, Code, Digest, Engine, EngineError, Flavour, Origin, Stamp, Weight,
};
use dayfly_model::{App, HandlerShape};
use dayfly_telemetry::{UsageCounters, metrics};
use tokio::sync::{oneshot, watch};

use super::component::{ActivateError, ComponentHost, serves_shape};
use super::known::Known;
use super::residency::Evicted;
use super::resources::Resources;
use super::runner::Runner;
use crate::Imprint;
use crate::error::{RETRY, chain};
use crate::release::{Awaited, Made, Prepared, Unmade};
use crate::rollout::AppKey;
use following::Better;

/// A smaller component is compiled about as fast in full, in bytes.
pub const WORTH_A_BASELINE: usize = 96 << 10;

/// How often is looked for what another process makes, a while that doubles, and for how long.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LOOK: Duration = Duration::from_secs(1);
const AWAITED: Duration = Duration::from_secs(60);

/// What a resident component takes beside its code, in bytes: what links it, and the tables by which
/// the runtime finds its functions. Measured at a hello of 59 kB.
const OVERHEAD_BYTES: u64 = 128 << 10;

/// What the components of a release share.
pub(super) struct Shared {
    pub(super) resources: Arc<Resources>,
    pub(super) app: Arc<App>,
    pub(super) backends: Arc<Backends>,
    /// Which app it is, where there are several.
    pub(super) owner: Option<AppKey>,
    /// Where requests are counted that no component gets.
    pub(super) usage: Option<Arc<UsageCounters>>,
}

/// A component whose code is mapped and linked, and whose grants are open.
pub(super) struct Resident {
    pub(super) code: Code,
    pub(super) grants: Arc<Grants>,
    pub(super) runner: Runner,
    /// The better code that its own only stands in for.
    stands_in: Option<Better>,
    /// Whether the better code was asked for.
    followed: AtomicBool,
}

/// Where a component's code is.
#[derive(Default)]
pub(super) struct Place(Mutex<Whereabouts>);

#[derive(Default)]
struct Whereabouts {
    state: State,
    /// What its file was when it was last prepared: it need not be read again.
    known: Option<Known>,
}

#[derive(Default)]
enum State {
    #[default]
    Away,
    Loading(Waiting),
    Here(Arc<Resident>),
    Failed(Failed),
}

/// What loading came to; the text of what failed, for the log.
type Outcome = Result<Arc<Resident>, Arc<str>>;

type Waiting = watch::Receiver<Option<Outcome>>;

struct Failed {
    text: Arc<str>,
    stamp: Option<Stamp>,
    when: Instant,
}

/// What a look at a component's source found.
enum Found {
    Code(AtHand),
    Uncompiled(Uncompiled),
}

/// Code that need not be compiled.
struct AtHand {
    code: Code,
    shape: HandlerShape,
    stands_in: Option<Better>,
}

/// A component that has to be compiled.
struct Uncompiled {
    wasm: Vec<u8>,
    flavour: Flavour,
    shape: HandlerShape,
}

/// What a request finds.
enum Look {
    Here(Arc<Resident>),
    Wait(Waiting),
    Load(Waiting, watch::Sender<Option<Outcome>>),
    Failed(Arc<str>),
}

/// Why there is no code for a request.
pub(super) enum NotLoaded {
    /// It cannot be had; the text says why.
    Failed(Arc<str>),
    /// It was not there in time.
    Slow,
}

impl Resident {
    /// What it takes, in bytes.
    fn bytes(&self) -> u64 {
        self.code.artifact_bytes() + OVERHEAD_BYTES
    }
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, Whereabouts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The code if it is here.
    pub(super) fn here(&self) -> Option<Arc<Resident>> {
        match &self.lock().state {
            State::Here(resident) => Some(resident.clone()),
            _ => None,
        }
    }

    /// Gives the code up, unless a request runs in it.
    pub(super) fn evict(&self) -> Evicted {
        let mut place = self.lock();
        match &place.state {
            // Only under this lock could it get another owner.
            State::Here(resident) if Arc::strong_count(resident) > 1 => Evicted::InUse,
            State::Here(_) => match std::mem::take(&mut place.state) {
                State::Here(resident) => Evicted::Now(resident),
                _ => Evicted::Already,
            },
            _ => Evicted::Already,
        }
    }

    /// Puts code in place of another, if that is still here.
    fn replace(&self, old: &Weak<Resident>, new: Resident) -> bool {
        let mut place = self.lock();
        match &place.state {
            State::Here(resident) if Arc::as_ptr(resident) == old.as_ptr() => {
                let old = std::mem::replace(&mut place.state, State::Here(Arc::new(new)));
                drop(place);
                drop(old);
                true
            }
            _ => false,
        }
    }

    fn look(&self, stamp: impl FnOnce() -> Option<Stamp>) -> Look {
        let mut place = self.lock();
        match &place.state {
            State::Here(resident) => return Look::Here(resident.clone()),
            // Who loaded it may have ended with the server that it was for.
            State::Loading(waiting) if waiting.has_changed().is_ok() => {
                return Look::Wait(waiting.clone());
            }
            State::Failed(failed) if failed.when.elapsed() < RETRY && failed.stamp == stamp() => {
                return Look::Failed(failed.text.clone());
            }
            _ => {}
        }
        let (sender, waiting) = watch::channel(None);
        place.state = State::Loading(waiting.clone());
        Look::Load(waiting, sender)
    }
}

impl ComponentHost {
    /// The component's code; the first request loads it, all others wait for that, for so long.
    pub(super) async fn resident(
        self: &Arc<Self>,
        patience: Duration,
    ) -> Result<Arc<Resident>, NotLoaded> {
        let mut waiting = match self.place.look(|| self.image.source.stamp().ok()) {
            Look::Here(resident) => return Ok(self.in_use(resident)),
            Look::Failed(text) => return Err(NotLoaded::Failed(text)),
            Look::Wait(waiting) => waiting,
            Look::Load(waiting, sender) => {
                // A task of its own: the client that caused it may leave.
                tokio::spawn(self.clone().load(sender));
                waiting
            }
        };
        self.metrics.cold_start();
        if let Some(usage) = &self.image.usage {
            usage.cold_start();
        }
        let outcome = match tokio::time::timeout(patience, waiting.wait_for(Option::is_some)).await
        {
            Ok(Ok(outcome)) => outcome.clone(),
            Ok(Err(_)) => None,
            Err(_) => return Err(NotLoaded::Slow),
        };
        match outcome {
            Some(Ok(resident)) => Ok(self.in_use(resident)),
            Some(Err(text)) => Err(NotLoaded::Failed(text)),
            None => Err(NotLoaded::Failed("loading was given up".into())),
        }
    }

    async fn load(self: Arc<Self>, sender: watch::Sender<Option<Outcome>>) {
        let began = Instant::now();
        let outcome = self.clone().try_load().await;
        sender
            .send_replace(Some(self.settle(outcome, began).map_err(|error| chain(&error).into())));
    }

    /// Loads the component; what another process makes is waited for, and keeps nobody else from loading.
    async fn try_load(self: Arc<Self>) -> Result<Resident, ActivateError> {
        let (began, mut pause) = (Instant::now(), FIRST_LOOK);
        loop {
            match self.clone().load_once().await {
                Err(ActivateError::Awaited { .. }) if began.elapsed() < AWAITED => {
                    tokio::time::sleep(pause).await;
                    pause = (2 * pause).min(LOOK);
                }
                outcome => return outcome,
            }
        }
    }

    async fn load_once(self: Arc<Self>) -> Result<Resident, ActivateError> {
        let residency = &self.shared.resources.residency;
        let host = self.clone();
        let _held = self.engine().hold();
        let leave = residency.loads.acquire().await;
        let found = on_thread(move || match host.find(host.engine())? {
            Found::Code(at_hand) => host.link(at_hand).map(Ok),
            Found::Uncompiled(uncompiled) => {
                let weight = Weight::of(&uncompiled.wasm);
                Ok(Err((uncompiled, weight.map_err(|error| host.failed(error))?)))
            }
        });
        let (uncompiled, weight) = match found.await?? {
            Ok(resident) => return Ok(resident),
            Err(found) => found,
        };
        drop(leave);
        let _leave = residency.compiles(weight).acquire().await;
        let host = self.clone();
        on_thread(move || host.compile(&uncompiled)).await?
    }

    /// Loads the component now, on this thread.
    pub(super) fn load_blocking(self: &Arc<Self>) -> Result<Arc<Resident>, ActivateError> {
        if let Some(resident) = self.place.here() {
            return Ok(resident);
        }
        let began = Instant::now();
        let _held = self.engine().hold();
        let loaded = self.find(self.engine()).and_then(|found| match found {
            Found::Code(at_hand) => self.link(at_hand),
            Found::Uncompiled(uncompiled) => self.compile(&uncompiled),
        });
        self.settle(loaded, began)
    }

    /// Notes what came of loading, which began then.
    fn settle(
        self: &Arc<Self>,
        loaded: Result<Resident, ActivateError>,
        began: Instant,
    ) -> Result<Arc<Resident>, ActivateError> {
        let loaded = loaded.map(Arc::new);
        self.place.lock().state = match &loaded {
            Ok(resident) => State::Here(resident.clone()),
            Err(error) => State::Failed(Failed {
                text: chain(error).into(),
                stamp: self.image.source.stamp().ok(),
                when: Instant::now(),
            }),
        };
        if let Ok(resident) = &loaded {
            let (origin, stands_in) = (resident.code.origin(), resident.stands_in.is_some());
            tracing::debug!(component = self.name(), ?origin, stands_in, "loaded");
            let origin = match resident.code.origin() {
                Origin::Cached => metrics::Origin::Cached,
                Origin::Compiled(_) => metrics::Origin::Compiled,
            };
            self.metrics.loaded(origin, began.elapsed());
            self.shared.resources.residency.touch(self.last_use(), Instant::now());
            self.shared.resources.residency.add(self, resident.bytes());
        }
        loaded
    }

    fn engine(&self) -> &Engine {
        &self.shared.resources.engine
    }

    /// Looks for the code in the cache. A source that is as it was is not read again.
    fn find(&self, engine: &Engine) -> Result<Found, ActivateError> {
        let stamp = self.image.source.stamp().ok();
        if let Some(known) = stamp.and_then(|stamp| self.known(stamp))
            && let Some(at_hand) = self.at_hand(engine, known.imprint)?
        {
            self.may_be_reused(known.imprint.shape)?;
            self.place.lock().known = Some(known);
            return Ok(Found::Code(at_hand));
        }
        let prepared = self.image.source.prepare(engine);
        let Prepared { made, shape } =
            prepared.map_err(|error| match error.downcast::<Unmade>() {
                Ok(unmade) => ActivateError::Unmade(*unmade),
                Err(error) if error.is::<Awaited>() => {
                    ActivateError::Awaited { component: self.name().into() }
                }
                Err(error) => ActivateError::Prepare(error),
            })?;
        if !serves_shape(shape) {
            return Err(ActivateError::Unserved { component: self.name().into(), shape });
        }
        self.may_be_reused(shape)?;
        let wasm = match made {
            Made::Wasm(wasm) => wasm,
            Made::Code(code) => {
                let stands_in = (!engine.made(&code)).then_some(Better::Shared);
                return Ok(Found::Code(AtHand { code, shape, stands_in }));
            }
        };
        let flavour = Flavour::of(&wasm).map_err(|error| self.failed(error))?;
        let flavour = flavour.counted(self.is_counted());
        let imprint = Imprint { digest: Digest::of(&wasm), flavour, shape };
        // One that was written just now may change again under the same stamp.
        let settled = stamp.filter(Stamp::is_settled);
        let known = settled.map(|stamp| Known { stamp, imprint });
        self.place.lock().known = known;
        let at_hand = self.at_hand(engine, imprint)?;
        if let (Some(known), Some((cache, recipe))) = (known, self.notes()) {
            known.note(cache, &recipe);
        }
        let uncompiled = Uncompiled { wasm, flavour, shape };
        Ok(at_hand.map_or(Found::Uncompiled(uncompiled), Found::Code))
    }

    fn may_be_reused(&self, shape: HandlerShape) -> Result<(), ActivateError> {
        let component = self.shared.app.components.get(&self.image.component);
        let is_command = matches!(shape, HandlerShape::Command02 | HandlerShape::Command03);
        match component {
            Some(component) if is_command && component.reuse.is_on() => {
                Err(ActivateError::Reuse(self.name().into()))
            }
            _ => Ok(()),
        }
    }

    /// What this process or an earlier one knows of this version of the source.
    fn known(&self, stamp: Stamp) -> Option<Known> {
        let own = self.place.lock().known.filter(|known| known.stamp == stamp);
        let known = own.or_else(|| {
            let (cache, recipe) = self.notes()?;
            Known::noted(cache, &recipe, stamp).filter(|known| serves_shape(known.imprint.shape))
        })?;
        let flavour = known.imprint.flavour.counted(self.is_counted());
        Some(Known { imprint: Imprint { flavour, ..known.imprint }, ..known })
    }

    /// Where what is known is noted, and by what it is found there.
    fn notes(&self) -> Option<(&ArtifactCache, Digest)> {
        let cache = self.engine().cache()?.ok()?;
        Some((cache, self.image.source.recipe()?))
    }

    /// Code in full, or what stands in for it.
    fn at_hand(
        &self,
        engine: &Engine,
        Imprint { digest, flavour, shape }: Imprint,
    ) -> Result<Option<AtHand>, ActivateError> {
        let in_full = engine.load_cached(digest, flavour);
        if let Some(code) = in_full.map_err(|error| self.failed(error))? {
            return Ok(Some(AtHand { code, shape, stands_in: None }));
        }
        let stand_in = engine.load_stand_in(digest, flavour);
        let stand_in = stand_in.map_err(|error| self.failed(error))?;
        Ok(stand_in.map(|code| AtHand { code, shape, stands_in: Some(Better::Own) }))
    }

    fn failed(&self, source: EngineError) -> ActivateError {
        ActivateError::Compile { component: self.name().into(), source }
    }

    /// Makes code that can answer: soon, if in full takes long.
    fn compile(&self, uncompiled: &Uncompiled) -> Result<Resident, ActivateError> {
        let Uncompiled { wasm, flavour, shape } = uncompiled;
        if wasm.len() >= WORTH_A_BASELINE
            && let Ok(Some(baseline)) = self.engine().baseline(*flavour)
            && let Ok(code) = self.compile_by(baseline, wasm)
        {
            return self.link(AtHand { code, shape: *shape, stands_in: Some(Better::Own) });
        }
        self.compile_in_full(uncompiled, self.engine())
    }

    fn compile_in_full(
        &self,
        uncompiled: &Uncompiled,
        engine: &Engine,
    ) -> Result<Resident, ActivateError> {
        let code = self.compile_by(engine, &uncompiled.wasm);
        let code = code.map_err(|error| self.failed(error))?;
        self.link(AtHand { code, shape: uncompiled.shape, stands_in: None })
    }

    fn compile_by(&self, engine: &Engine, wasm: &[u8]) -> Result<Code, EngineError> {
        if self.is_counted() { engine.load_counted(wasm) } else { engine.load(wasm) }
    }

    fn is_counted(&self) -> bool {
        self.limits.instructions.is_some()
    }

    /// Opens the grants and links the code.
    fn link(&self, AtHand { code, shape, stands_in }: AtHand) -> Result<Resident, ActivateError> {
        let resources = &self.shared.resources;
        let linkers =
            if stands_in.is_some() { &resources.baseline_linkers } else { &resources.linkers };
        let Shared { app, backends, .. } = &*self.shared;
        let component = app
            .components
            .get(&self.image.component)
            .ok_or_else(|| ActivateError::UnknownComponent(self.name().into()))?;
        let (log, shares) = (self.image.log.clone(), self.shares.clone());
        let metrics = self.metrics.clone();
        let mut grants = Grants::prepare(app, component, backends, log, shares, metrics)?;
        grants.usage = self.image.usage.clone();
        if let Ok(Some(share)) = self.engine().share(&code) {
            self.admission.shrink(share);
        }
        let terms = (component.reuse, &self.shared.resources.room, &self.reuse_is_off);
        let runner = Runner::new(linkers, &code, shape, terms).map_err(|error| {
            ActivateError::Link { component: self.name().into(), reason: format!("{error:#}") }
        })?;
        Ok(Resident {
            stands_in,
            followed: AtomicBool::new(false),
            code,
            grants: Arc::new(grants),
            runner,
        })
    }
}

/// Does work that blocks on a thread of its own: those of the runtime are for guests' files, and a
/// guest can have many.
pub(crate) fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Result<T, ActivateError>> {
    let (done, outcome) = oneshot::channel();
    let started = thread::Builder::new().name("dayfly-load".to_owned()).spawn(move || {
        let _ = done.send(work());
    });
    async move {
        started.map_err(ActivateError::Thread)?;
        outcome.await.map_err(|_| ActivateError::Thread(std::io::Error::other("it panicked")))
    }
}
