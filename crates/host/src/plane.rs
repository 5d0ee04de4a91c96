//! The apps of a node: they come, one release follows another, and they go, while requests and events
//! come in. Whatever cannot be activated changes nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dayfly_capabilities::Backends;
use dayfly_capabilities::queue::Owner;
use dayfly_engine::Engine;
use dayfly_telemetry::metrics::{self, Families, Value};
use dayfly_telemetry::{Source, Telemetry};

use crate::activation::{Activation, Surroundings};
use crate::away::{Away, Open};
use crate::challenges::Challenges;
use crate::dispatch::{self, ActivateError, FEW_COMPONENTS, Lasting, Loaded, Resources, Telling};
use crate::drain::{Drains, Leaving};
use crate::events::{self, AppEvents, Crew, Opened, Sources};
use crate::front::{self, Door, Front};
use crate::host::{Apps, HostConfig};
use crate::notice::Notice;
use crate::probe;
use crate::rollout::{AppKey, Part, Rollout};
use crate::routing::Routing;
use crate::server::Connector;
use crate::triggers::Commands;
use crate::{ServeError, Shutdown};

/// How often is looked whether all events are settled.
const LOOK: Duration = Duration::from_millis(10);

/// How many components of a node of many apps have series of their own: some 40 each.
const TOLD_COMPONENTS: usize = 2000;

/// The apps of a node. Clones are the same.
#[derive(Clone)]
pub struct Plane(Arc<Inner>);

struct Inner {
    resources: Arc<Resources>,
    front: Arc<Front>,
    routing: Mutex<Routing>,
    crew: Crew,
    /// Where the node's own connections come in, if it serves requests.
    connector: Option<Connector>,
    /// The connections to processes of tenants.
    onward: Arc<Open>,
    drains: Drains,
    telemetry: Option<Arc<Telemetry>>,
    apps: Mutex<BTreeMap<AppKey, Arc<Slot>>>,
    is_shared: bool,
    /// Whether events are taken in; before, they wait for [`Plane::begin`].
    has_begun: AtomicBool,
    activations: AtomicU64,
    url: Option<String>,
    max_websockets: usize,
    cores: usize,
}

/// One app.
#[derive(Default)]
struct Slot {
    /// Held while what is served changes: one change comes after the other.
    changing: Mutex<Lasting>,
    sources: Arc<Sources>,
    served: Mutex<Served>,
}

/// What is served of an app.
#[derive(Default)]
struct Served {
    releases: Vec<Placed>,
    events: AppEvents,
    /// Event triggers that wait until the node begins, or another process has ended.
    waiting: Option<Opened>,
    /// Whether it is that process that they wait for.
    is_held: bool,
}

/// A release and its part of the requests.
struct Placed {
    id: Arc<str>,
    percent: u32,
    activation: Arc<Activation>,
}

/// What came of a change.
#[derive(Debug, Default)]
pub struct Changed {
    /// The components that were loaded before, if that was asked for.
    pub loaded: Vec<Loaded>,
}

impl Plane {
    /// A plane without apps. `url` is where routes are reached, as far as that is one place.
    pub(crate) fn new(
        engine: &Engine,
        config: &HostConfig,
        url: Option<String>,
        connector: Option<Connector>,
    ) -> Self {
        let is_shared = matches!(config.apps, Apps::Many);
        let (front, http) = (Front::new(is_shared), &config.http);
        Self(Arc::new(Inner {
            resources: Resources::new(engine, config),
            routing: Mutex::new(Routing::new(front.clone())),
            front,
            crew: Crew::new(http.workers(), http.blocking_threads, http.grace),
            connector,
            onward: Open::new(config.max_onward),
            drains: Drains::new(config.http.grace),
            telemetry: config.telemetry.clone(),
            apps: Mutex::default(),
            is_shared,
            has_begun: AtomicBool::new(false),
            activations: AtomicU64::new(0),
            url,
            // Of an app: many leave one another some.
            max_websockets: match config.apps {
                Apps::One { .. } => config.http.max_websockets(),
                Apps::Many => config.http.max_websockets().div_ceil(4),
            },
            cores: config.http.workers(),
        }))
    }

    /// Serves an app from now on as `rollout` says, instead of how it was served before. Requests that
    /// have come end in the release that they came to, those that come after this has returned find the
    /// new one, and none is dropped; an answer that is still being written when the grace is over is cut
    /// off. Events go on: see `events`. WebSockets are asked to come again (1012). It blocks, and must
    /// not be called on a thread of an asynchronous runtime.
    ///
    /// # Errors
    /// If a release cannot be activated; then nothing has changed.
    pub fn put(&self, key: &AppKey, rollout: Rollout) -> Result<Changed, ActivateError> {
        let slot = self.lock().entry(key.clone()).or_default().clone();
        let changed = self.change(key, &slot, rollout);
        if changed.is_err() {
            // It may have come with this.
            let mut apps = self.lock();
            let is_known = self.0.routing().has(key);
            if !is_known && slot.served().releases.is_empty() && Arc::strong_count(&slot) == 2 {
                apps.remove(key);
            }
        }
        changed
    }

    fn change(
        &self,
        key: &AppKey,
        slot: &Slot,
        rollout: Rollout,
    ) -> Result<Changed, ActivateError> {
        let inner = &*self.0;
        let hosts = rollout.hosts()?;
        if inner.is_shared && hosts.is_empty() {
            return Err(ActivateError::Rollout("the app has no host"));
        }
        let mut lasting = slot.changing.lock().unwrap_or_else(PoisonError::into_inner);
        inner.routing().check(key, &hosts)?;
        let mut loaded = Vec::new();
        let preload = rollout.preload;
        let url = inner.url.clone().or_else(|| Some(format!("http://{}", hosts.first()?)));
        let mut releases = Vec::new();
        for Part { id, percent, release, health_path } in rollout.releases {
            let activation = match release {
                Some(release) => {
                    let activation =
                        inner.activate(release, (key, slot), &mut lasting, url.as_deref())?;
                    if preload {
                        let all = activation.components().preload(|_| {}).into_iter();
                        loaded.extend(all.collect::<Result<Vec<_>, _>>()?);
                    }
                    inner.probe(&activation, hosts.first(), health_path.as_deref())?;
                    Arc::new(activation)
                }
                None => {
                    let unknown = || ActivateError::UnknownRelease(id.to_string());
                    let activation = slot.find(&id).ok_or_else(unknown)?;
                    inner.probe(&activation, hosts.first(), health_path.as_deref())?;
                    activation
                }
            };
            releases.push(Placed { id, percent, activation });
        }
        let owner = slot.served().owner();
        let first = releases.first().map(|placed| &placed.activation);
        let opened = match first {
            Some(first) => first.open_events((owner.as_ref(), inner.is_shared), &slot.sources)?,
            None => Opened::default(),
        };
        opened.announce()?;
        let events = (opened, rollout.takes_events);
        inner.switch(key, slot, (hosts, releases, None), events)?;
        Ok(Changed { loaded })
    }

    /// A process that others than this node's own apps may be [referred](Self::refer) to, one of at most
    /// so many.
    pub fn away(&self, processes: usize) -> Arc<Away> {
        Away::new(&self.0.onward, processes)
    }

    /// Has another process answer for an app from now on; events are not taken in here any more. What runs
    /// may end.
    ///
    /// # Errors
    /// If another app has one of the hosts, or the system denies what ending its events takes; then
    /// nothing has changed.
    pub fn refer(
        &self,
        key: &AppKey,
        hosts: &[String],
        away: &Arc<Away>,
    ) -> Result<(), ActivateError> {
        let slot = self.lock().entry(key.clone()).or_default().clone();
        let _changing = slot.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let hosts: Vec<Arc<str>> = hosts.iter().map(|host| front::name(host).into()).collect();
        self.0.routing().check(key, &hosts)?;
        let door = Arc::new(Door::Away(away.clone()));
        self.0.switch(key, &slot, (hosts, Vec::new(), Some(door)), (Opened::default(), true))
    }

    /// Serves an app no longer; what runs in it may end. Whether it was there.
    ///
    /// # Errors
    /// If the system denies what ending its events takes.
    pub fn remove(&self, key: &AppKey) -> Result<bool, ActivateError> {
        let Some(slot) = self.lock().get(key).cloned() else { return Ok(false) };
        let _changing = slot.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.switch(key, &slot, (Vec::new(), Vec::new(), None), (Opened::default(), true))?;
        self.lock().remove(key);
        Ok(true)
    }

    /// Says this instead of all answers of an app, until something is put in its place. What runs may
    /// end, and events go on.
    pub fn close(&self, key: &AppKey, hosts: &[String], notice: Notice) {
        let hosts = hosts.iter().map(|host| front::name(host).into()).collect();
        self.0.routing().set(key, hosts, Some(Arc::new(Door::Closed(notice))));
    }

    /// The ids of what is served of an app; `None` if it is not known.
    pub fn releases(&self, key: &AppKey) -> Option<Vec<Arc<str>>> {
        let slot = self.lock().get(key).cloned()?;
        let served = slot.served();
        Some(served.releases.iter().map(|it| it.id.clone()).collect())
    }

    /// Puts hosts in place all at once, when what is returned is dropped, where many apps change: to put
    /// each in place takes time that grows with the number of all.
    #[must_use]
    pub fn together(&self) -> Together<'_> {
        self.0.routing().hold();
        Together(&self.0)
    }

    /// What stands behind an app now, from which [`Backends::after`] makes what stands behind its next
    /// release.
    pub fn backends(&self, key: &AppKey) -> Option<Arc<Backends>> {
        let slot = self.lock().get(key).cloned()?;
        let served = slot.served();
        served.releases.first().map(|it| it.activation.components().backends().clone())
    }

    /// How many releases are being left, by requests or events that came before another one followed.
    pub fn draining(&self) -> usize {
        self.0.drains.count()
    }

    /// Loads every component of an app now, and tells about each before it starts.
    pub(crate) fn preload(
        &self,
        key: &AppKey,
        mut starting: impl FnMut(&str),
    ) -> Vec<Result<Loaded, ActivateError>> {
        let activations = self.activations(key).into_iter();
        activations.flat_map(|it| it.components().preload(&mut starting)).collect()
    }

    /// The commands of an app.
    pub(crate) fn commands(
        &self,
        key: &AppKey,
        (arguments, grace): (&[String], Duration),
    ) -> Result<Option<Commands>, ActivateError> {
        let activations = self.activations(key);
        let Some(first) = activations.first() else { return Ok(None) };
        let components = first.components();
        Commands::of(components.app(), &components.index(), (arguments, grace))
    }

    /// What wakes which component of an app, for people: its routes, under each of these URLs, and its
    /// events.
    pub fn describe(&self, key: &AppKey, urls: &[String]) -> Vec<String> {
        let Some(slot) = self.lock().get(key).cloned() else { return Vec::new() };
        let served = slot.served();
        let routers = || served.releases.iter().filter_map(|it| it.activation.router());
        let routes = urls.iter().flat_map(|url| routers().flat_map(|router| router.describe(url)));
        let waiting = served.waiting.iter().flat_map(Opened::describe);
        routes.chain(waiting.chain(served.events.describe()).map(str::to_owned)).collect()
    }

    /// Where requests come in.
    pub(crate) fn front(&self) -> &Arc<Front> {
        &self.0.front
    }

    /// What certificate authorities are answered, before any app is.
    pub fn challenges(&self) -> &Challenges {
        self.0.front.challenges()
    }

    /// What is exported, if anything.
    pub(crate) fn telemetry(&self) -> Option<&Arc<Telemetry>> {
        self.0.telemetry.as_ref()
    }

    /// Whether any app has event triggers.
    pub(crate) fn has_events(&self) -> bool {
        self.lock().values().any(|slot| !slot.sources.now().is_empty())
    }

    /// Whether events are taken in, and releases can be looked at.
    pub fn has_begun(&self) -> bool {
        self.0.has_begun.load(Relaxed)
    }

    /// Begins to take events in.
    pub(crate) fn begin(&self) -> Result<(), ServeError> {
        let slots: Vec<_> = self.lock().values().cloned().collect();
        self.0.has_begun.store(true, Relaxed);
        for slot in slots {
            let _changing = slot.changing.lock().unwrap_or_else(PoisonError::into_inner);
            let served = &mut *slot.served();
            if !served.is_held
                && let Some(opened) = served.waiting.take()
            {
                served.events.take_over(opened, &self.0.crew)?;
            }
        }
        Ok(())
    }

    /// Ends all event triggers, within the grace; how many events are not done then.
    pub(crate) fn end_events(
        &self,
        shutdown: &Shutdown,
        grace: Duration,
    ) -> Result<u64, ServeError> {
        let slots: Vec<_> = self.lock().values().cloned().collect();
        slots.iter().for_each(|slot| slot.served().events.start_end());
        let began = Instant::now();
        let settled = || {
            slots.iter().all(|slot| slot.served().events.is_settled()) && self.0.crew.is_settled()
        };
        while !settled() && began.elapsed() < grace && !shutdown.is_ending() {
            std::thread::sleep(LOOK);
        }
        self.0.crew.end()?;
        let end = |slot: &Arc<Slot>| {
            let served = &mut *slot.served();
            served.waiting = None;
            // Another process may take messages from here on.
            std::mem::take(&mut served.events).under_way()
        };
        Ok(slots.iter().map(end).sum())
    }

    /// Looks after what leaves memory, on threads that wait for this.
    pub(crate) fn keep<'scope>(&'scope self, scope: &'scope std::thread::Scope<'scope, '_>) {
        scope.spawn(|| self.0.resources.keep());
        scope.spawn(|| self.0.drains.keep());
    }

    /// Lets the threads of [`Self::keep`] end.
    pub(crate) fn end(&self) {
        self.0.resources.end();
        self.0.drains.end();
    }

    fn activations(&self, key: &AppKey) -> Vec<Arc<Activation>> {
        let Some(slot) = self.lock().get(key).cloned() else { return Vec::new() };
        let served = slot.served();
        served.releases.iter().map(|placed| placed.activation.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AppKey, Arc<Slot>>> {
        self.0.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn routing(&self) -> MutexGuard<'_, Routing> {
        self.routing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn activate(
        &self,
        release: crate::Release,
        (key, slot): (&AppKey, &Slot),
        lasting: &mut Lasting,
        url: Option<&str>,
    ) -> Result<Activation, ActivateError> {
        if self.is_shared && release.app.runs_commands() {
            return Err(ActivateError::Rollout("commands that run once are run by `dayfly up`"));
        }
        Activation::new(
            release,
            Surroundings {
                resources: &self.resources,
                lasting,
                sources: &slot.sources,
                telemetry: self.telemetry.as_ref(),
                number: self.activations.fetch_add(1, Relaxed),
                owner: self.is_shared.then_some(key),
                url,
                max_websockets: self.max_websockets,
                cores: self.cores,
            },
        )
    }

    /// Looks whether a release is healthy, if that can be asked: not before the node has begun.
    fn probe(
        &self,
        activation: &Activation,
        host: Option<&Arc<str>>,
        path: Option<&str>,
    ) -> Result<(), ActivateError> {
        let (Some(host), Some(path), Some(connector)) = (host, path, &self.connector) else {
            return Ok(());
        };
        if !self.has_begun.load(Relaxed) || activation.stays().is_empty() {
            return Ok(());
        }
        let door = Door::new(&[(100, activation.stays())], self.cores);
        let probed = probe::probe((&self.front, connector), door, (host, path));
        probed.map_err(ActivateError::Unhealthy)
    }

    /// Lets releases, or who else answers, take the place of those of an app that are served: first its
    /// events, then its requests.
    fn switch(
        &self,
        key: &AppKey,
        slot: &Slot,
        (hosts, releases, other): (Vec<Arc<str>>, Vec<Placed>, Option<Arc<Door>>),
        (opened, takes_events): (Opened, bool),
    ) -> Result<(), ActivateError> {
        let doors: Vec<_> = releases.iter().map(|it| (it.percent, it.activation.stays())).collect();
        let door = doors.iter().any(|(_, stays)| !stays.is_empty());
        let door = other.or_else(|| door.then(|| Door::new(&doors, self.cores)));
        let mut routing = self.routing();
        routing.check(key, &hosts)?;
        let mut served = slot.served();
        let metrics = opened.metrics();
        let aims = match self.has_begun.load(Relaxed) && takes_events {
            true => {
                served.waiting = None;
                served.events.take_over(opened, &self.crew)?
            }
            false => {
                served.waiting = Some(opened);
                Vec::new()
            }
        };
        served.is_held = !takes_events;
        slot.sources.set(metrics);
        routing.set(key, hosts, door);
        drop(routing);
        let former = std::mem::replace(&mut served.releases, releases);
        let stays = |it: &Placed| {
            served.releases.iter().any(|new| Arc::ptr_eq(&new.activation, &it.activation))
        };
        // Events were the first one's.
        let mut aims = Some(aims);
        let gone: Vec<_> = former.into_iter().map(|it| (stays(&it), it, aims.take())).collect();
        drop(served);
        for (_, Placed { activation, .. }, aims) in gone.into_iter().filter(|(stays, ..)| !stays) {
            let (app, since) = (key.to_string().into(), Instant::now());
            self.drains.add(Leaving { activation, aims: aims.unwrap_or_default(), since, app });
        }
        Ok(())
    }
}

/// While there is one, requests find hosts as they were when it came.
pub struct Together<'a>(&'a Inner);

impl Drop for Together<'_> {
    fn drop(&mut self) {
        self.0.routing().release();
    }
}

impl Slot {
    fn served(&self) -> MutexGuard<'_, Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &str) -> Option<Arc<Activation>> {
        let served = self.served();
        let found = served.releases.iter().find(|placed| &*placed.id == id);
        found.map(|placed| placed.activation.clone())
    }
}

impl Served {
    /// Who takes messages of the app's queues, if this process does.
    fn owner(&self) -> Option<Arc<Owner>> {
        let waiting = self.waiting.as_ref().and_then(Opened::owner);
        self.events.owner().or(waiting).cloned()
    }
}

impl Source for Plane {
    fn collect(&self, families: &mut Families) {
        let mut slots: Vec<_> =
            self.lock().iter().map(|(key, slot)| (key.clone(), slot.clone())).collect();
        // Who serves what is not served here tells of it.
        slots.retain(|(_, slot)| !slot.served().releases.is_empty());
        let count: usize = slots.iter().map(|(_, slot)| slot.components()).sum();
        let mut telling = Telling {
            untouched: !self.0.is_shared || count <= FEW_COMPONENTS,
            room: if self.0.is_shared { TOLD_COMPONENTS } else { usize::MAX },
            left_out: 0,
        };
        for (key, slot) in slots {
            let labels = [("tenant", &*key.tenant), ("app", &*key.app)];
            let labels: &[_] = if self.0.is_shared { &labels } else { &[] };
            families.add_with(labels, |families| slot.collect(&mut telling, families));
        }
        if self.0.is_shared {
            let left_out = Value::Integer(telling.left_out);
            families.add(&metrics::COMPONENTS_LEFT_OUT, &[], left_out);
        }
        self.0.resources.collect(families);
        if let Some(telemetry) = &self.0.telemetry {
            telemetry.collect(families);
        }
    }
}

impl Slot {
    /// How many components there are.
    fn components(&self) -> usize {
        self.served().releases.iter().map(|it| it.activation.components().count()).sum()
    }

    fn collect(&self, telling: &mut Telling, families: &mut Families) {
        let activations: Vec<_> =
            self.served().releases.iter().map(|placed| placed.activation.clone()).collect();
        dispatch::collect(activations.iter().map(|it| it.components()), telling, families);
        events::collect(&self.sources.now(), families);
        if let Some(first) = activations.first() {
            first.components().backends().websockets.collect(families);
        }
    }
}
