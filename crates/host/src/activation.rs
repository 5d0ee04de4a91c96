//! One release of an app, ready to answer: its components, its routes, and where answers go.

use std::sync::Arc;

use dayfly_capabilities::queue::Owner;
use dayfly_telemetry::Telemetry;

use crate::dispatch::{ActivateError, Components, Lasting, Resources};
use crate::events::{self, Aim, Opened, Sources, Topology};
use crate::release::Release;
use crate::rollout::AppKey;
use crate::stay::Stay;
use crate::triggers::{Router, Setting};

/// A release that answers, or is about to.
pub(crate) struct Activation {
    /// No other activation of the node has it.
    number: u64,
    components: Components,
    topology: Arc<Topology>,
    router: Option<Arc<Router>>,
    /// One a core, if it has routes.
    stays: Box<[Arc<Stay>]>,
}

/// What a release is activated with.
pub(crate) struct Surroundings<'a> {
    pub(crate) resources: &'a Arc<Resources>,
    pub(crate) lasting: &'a mut Lasting,
    pub(crate) sources: &'a Arc<Sources>,
    pub(crate) telemetry: Option<&'a Arc<Telemetry>>,
    pub(crate) number: u64,
    /// Which app it is, where there are several.
    pub(crate) owner: Option<&'a AppKey>,
    /// Where its routes are reached.
    pub(crate) url: Option<&'a str>,
    pub(crate) max_websockets: usize,
    pub(crate) cores: usize,
}

impl Activation {
    /// Makes a release ready; nothing is served yet, and no component is opened.
    pub(crate) fn new(
        release: Release,
        surroundings: Surroundings<'_>,
    ) -> Result<Self, ActivateError> {
        let Surroundings { resources, lasting, sources, telemetry, number, url, .. } = surroundings;
        let owner = surroundings.owner;
        let components = Components::new(resources, release, owner, lasting)?;
        let (app, backends) = (components.app().clone(), components.backends().clone());
        let index = components.index();
        let topology = events::topology(&app, &index, &backends, telemetry.cloned())?;
        backends.websockets.bound(surroundings.max_websockets);
        let router = Router::new(&Setting {
            app: &app,
            components: &index,
            topology: &topology,
            telemetry,
            sources,
            activation: number,
            url,
            usage: components.usage(),
        })?;
        drop(index);
        let stays = router.iter().flat_map(|router| {
            std::iter::repeat_with(|| Stay::new(router)).take(surroundings.cores)
        });
        let stays = stays.collect();
        Ok(Self { number, components, topology, router, stays })
    }

    /// Opens the sources of its events; nothing is taken in yet.
    pub(crate) fn open_events(
        &self,
        (owner, waits): (Option<&Arc<Owner>>, bool),
        sources: &Sources,
    ) -> Result<Opened, ActivateError> {
        let (app, backends) = (self.components.app(), self.components.backends());
        let index = self.components.index();
        events::open((app, backends), &index, &self.topology, (owner, waits, sources))
    }

    /// Its components.
    pub(crate) const fn components(&self) -> &Components {
        &self.components
    }

    /// Its routes, if it has any.
    pub(crate) const fn router(&self) -> Option<&Arc<Router>> {
        self.router.as_ref()
    }

    /// The stays in it, by core.
    pub(crate) const fn stays(&self) -> &[Arc<Stay>] {
        &self.stays
    }

    /// Asks the clients of its WebSockets to come again, to the release that follows it.
    pub(crate) fn send_away(&self) {
        if self.router.as_ref().is_some_and(|router| router.websockets() > 0) {
            self.components.backends().websockets.send_away(self.number);
        }
    }

    /// Ends the answers that are still being written.
    pub(crate) fn cut(&self) {
        self.stays.iter().for_each(|stay| stay.end());
    }

    /// Whether nothing runs in it any more: no request, no WebSocket, and no event on its way to one of
    /// `aims`, once no door leads to it.
    pub(crate) fn is_left(&self, aims: &[Arc<Aim>]) -> bool {
        self.stays.iter().all(|stay| Arc::strong_count(stay) == 1)
            && aims.iter().all(|aim| Arc::strong_count(aim) == 1)
            && self.router.as_ref().is_none_or(|router| router.websockets() == 0)
    }
}
