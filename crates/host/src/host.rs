//! The host of one app: its components, and the triggers that wake them.

use std::thread;

use dayfly_engine::Engine;

use crate::dispatch::{ActivateError, Components, Loaded};
use crate::release::Release;
use crate::triggers::{TRIGGERS, Trigger};
use crate::{Outcome, ServeError, ServerConfig, Shutdown};

/// What a host is told beyond its release.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// How the HTTP trigger listens.
    pub http: ServerConfig,
    /// How many instances may run at once, of all components together.
    pub max_instances: u32,
}

/// An app that is ready to be woken.
pub struct Host {
    components: Components,
    triggers: Vec<Box<dyn Trigger>>,
}

impl Host {
    /// Honours the grants of a release and lets its triggers listen; nothing is served yet.
    ///
    /// # Errors
    /// If a grant cannot be honoured, an address is taken, or a component has a shape that no
    /// trigger can wake.
    pub fn activate(
        engine: &Engine,
        mut release: Release,
        config: &HostConfig,
    ) -> Result<Self, ActivateError> {
        let components =
            Components::activate(engine, &mut release, config.max_instances, config.http.max_lag)?;
        let mut triggers = Vec::new();
        for kind in TRIGGERS {
            triggers.extend((kind.start)(&release.app, &components, config)?);
        }
        Ok(Self { components, triggers })
    }

    /// Loads every component now instead of with its first event, and tells about each before it
    /// starts.
    ///
    /// # Errors
    /// The first component that does not compile or link.
    pub fn preload(&self, starting: impl FnMut(&str)) -> Result<Vec<Loaded>, ActivateError> {
        self.components.preload(starting)
    }

    /// Whether anything can wake a component.
    pub fn is_woken(&self) -> bool {
        !self.triggers.is_empty()
    }

    /// What wakes which component, a line each, for people.
    pub fn describe(&self) -> Vec<String> {
        self.triggers.iter().flat_map(|trigger| trigger.describe()).collect()
    }

    /// Serves until the shutdown is over. It must not be called on a thread of an asynchronous
    /// runtime: triggers have threads and runtimes of their own.
    ///
    /// # Errors
    /// The first trigger that could not go on; the others are ended.
    pub fn run(self, shutdown: Shutdown) -> Result<Outcome, ServeError> {
        thread::scope(|scope| {
            let running: Vec<_> = self
                .triggers
                .into_iter()
                .map(|trigger| {
                    let shutdown = shutdown.clone();
                    scope.spawn(move || {
                        let outcome = trigger.run(shutdown.clone());
                        // An app that only half serves is worse than one that ends and says why.
                        if outcome.is_err() {
                            shutdown.start();
                        }
                        outcome
                    })
                })
                .collect();
            let mut unfinished = 0;
            for trigger in running {
                unfinished += trigger.join().map_err(|_| ServeError::Thread)??.unfinished;
            }
            Ok(Outcome { unfinished })
        })
    }
}
