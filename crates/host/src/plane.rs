//! The apps of a node: they come, one release follows another, and they go, while requests and events
//! come in. Whatever cannot be activated changes nothing.

mod begin;
mod seat;
mod slot;
mod switch;
mod telling;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dayfly_capabilities::Backends;
use dayfly_engine::Engine;
use dayfly_telemetry::Telemetry;
use tokio::sync::Semaphore;

use crate::activation::Activation;
use crate::away::{Away, Open};
use crate::challenges::Challenges;
use crate::dispatch::{ActivateError, Loaded, Resources};
use crate::drain::Drains;
use crate::events::{Crew, Opened};
use crate::front::{self, Door, Front};
use crate::host::{Apps, HostConfig};
use crate::notice::Notice;
use crate::rollout::{AppKey, Rollout};
use crate::routing::Routing;
use crate::server::Connector;
use crate::triggers::Commands;
pub(crate) use seat::Seat;
pub(crate) use slot::Slot;
use switch::Change;

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
    /// Leave to wake a release.
    wakes: Arc<Semaphore>,
    url: Option<String>,
    max_websockets: usize,
    cores: usize,
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
            wakes: Arc::new(Semaphore::new(seat::WAKES)),
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
        slot: &Arc<Slot>,
        rollout: Rollout,
    ) -> Result<Changed, ActivateError> {
        let inner = &self.0;
        let hosts = rollout.hosts()?;
        if inner.is_shared && hosts.is_empty() {
            return Err(ActivateError::Rollout("the app has no host"));
        }
        let _changing = slot.changing();
        inner.routing().check(key, &hosts)?;
        let change = Change::new(inner, (key, slot), hosts.first(), rollout.preload);
        let (placed, changed) = change.place(rollout.releases)?;
        inner.switch(
            key,
            slot,
            (hosts, placed.releases, None),
            (placed.opened, rollout.takes_events),
        )?;
        Ok(changed)
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
        let _changing = slot.changing();
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
        let _changing = slot.changing();
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

    /// Puts hosts in place all at once, when what is returned is dropped, where many apps change.
    #[must_use]
    pub fn together(&self) -> Together<'_> {
        self.0.routing().hold();
        Together(&self.0)
    }

    /// What stands behind an app now, from which [`Backends::after`] makes what stands behind its next
    /// release; nothing, where that sleeps.
    pub fn backends(&self, key: &AppKey) -> Option<Arc<Backends>> {
        let slot = self.lock().get(key).cloned()?;
        slot.kept().backends.upgrade()
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
    /// events. Of a release that sleeps nothing is said.
    pub fn describe(&self, key: &AppKey, urls: &[String]) -> Vec<String> {
        let Some(slot) = self.lock().get(key).cloned() else { return Vec::new() };
        let served = slot.served();
        let routers = || {
            let awake = served.releases.iter().filter_map(|it| it.seat.activation());
            awake.filter_map(|it| it.router())
        };
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
        slot.activations()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AppKey, Arc<Slot>>> {
        self.0.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While there is one, requests find hosts as they were when it came.
pub struct Together<'a>(&'a Inner);

impl Drop for Together<'_> {
    fn drop(&mut self) {
        self.0.routing().release();
    }
}
