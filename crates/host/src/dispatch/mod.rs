//! From a request to its answer: route, admission, residency, a fresh instance, the guest.

mod admission;
mod body;
mod cgi;
mod component;
mod failure;
mod guest;
mod headers;
mod http02;
mod http03;
mod well_known;

use std::sync::Arc;

use dayfly_capabilities::{Grants, Linkers};
use dayfly_engine::Engine;
use dayfly_model::route::RouteTable;
use dayfly_model::{Executor, HttpTarget, StaticResponse, TriggerKind};
use hyper::body::Incoming;

use crate::release::Release;
use crate::{Body, Connection, Handler};
use admission::Admission;
use component::ComponentHost;
pub use component::{ActivateError, Loaded};
use headers::RouteHeaders;
use well_known::AppFacts;

/// Dispatches the HTTP requests of one app.
pub struct Dispatcher {
    app: AppFacts,
    routes: RouteTable<Target>,
    components: Vec<Arc<ComponentHost>>,
}

/// What answers on a route.
enum Target {
    Component { host: Arc<ComponentHost>, executor: Executor, headers: RouteHeaders },
    Static(StaticResponse),
}

impl Dispatcher {
    /// Makes a release ready to serve; its components are loaded with their first request, or by
    /// [`Self::preload`]. `max_instances` bounds the instances of all components together.
    ///
    /// # Errors
    /// If a grant cannot be honoured or a component has a shape that HTTP cannot wake.
    pub fn activate(
        engine: &Engine,
        release: Release,
        max_instances: u32,
    ) -> Result<Self, ActivateError> {
        let Release { app, images, variables, state } = release;
        let linkers = Arc::new(Linkers::default());
        let node = Admission::node(max_instances);
        let mut components = Vec::new();
        for image in images {
            let component = app
                .components
                .get(&image.component)
                .ok_or_else(|| ActivateError::UnknownComponent(image.component.to_string()))?;
            let grants = Grants::prepare(&app, component, &variables, &state, image.log.clone())?;
            let host = ComponentHost::new(engine, &linkers, image, Arc::new(grants), &node)?;
            components.push(Arc::new(host));
        }
        let mut routes = Vec::new();
        for trigger in &app.triggers {
            let TriggerKind::Http(http) = &trigger.kind else { continue };
            let Some(route) = &http.route else { continue };
            let target = match &http.target {
                HttpTarget::Static(response) => Target::Static(response.clone()),
                HttpTarget::Component { component, executor } => {
                    let host = components
                        .iter()
                        .find(|host| host.serves(component, executor))
                        .ok_or_else(|| ActivateError::UnknownComponent(component.to_string()))?;
                    Target::Component {
                        host: host.clone(),
                        executor: executor.clone(),
                        headers: RouteHeaders::new(route),
                    }
                }
            };
            routes.push((route.clone(), target));
        }
        let routes = RouteTable::new(routes)
            .map_err(|duplicate| ActivateError::DuplicateRoute(duplicate.to_string()))?;
        let app = AppFacts { name: app.name, version: app.version };
        Ok(Self { app, routes, components })
    }

    /// Loads every component, one after the other, and tells about each before it starts.
    ///
    /// # Errors
    /// The first component that does not compile or link.
    pub fn preload(&self, mut starting: impl FnMut(&str)) -> Result<Vec<Loaded>, ActivateError> {
        self.components
            .iter()
            .map(|host| {
                starting(host.name());
                host.load_blocking()
            })
            .collect()
    }

    async fn answer(
        &self,
        mut request: http::Request<Incoming>,
        connection: &Connection,
    ) -> http::Response<Body> {
        let uri = request.uri().clone();
        if let Some(answer) = well_known::answer(&self.app, uri.path()) {
            return answer;
        }
        let Some(found) = self.routes.find(uri.path()) else {
            return crate::error::not_found();
        };
        match found.value {
            Target::Static(response) => headers::static_response(response),
            Target::Component { host, executor, headers } => {
                headers.apply(&mut request, connection, &found.params, found.rest);
                host.handle(request, connection, executor).await
            }
        }
    }
}

impl Handler for Dispatcher {
    async fn handle(
        &self,
        request: http::Request<Incoming>,
        connection: &Arc<Connection>,
    ) -> http::Response<Body> {
        self.answer(request, connection).await
    }
}
