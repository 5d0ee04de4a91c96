//! The host of one app: its components, and the triggers that wake them.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use dayfly_engine::Engine;
use dayfly_telemetry::metrics::Families;
use dayfly_telemetry::{Source, Telemetry};

use crate::dispatch::{ActivateError, Components, Loaded, ResidencyConfig};
use crate::events::{self, EventTriggers, TriggerMetrics};
use crate::release::Release;
use crate::scrape::Scrape;
use crate::triggers::{Setting, TRIGGERS, Trigger};
use crate::{ListenAddr, Outcome, ServeError, ServerConfig, Shutdown};

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
    /// What components take while none of their instances runs.
    pub residency: ResidencyConfig,
    /// What commands that run once are called with, behind what the manifest says.
    pub arguments: Vec<String>,
}

/// An app that is ready to be woken.
pub struct Host {
    facts: Facts,
    triggers: Vec<Box<dyn Trigger>>,
    scrape: Option<Scrape>,
}

/// How long what still waits to be exported may take in the end.
const LAST_EXPORT: Duration = Duration::from_secs(5);

/// What the host tells about itself.
#[derive(Clone)]
struct Facts {
    components: Arc<Components>,
    telemetry: Option<Arc<Telemetry>>,
    events: Arc<[Arc<TriggerMetrics>]>,
}

impl Source for Facts {
    fn collect(&self, families: &mut Families) {
        self.components.collect(families);
        events::collect(&self.events, families);
        self.components.backends().websockets.collect(families);
        if let Some(telemetry) = &self.telemetry {
            telemetry.collect(families);
        }
    }
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
        let app = release.app.clone();
        let components = Arc::new(Components::new(engine, release, config)?);
        let mut index = components.index();
        let topology =
            &events::topology(&app, &index, components.backends(), config.telemetry.clone())?;
        let setting = Setting { app: &app, components: &index, topology, config };
        let events = events::open(&setting, components.backends())?;
        let metrics: Arc<[_]> = events.iter().flat_map(EventTriggers::metrics).collect();
        index.know_sources(metrics.clone());
        let mut triggers = Vec::new();
        let setting = Setting { app: &app, components: &index, topology, config };
        for kind in TRIGGERS {
            triggers.extend((kind.start)(&setting)?);
        }
        triggers.extend(events.map(|events| Box::new(events) as Box<dyn Trigger>));
        let telemetry = config.telemetry.clone();
        let facts = Facts { components, telemetry, events: metrics };
        let scrape = Scrape::bind(&config.metrics_listen, Arc::new(facts.clone()))?;
        Ok(Self { facts, triggers, scrape })
    }

    /// Loads every component now instead of with its first event, and tells about each before it
    /// starts. A component that cannot be loaded does not keep the others from it.
    pub fn preload(&self, starting: impl FnMut(&str)) -> Vec<Result<Loaded, ActivateError>> {
        self.facts.components.preload(starting)
    }

    /// Whether anything can wake a component.
    pub fn is_woken(&self) -> bool {
        !self.triggers.is_empty()
    }

    /// What wakes which component, a line each, for people, and where metrics are.
    pub fn describe(&self) -> Vec<String> {
        let triggers = self.triggers.iter().flat_map(|trigger| trigger.describe());
        triggers.chain(self.scrape.iter().flat_map(Scrape::describe)).collect()
    }

    /// The URL that the app's routes are under, if it has any and they are reached by TCP.
    pub fn url(&self) -> Option<String> {
        self.triggers.iter().find_map(|trigger| trigger.url())
    }

    /// Serves until the shutdown is over. It must not be called on a thread of an asynchronous
    /// runtime: triggers have threads and runtimes of their own.
    ///
    /// # Errors
    /// The first trigger that could not go on; the others are ended.
    pub fn run(self, shutdown: Shutdown) -> Result<Outcome, ServeError> {
        let Self { facts, triggers, scrape } = self;
        let exporting = match &facts.telemetry {
            Some(exported) => {
                Some(exported.start(Arc::new(facts.clone())).map_err(ServeError::Start)?)
            }
            None => None,
        };
        let outcome = Self::serve(&facts.components, triggers, scrape, &shutdown);
        // When nothing more comes to be told.
        if let Some(exporting) = exporting
            && !exporting.stop(LAST_EXPORT)
        {
            tracing::warn!(target: "dayfly::telemetry", "ended before all was exported");
        }
        outcome
    }

    fn serve(
        components: &Components,
        triggers: Vec<Box<dyn Trigger>>,
        scrape: Option<Scrape>,
        shutdown: &Shutdown,
    ) -> Result<Outcome, ServeError> {
        thread::scope(|scope| {
            scope.spawn(|| components.keep());
            let told = scrape.map(|scrape| {
                let shutdown = shutdown.clone();
                scope.spawn(move || scrape.run(shutdown))
            });
            // However this ends, or the scope would wait for it.
            let _end = Ending(components);
            let running: Vec<_> = triggers
                .into_iter()
                .map(|trigger| {
                    let shutdown = shutdown.clone();
                    scope.spawn(move || {
                        let outcome = trigger.run(shutdown.clone());
                        // An app that only half serves is worse than one that ends and says why.
                        let failed = |outcome: &Outcome| outcome.status != 0;
                        if outcome.as_ref().map_or(true, failed) {
                            shutdown.start();
                        }
                        outcome
                    })
                })
                .collect();
            let (mut unfinished, mut status) = (0, 0);
            for trigger in running {
                let outcome = trigger.join().map_err(|_| ServeError::Thread)??;
                unfinished += outcome.unfinished;
                status = if status == 0 { outcome.status } else { status };
            }
            // What only tells of the others ends with them.
            shutdown.start();
            if let Some(told) = told {
                told.join().map_err(|_| ServeError::Thread)??;
            }
            Ok(Outcome { unfinished, status })
        })
    }
}

/// Lets the keeper of components end when it is dropped.
struct Ending<'a>(&'a Components);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
