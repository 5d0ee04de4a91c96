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
mod intake;
mod keep;
mod known;
mod loading;
mod message;
mod meter;
mod once;
mod places;
mod quota;
mod residency;
mod resources;
mod runner;
mod spin_http;
mod turns;

use std::collections::HashMap;
use std::sync::Arc;

use dayfly_capabilities::Backends;
use dayfly_capabilities::http::Internal;
use dayfly_capabilities::websocket::Hub;
use dayfly_model::{App, ComponentId, Executor, Middleware};
use dayfly_telemetry::metrics::{self, Families, Value};
use dayfly_telemetry::{ComponentMetrics, UsageCounters};

use crate::release::Release;
use crate::rollout::AppKey;
use admission::{Admission, Ground};
#[cfg(fuzzing)]
pub use cgi::cgi_head;
use component::Bounds;
pub use component::{ActivateError, Loaded, serves_shape};
pub(crate) use component::{Arrival, ComponentHost, RequestBody};
pub(crate) use deliver::{Reply, Undelivered, content_type};
use loading::Shared;
pub use loading::WORTH_A_BASELINE;
pub(crate) use loading::on_thread;
pub(crate) use once::Ended;
pub(crate) use quota::admit;
pub use residency::ResidencyConfig;
pub(crate) use resources::{Lasting, Resources, calls};

/// The components of one release of an app that its triggers wake.
pub(crate) struct Components {
    hosts: Vec<Arc<ComponentHost>>,
    shared: Arc<Shared>,
}

/// A tenant that is here has its share of the node, whether any of its apps is awake or not: what others may
/// take depends on how many there are, and the last places are kept for those that have none.
pub(crate) struct Presence {
    _ground: Ground,
}

/// Components by what triggers name.
pub(crate) struct Index<'a> {
    hosts: HashMap<(&'a ComponentId, &'a Executor, &'a [Middleware]), &'a Arc<ComponentHost>>,
    backends: &'a Backends,
}

impl Components {
    /// The components of a release. Nothing of them is opened yet: their first event does that, or
    /// [`Self::preload`].
    pub(crate) fn new(
        resources: &Arc<Resources>,
        release: Release,
        owner: Option<&AppKey>,
        lasting: &mut Lasting,
    ) -> Result<Self, ActivateError> {
        let Release { app, images, backends, usage } = release;
        let shared = Arc::new(Shared {
            resources: resources.clone(),
            app,
            backends,
            usage,
            owner: owner.cloned(),
        });
        let (count, ground) = (images.len(), resources.ground(shared.backends.account.as_ref()));
        let hosts = images.into_iter().map(|image| {
            let component = shared
                .app
                .components
                .get(&image.component)
                .ok_or_else(|| ActivateError::UnknownComponent(image.component.to_string()))?;
            let limits = component.limits.clone();
            let admission = resources.admission(limits.concurrency, count, &ground);
            let (shares, metrics) = resources.lasting(lasting, &image.component, &ground);
            let bounds =
                Bounds { limits, admission, max_wait: resources.max_wait(&ground), shares };
            Ok(Arc::new(ComponentHost::new(&shared, image, bounds, metrics)))
        });
        let mut hosts = hosts.collect::<Result<Vec<_>, ActivateError>>()?;
        // They took the place of the images, which are larger.
        hosts.shrink_to_fit();
        Ok(Self { hosts, shared })
    }

    /// That the app's tenant is here, as long as this is kept.
    pub(crate) fn presence(&self) -> Presence {
        let account = self.shared.backends.account.as_ref();
        Presence { _ground: self.shared.resources.ground(account) }
    }

    /// The app.
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.shared.app
    }

    /// What stands behind the app.
    pub(crate) fn backends(&self) -> &Arc<Backends> {
        &self.shared.backends
    }

    /// Where requests are counted that none of them gets.
    pub(crate) fn usage(&self) -> Option<&Arc<UsageCounters>> {
        self.shared.usage.as_ref()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.hosts.len()
    }

    /// The name of each.
    pub(crate) fn names(&self) -> impl Iterator<Item = Arc<str>> {
        self.hosts.iter().map(|host| host.metrics.component().clone())
    }

    /// For those who look for many of them.
    pub(crate) fn index(&self) -> Index<'_> {
        let hosts = self.hosts.iter().map(|host| (host.is(), host)).collect();
        Index { hosts, backends: self.backends() }
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

    /// Lets none of them take memory any more, beside what still runs.
    pub(crate) fn leave(&self) {
        self.shared.resources.residency.remove(&self.hosts);
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
}

/// Where an app, or a node, has more components, those that were never asked for are left out of what
/// is told: there may be tens of thousands.
pub(crate) const FEW_COMPONENTS: usize = 256;

/// Which components are told of.
pub(crate) struct Telling {
    /// Whether those are, too, that were never asked for.
    pub(crate) untouched: bool,
    /// How many more may be.
    pub(crate) room: usize,
    /// How many are left out for want of room.
    pub(crate) left_out: u64,
}

impl Telling {
    /// Takes room for one more, or counts that there is none.
    fn has_room(&mut self) -> bool {
        let left = self.room.checked_sub(1);
        self.left_out += u64::from(left.is_none());
        self.room = left.unwrap_or(0);
        left.is_some()
    }
}

/// Adds what is counted of an app's components, of whichever of its releases they are.
pub(crate) fn collect<'a>(
    releases: impl IntoIterator<Item = &'a Components>,
    telling: &mut Telling,
    families: &mut Families,
) {
    let mut hosts: Vec<&Arc<ComponentHost>> = Vec::new();
    let mut few = telling.untouched;
    for components in releases {
        few &= components.hosts.len() <= FEW_COMPONENTS;
        hosts.extend(&components.hosts);
    }
    hosts.sort_by_key(|host| host.name());
    // One component may be called in several ways.
    for hosts in hosts.chunk_by(|one, other| one.name() == other.name()) {
        let metrics = &hosts[0].metrics;
        if !few && !metrics.is_touched() {
            continue;
        }
        if !telling.has_room() {
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
    families.add(&metrics::COMPONENTS, &[], Value::Integer(hosts.len() as u64));
}

/// The same of an app whose components nobody has asked for, by their names.
pub(crate) fn collect_untouched(
    names: &[Arc<str>],
    telling: &mut Telling,
    families: &mut Families,
) {
    families.add(&metrics::COMPONENTS, &[], Value::Integer(names.len() as u64));
    if !telling.untouched || names.len() > FEW_COMPONENTS {
        return;
    }
    let mut names: Vec<_> = names.iter().collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        if !telling.has_room() {
            continue;
        }
        ComponentMetrics::new(name.clone()).collect(families);
        let labels = [("component", &**name)];
        families.add(&metrics::INSTANCES, &labels, Value::Integer(0));
        families.add(&metrics::WAITING, &labels, Value::Integer(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_beyond_the_bound_are_counted_and_not_told_of() {
        let mut telling = Telling { untouched: true, room: 2, left_out: 0 };
        assert_eq!((0..5).filter(|_| telling.has_room()).count(), 2);
        assert_eq!((telling.room, telling.left_out), (0, 3));
    }
}
