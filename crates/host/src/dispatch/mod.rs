//! From an event to its answer: admission, residency, a fresh instance, the guest. Triggers call
//! this; it knows no listener and no route.

mod admission;
mod body;
mod cgi;
mod component;
mod failure;
mod guest;
mod http02;
mod http03;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use dayfly_capabilities::{Grants, Linkers};
use dayfly_engine::Engine;
use dayfly_model::{ComponentId, Executor};

use crate::release::Release;
use admission::Node;
#[cfg(fuzzing)]
pub use cgi::cgi_head;
pub(crate) use component::ComponentHost;
pub use component::{ActivateError, Loaded, serves_shape};

/// The components of one app that its triggers wake.
pub(crate) struct Components(Vec<Arc<ComponentHost>>);

impl Components {
    /// Honours the grants of a release's components; their code is loaded with their first event,
    /// or by [`Self::preload`]. `max_instances` bounds the instances of all of them together,
    /// `max_wait` what a component's requests wait for a processor.
    pub(crate) fn activate(
        engine: &Engine,
        release: &mut Release,
        max_instances: u32,
        max_wait: Duration,
    ) -> Result<Self, ActivateError> {
        let linkers = Arc::new(Linkers::default());
        let node = Node::new(max_instances);
        // One of several leaves the others a quarter.
        let alone = release.images.len() == 1;
        let most = if alone { u32::MAX } else { max_instances.saturating_mul(3).div_ceil(4) };
        let Release { app, images, variables, state } = release;
        let hosts = std::mem::take(images).into_iter().map(|image| {
            let component = app
                .components
                .get(&image.component)
                .ok_or_else(|| ActivateError::UnknownComponent(image.component.to_string()))?;
            let grants = Grants::prepare(app, component, variables, state, image.log.clone())?;
            ComponentHost::new(engine, &linkers, image, Arc::new(grants), &node, most, max_wait)
                .map(Arc::new)
        });
        hosts.collect::<Result<_, _>>().map(Self)
    }

    /// The component that a trigger means.
    pub(crate) fn find(
        &self,
        component: &ComponentId,
        executor: &Executor,
    ) -> Result<Arc<ComponentHost>, ActivateError> {
        self.0
            .iter()
            .find(|host| host.serves(component, executor))
            .cloned()
            .ok_or_else(|| ActivateError::UnknownComponent(component.to_string()))
    }

    /// Loads every component, one after the other, and tells about each before it starts.
    pub(crate) fn preload(
        &self,
        mut starting: impl FnMut(&str),
    ) -> Result<Vec<Loaded>, ActivateError> {
        let load = |host: &Arc<ComponentHost>| {
            starting(host.name());
            host.load_blocking()
        };
        self.0.iter().map(load).collect()
    }
}
