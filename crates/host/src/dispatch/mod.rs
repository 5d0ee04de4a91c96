//! From an event to its answer: admission, residency, a fresh instance, the guest. Triggers call
//! this; it knows no listener and no route.

mod admission;
mod body;
mod cgi;
mod component;
mod deliver;
mod failure;
mod guest;
mod http02;
mod http03;
mod keep;
mod known;
mod loading;
mod message;
mod meter;
mod once;
mod residency;
mod runner;
mod spin_http;
mod turns;

use std::collections::HashMap;
use std::sync::Arc;

use dayfly_capabilities::http::Internal;
use dayfly_capabilities::websocket::Hub;
use dayfly_capabilities::{Backends, Descriptors, Linkers, Share};
use dayfly_engine::Engine;
use dayfly_model::{Component, ComponentId, Executor, Middleware};
use dayfly_telemetry::metrics::{self, Families, Value};
use dayfly_telemetry::{ComponentMetrics, Source};

use crate::events::TriggerMetrics;
use crate::host::HostConfig;
use crate::release::Release;
use admission::{Admission, Node};
#[cfg(fuzzing)]
pub use cgi::cgi_head;
use component::Bounds;
pub use component::{ActivateError, Loaded, serves_shape};
pub(crate) use component::{Arrival, ComponentHost, RequestBody};
pub(crate) use deliver::{Reply, Undelivered, content_type, whole_answer};
use keep::Room;
use loading::Shared;
pub(crate) use once::Ended;
use residency::Residency;
pub use residency::ResidencyConfig;

/// The components of one app that its triggers wake.
pub(crate) struct Components {
    hosts: Vec<Arc<ComponentHost>>,
    residency: Arc<Residency>,
    shared: Arc<Shared>,
}

/// Components by what triggers name.
pub(crate) struct Index<'a> {
    hosts: HashMap<(&'a ComponentId, &'a Executor, &'a [Middleware]), &'a Arc<ComponentHost>>,
    backends: &'a Backends,
    sources: Arc<[Arc<TriggerMetrics>]>,
}

impl Components {
    /// The components of a release. Nothing of them is opened yet: their first event does that, or
    /// [`Self::preload`].
    pub(crate) fn new(
        engine: &Engine,
        release: Release,
        config: &HostConfig,
    ) -> Result<Self, ActivateError> {
        let residency = Residency::new(config.residency);
        let Release { app, images, backends } = release;
        let calls = |component: &Component| component.allowed_outbound_hosts.names_components();
        let node = match app.components.values().any(calls) {
            true => Node::of_callers(config.max_instances),
            false => Node::new(config.max_instances),
        };
        // One of several leaves the others a quarter.
        let alone = images.len() == 1;
        let share = config.max_instances.saturating_mul(3).div_ceil(4);
        let most = if alone { u32::MAX } else { share };
        let shared = Arc::new(Shared {
            engine: engine.clone(),
            linkers: Linkers::default(),
            baseline_linkers: Linkers::default(),
            app,
            backends,
            residency: residency.clone(),
            room: Arc::new(Room::new(engine.config().kept_instances)),
        });
        let descriptors = Descriptors::new(config.max_descriptors);
        // A component that is called in several ways is one.
        let mut shares: HashMap<ComponentId, (Share, Arc<ComponentMetrics>)> = HashMap::new();
        let hosts = images.into_iter().map(|image| {
            let component = shared
                .app
                .components
                .get(&image.component)
                .ok_or_else(|| ActivateError::UnknownComponent(image.component.to_string()))?;
            let limits = component.limits.clone();
            let admission = Admission::new(limits.concurrency.min(most), node.clone());
            let max_wait = config.http.max_lag;
            let (share, metrics) = shares.entry(image.component.clone()).or_insert_with(|| {
                let metrics = ComponentMetrics::new(image.component.0.as_str());
                (descriptors.share(), Arc::new(metrics))
            });
            let bounds = Bounds { limits, admission, max_wait, descriptors: share.clone() };
            Ok(Arc::new(ComponentHost::new(&shared, image, bounds, metrics.clone())))
        });
        let hosts = hosts.collect::<Result<_, ActivateError>>()?;
        Ok(Self { hosts, residency, shared })
    }

    /// What stands behind the app.
    pub(crate) fn backends(&self) -> &Backends {
        &self.shared.backends
    }

    /// For those who look for many of them.
    pub(crate) fn index(&self) -> Index<'_> {
        let hosts = self.hosts.iter().map(|host| (host.is(), host)).collect();
        Index { hosts, backends: self.backends(), sources: Arc::default() }
    }

    /// Loads every component, one after the other, and tells about each before it starts.
    pub(crate) fn preload(
        &self,
        mut starting: impl FnMut(&str),
    ) -> Vec<Result<Loaded, ActivateError>> {
        let load = |host: &Arc<ComponentHost>| {
            starting(host.name());
            host.preload()
        };
        self.hosts.iter().map(load).collect()
    }

    /// Sends away what nobody asks for, on this thread, until [`Self::end`].
    pub(crate) fn keep(&self) {
        self.residency.keep();
    }

    /// Lets [`Self::keep`] return.
    pub(crate) fn end(&self) {
        self.residency.end();
    }
}

impl Index<'_> {
    /// The component that a trigger means.
    pub(crate) fn find(
        &self,
        component: &ComponentId,
        executor: &Executor,
        middleware: &[Middleware],
    ) -> Result<Arc<ComponentHost>, ActivateError> {
        self.hosts
            .get(&(component, executor, middleware))
            .map(|host| Arc::clone(host))
            .ok_or_else(|| ActivateError::UnknownComponent(component.to_string()))
    }

    /// The way of the components' calls of one another.
    pub(crate) fn internal(&self) -> &Internal {
        &self.backends.internal
    }

    /// The app's WebSockets.
    pub(crate) fn websockets(&self) -> &Arc<Hub> {
        &self.backends.websockets
    }

    /// What stands behind the app.
    pub(crate) fn backends(&self) -> &Backends {
        self.backends
    }

    /// Says what is counted of the sources of the app's events.
    pub(crate) fn know_sources(&mut self, sources: Arc<[Arc<TriggerMetrics>]>) {
        self.sources = sources;
    }

    /// What is counted of the sources of the app's events.
    pub(crate) fn sources(&self) -> Arc<[Arc<TriggerMetrics>]> {
        self.sources.clone()
    }
}

/// Of an app with more components, those that were never asked for are left out of what is told:
/// there may be tens of thousands.
const FEW_COMPONENTS: usize = 256;

impl Source for Components {
    fn collect(&self, families: &mut Families) {
        let few = self.hosts.len() <= FEW_COMPONENTS;
        let mut hosts: Vec<&Arc<ComponentHost>> = self.hosts.iter().collect();
        hosts.sort_by_key(|host| host.name());
        // One component may be called in several ways.
        for hosts in hosts.chunk_by(|one, other| one.name() == other.name()) {
            let metrics = &hosts[0].metrics;
            if !few && !metrics.is_touched() {
                continue;
            }
            metrics.collect(families);
            let sum = |of: fn(&Admission) -> u32| {
                hosts.iter().map(|host| u64::from(of(&host.admission))).sum()
            };
            let labels = [("component", &**metrics.component())];
            families.add(&metrics::INSTANCES, &labels, Value::Integer(sum(Admission::running)));
            families.add(&metrics::WAITING, &labels, Value::Integer(sum(Admission::waiting)));
        }
        families.add(&metrics::COMPONENTS, &[], Value::Integer(self.hosts.len() as u64));
        self.residency.collect(families);
    }
}
