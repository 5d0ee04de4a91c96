//! A node: what listens, and the threads that serve; and the host of one app, which is a node that
//! serves nothing else.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use dayfly_engine::Engine;
use dayfly_model::{App, TriggerKind};
use dayfly_telemetry::{Source, Telemetry};

use crate::dispatch::{self, ActivateError, Loaded, ResidencyConfig};
use crate::plane::Plane;
use crate::release::Release;
use crate::rollout::{AppKey, Rollout};
use crate::scrape::Scrape;
use crate::server::listen::{Bound, Entrance, Listeners, bind};
use crate::server::shutdown::Phase;
use crate::triggers::Commands;
use crate::{
    Connector, ListenAddr, ListenError, Outcome, ServeError, Server, ServerConfig, Shutdown,
};

/// What a host is told beyond its release.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// How the HTTP trigger listens.
    pub http: ServerConfig,
    /// Where metrics can be asked for; nowhere if empty.
    pub metrics_listen: Vec<ListenAddr>,
    /// What is exported, if anything.
    pub telemetry: Option<Arc<Telemetry>>,
    /// How many instances may run at once, of all components together.
    pub max_instances: u32,
    /// How many files, sockets and connections all guests may hold open together.
    pub max_descriptors: u64,
    /// How many connections there may be to processes of tenants, beside those of clients.
    pub max_onward: usize,
    /// How much memory all bodies together may take that the host holds whole, in bytes (`docs/limits.md`).
    pub body_bytes: u64,
    /// What components take while none of their instances runs.
    pub residency: ResidencyConfig,
    /// What commands that run once are called with, behind what the manifest says.
    pub arguments: Vec<String>,
    /// Whether there is more than one app.
    pub apps: Apps,
}

/// The apps of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apps {
    /// One, which answers every host.
    One {
        /// Whether its components call one another: places to run in are then divided by the depth of
        /// calls.
        calls: bool,
    },
    /// Any number, of several owners: a request is answered by the app whose host it is for.
    Many,
}

impl Apps {
    /// This one.
    pub fn one(app: &App) -> Self {
        Self::One { calls: dispatch::calls(app) }
    }
}

/// A node that listens.
pub struct Node {
    plane: Plane,
    server: Option<Server>,
    scrape: Option<Scrape>,
    grace: Duration,
}

/// How long what still waits to be exported may take in the end.
const LAST_EXPORT: Duration = Duration::from_secs(5);

impl Node {
    /// Listens; nothing is served yet, and there is no app.
    ///
    /// # Errors
    /// If an address or the certificate cannot be used.
    pub fn bind(engine: &Engine, config: &HostConfig) -> Result<Self, ServeError> {
        let listeners = Listeners::bind(&config.http, &config.metrics_listen, usize::MAX)?;
        if listeners.addresses().all(|(entrance, _)| entrance == Entrance::Metrics) {
            return Err(ListenError::Nothing.into());
        }
        Self::on(engine, config, listeners)
    }

    /// The same with sockets that listen already, whatever the configuration says of addresses. Where
    /// there are none, requests come by its [connector](Self::connector) alone.
    ///
    /// # Errors
    /// If the certificate cannot be used.
    pub fn on(
        engine: &Engine,
        config: &HostConfig,
        listeners: Listeners,
    ) -> Result<Self, ServeError> {
        let (http, metrics) = listeners.split();
        Self::with(engine, config, Some(Server::on(config.http.clone(), http)?), metrics)
    }

    /// A node that takes no requests.
    ///
    /// # Errors
    /// If an address for metrics cannot be used.
    pub fn deaf(engine: &Engine, config: &HostConfig) -> Result<Self, ServeError> {
        let backlog = config.http.backlog;
        let metrics = bind(&config.metrics_listen, Entrance::Metrics, 1, backlog)?;
        Self::with(engine, config, None, metrics)
    }

    fn with(
        engine: &Engine,
        config: &HostConfig,
        server: Option<Server>,
        metrics: Vec<Bound>,
    ) -> Result<Self, ServeError> {
        let one = matches!(config.apps, Apps::One { .. });
        let url = server.as_ref().filter(|_| one).and_then(|server| server.urls().next());
        let connector = server.as_ref().map(Server::connector);
        let plane = Plane::new(engine, config, url, connector);
        let scrape = Scrape::on(metrics, Arc::new(plane.clone()))?;
        Ok(Self { plane, server, scrape, grace: config.http.grace })
    }

    /// Has its page of metrics tell what others have counted as well.
    pub fn tell_of(&mut self, others: Arc<dyn Source>) {
        if let Some(scrape) = &mut self.scrape {
            scrape.tell_of(others);
        }
    }

    /// Its apps.
    pub const fn plane(&self) -> &Plane {
        &self.plane
    }

    /// What gives it connections that another process has accepted; nothing, if it takes no requests.
    pub fn connector(&self) -> Option<Connector> {
        self.server.as_ref().map(Server::connector)
    }

    /// The URLs that it listens under.
    pub fn urls(&self) -> Vec<String> {
        self.server.iter().flat_map(Server::urls).collect()
    }

    /// What wakes which component of an app, a line each, for people, and where metrics are.
    pub fn describe(&self, key: &AppKey) -> Vec<String> {
        let mut lines = self.plane.describe(key, &self.urls());
        lines.extend(self.scrape.iter().flat_map(Scrape::describe));
        lines
    }

    /// Serves until the shutdown is over. It must not be called on a thread of an asynchronous
    /// runtime: it has threads and runtimes of its own.
    ///
    /// # Errors
    /// The first of its threads that could not go on; the others are ended.
    pub fn run(self, shutdown: &Shutdown) -> Result<Outcome, ServeError> {
        self.run_with(None, None, shutdown)
    }

    /// The same, but events are taken in only once a gate is open, at which is looked again and again:
    /// until then another node has them.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_behind(self, gate: Gate<'_>, shutdown: &Shutdown) -> Result<Outcome, ServeError> {
        self.run_with(None, Some(gate), shutdown)
    }

    fn run_with(
        self,
        commands: Option<Commands>,
        gate: Option<Gate<'_>>,
        shutdown: &Shutdown,
    ) -> Result<Outcome, ServeError> {
        let telemetry = self.plane.telemetry().cloned();
        let exporting = match &telemetry {
            Some(exported) => {
                Some(exported.start(Arc::new(self.plane.clone())).map_err(ServeError::Start)?)
            }
            None => None,
        };
        let outcome = self.serve(commands, gate, shutdown);
        // When nothing more comes to be told.
        if let Some(exporting) = exporting
            && !exporting.stop(LAST_EXPORT)
        {
            tracing::warn!(target: "dayfly::telemetry", "ended before all was exported");
        }
        outcome
    }

    fn serve(
        self,
        commands: Option<Commands>,
        gate: Option<Gate<'_>>,
        shutdown: &Shutdown,
    ) -> Result<Outcome, ServeError> {
        let Self { plane, server, scrape, grace } = self;
        let plane = &plane;
        let stays = server.is_some() || plane.has_events();
        if gate.is_none() {
            plane.begin()?;
        }
        thread::scope(|scope| {
            let begun = gate.map(|gate| scope.spawn(move || begin(plane, gate, shutdown)));
            // However this ends, or the scope would wait for what keeps it.
            let _end = Ending(plane);
            plane.keep(scope);
            let told = scrape.map(|scrape| {
                let shutdown = shutdown.clone();
                scope.spawn(move || scrape.run(shutdown))
            });
            let events = scope.spawn(|| end_of_events(plane, shutdown, grace));
            let served = server.map(|server| {
                let front = plane.front().clone();
                scope.spawn(move || surely(shutdown, server.run(front, shutdown.clone())))
            });
            let ran = commands
                .map(|commands| scope.spawn(move || surely(shutdown, commands.run(shutdown))));
            let mut outcome = Outcome { unfinished: 0, status: 0 };
            if let Some(begun) = begun {
                begun.join().map_err(|_| ServeError::Thread).flatten()?;
            }
            for thread in served.into_iter().chain(ran) {
                let ended = thread.join().map_err(|_| ServeError::Thread).flatten();
                let ended = ended.inspect_err(|_| shutdown.start())?;
                outcome.unfinished += ended.unfinished;
                outcome.status = if outcome.status == 0 { ended.status } else { outcome.status };
            }
            if !stays {
                shutdown.start();
            }
            outcome.unfinished += events.join().map_err(|_| ServeError::Thread).flatten()?;
            // What only tells of the others ends with them.
            shutdown.start();
            if let Some(told) = told {
                told.join().map_err(|_| ServeError::Thread).flatten()?;
            }
            Ok(outcome)
        })
    }
}

/// Whether events are taken in yet.
pub type Gate<'a> = &'a (dyn Fn() -> bool + Sync);

/// How often is looked whether a gate is open.
const LOOK: Duration = Duration::from_millis(5);

/// Begins to take events in once the gate is open, unless the end comes before.
fn begin(plane: &Plane, gate: Gate<'_>, shutdown: &Shutdown) -> Result<(), ServeError> {
    while !gate() {
        if shutdown.is_started() {
            return Ok(());
        }
        thread::sleep(LOOK);
    }
    plane.begin().inspect_err(|_| shutdown.start())
}

/// Ends the rest with what failed: what only half serves is worse than what ends and says why.
fn surely(
    shutdown: &Shutdown,
    outcome: Result<Outcome, ServeError>,
) -> Result<Outcome, ServeError> {
    if outcome.as_ref().map_or(true, |outcome| outcome.status != 0) {
        shutdown.start();
    }
    outcome
}

/// Waits for the end, and ends all event triggers; how many events were not done.
fn end_of_events(plane: &Plane, shutdown: &Shutdown, grace: Duration) -> Result<usize, ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(ServeError::Start).inspect_err(|_| shutdown.start())?;
    runtime.block_on(shutdown.watch().reached(Phase::Draining));
    let unfinished = plane.end_events(shutdown, grace)?;
    Ok(usize::try_from(unfinished).unwrap_or(usize::MAX))
}

/// Lets what looks after the apps end when it is dropped.
struct Ending<'a>(&'a Plane);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A node of one app, which it has from the beginning.
pub struct Host {
    node: Node,
    key: AppKey,
    commands: Option<Commands>,
}

impl Host {
    /// Lets a release's triggers listen; nothing is served yet, and no component is opened.
    ///
    /// # Errors
    /// If an address is taken, or two triggers claim the same event.
    pub fn activate(
        engine: &Engine,
        release: Release,
        config: &HostConfig,
    ) -> Result<Self, ActivateError> {
        let key = AppKey::new("default", release.app.name.as_str());
        let node = match has_routes(&release.app) {
            true => Node::bind(engine, config)?,
            false => Node::deaf(engine, config)?,
        };
        node.plane.put(&key, Rollout::whole("", release))?;
        let commands = node.plane.commands(&key, (&config.arguments, config.http.grace))?;
        Ok(Self { node, key, commands })
    }

    /// Loads every component now instead of with its first event, and tells about each before it
    /// starts. A component that cannot be loaded does not keep the others from it.
    pub fn preload(&self, starting: impl FnMut(&str)) -> Vec<Result<Loaded, ActivateError>> {
        self.node.plane.preload(&self.key, starting)
    }

    /// Whether anything can wake a component.
    pub fn is_woken(&self) -> bool {
        self.node.server.is_some() || self.commands.is_some() || self.node.plane.has_events()
    }

    /// What wakes which component, a line each, for people, and where metrics are.
    pub fn describe(&self) -> Vec<String> {
        self.node.describe(&self.key)
    }

    /// The URL that the app's routes are under, if it has any and they are reached by TCP.
    pub fn url(&self) -> Option<String> {
        self.node.urls().into_iter().find(|url| url.starts_with("http"))
    }

    /// Serves until the shutdown is over. It must not be called on a thread of an asynchronous
    /// runtime: triggers have threads and runtimes of their own.
    ///
    /// # Errors
    /// The first trigger that could not go on; the others are ended.
    pub fn run(self, shutdown: &Shutdown) -> Result<Outcome, ServeError> {
        self.node.run_with(self.commands, None, shutdown)
    }
}

/// Whether clients reach an app by HTTP.
pub fn has_routes(app: &App) -> bool {
    let is_route =
        |kind: &TriggerKind| matches!(kind, TriggerKind::Http(http) if http.route.is_some());
    app.triggers.iter().any(|trigger| is_route(&trigger.kind))
}
