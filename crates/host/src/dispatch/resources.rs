//! What the components of all apps of a node share: the engine and what links code to it, memory,
//! places to run in, descriptors; and what of an app's components stays when a release of it follows
//! another.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dayfly_capabilities::{Descriptors, Linkers, Share};
use dayfly_engine::Engine;
use dayfly_model::{App, Component, ComponentId};
use dayfly_telemetry::ComponentMetrics;
use dayfly_telemetry::metrics::Families;

use super::admission::{Admission, Node};
use super::keep::Room;
use super::residency::Residency;
use crate::host::{Apps, HostConfig};

/// What the components of a node share.
pub(crate) struct Resources {
    pub(super) engine: Engine,
    pub(super) linkers: Linkers,
    /// For the code of the engine's baseline.
    pub(super) baseline_linkers: Linkers,
    pub(super) residency: Arc<Residency>,
    /// For instances that wait for another request.
    pub(super) room: Arc<Room>,
    /// How long what is ready may wait for a core.
    pub(super) max_wait: Duration,
    node: Arc<Node>,
    descriptors: Arc<Descriptors>,
    apps: Apps,
}

/// What stays of an app's components, whatever release they are of.
#[derive(Default)]
pub(crate) struct Lasting(HashMap<ComponentId, (Share, Arc<ComponentMetrics>)>);

impl Resources {
    pub(crate) fn new(engine: &Engine, config: &HostConfig) -> Arc<Self> {
        let node = match config.apps {
            Apps::One { calls: false } => Node::new(config.max_instances),
            Apps::One { calls: true } | Apps::Many => Node::of_callers(config.max_instances),
        };
        Arc::new(Self {
            engine: engine.clone(),
            linkers: Linkers::default(),
            baseline_linkers: Linkers::default(),
            residency: Residency::new(config.residency),
            room: Arc::new(Room::new(engine.config().kept_instances)),
            max_wait: config.http.max_lag,
            node,
            descriptors: Descriptors::new(config.max_descriptors),
            apps: config.apps,
        })
    }

    /// The bounds of a component of an app that has so many.
    pub(super) fn admission(&self, concurrency: u32, components: usize) -> Admission {
        let places = self.node.outside();
        let most = match self.apps {
            Apps::One { .. } if components == 1 => u32::MAX,
            // One of several leaves the others a quarter.
            Apps::One { .. } => places.saturating_mul(3).div_ceil(4),
            // Among the apps of strangers it has no more than that.
            Apps::Many => places.div_ceil(4),
        };
        Admission::new(concurrency.min(most), self.node.clone())
    }

    /// What an app's component of that id may hold open, and what is counted of it.
    pub(super) fn lasting(
        &self,
        lasting: &mut Lasting,
        id: &ComponentId,
    ) -> (Share, Arc<ComponentMetrics>) {
        let make = || (self.descriptors.share(), Arc::new(ComponentMetrics::new(id.0.as_str())));
        // A component that is called in several ways is one.
        lasting.0.entry(id.clone()).or_insert_with(make).clone()
    }

    /// Sends away what nobody asks for, on this thread, until [`Self::end`].
    pub(crate) fn keep(&self) {
        self.residency.keep();
    }

    /// Lets [`Self::keep`] return.
    pub(crate) fn end(&self) {
        self.residency.end();
    }

    /// Adds what is counted of all apps together.
    pub(crate) fn collect(&self, families: &mut Families) {
        self.residency.collect(families);
    }
}

/// Whether components of an app call one another.
pub(crate) fn calls(app: &App) -> bool {
    let calls = |component: &Component| component.allowed_outbound_hosts.names_components();
    app.components.values().any(calls)
}
