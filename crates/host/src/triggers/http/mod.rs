//! The HTTP trigger: the routes that lead an app's requests to components, or into queues.

mod calls;
mod enqueue;
pub(crate) mod headers;
mod spans;
mod websocket;
mod well_known;

use std::sync::Arc;

use dayfly_capabilities::{Account, Behind};
use dayfly_model::route::{Route, RouteTable};
use dayfly_model::{Executor, HttpTarget, HttpTrigger, StaticResponse, TriggerKind};
use dayfly_telemetry::metrics::edge;
use dayfly_telemetry::trace::Span;
use dayfly_telemetry::{Status, Telemetry, UsageCounters};
use http_body::Body as _;
use hyper::ext::Protocol;

use super::Setting;
use crate::dispatch::{ActivateError, Arrival, ComponentHost, RequestBody, admit};
use crate::events::vouched;
use crate::{Answered, Body, ClientBody, Connection, EdgeError, Problem, error};
use calls::Calls;
use enqueue::Enqueue;
use headers::RouteHeaders;
use websocket::Websockets;
use well_known::AppFacts;

/// Its name behind `trigger.` in the manifest.
pub(super) const NAME: &str = "http";

/// Leads an app's requests to what answers them.
pub(crate) struct Router {
    app: AppFacts,
    routes: RouteTable<Target>,
    telemetry: Option<Arc<Telemetry>>,
    /// Where requests are counted that no component gets.
    usage: Option<Arc<UsageCounters>>,
    /// What its tenant may take, where there are several.
    account: Option<Arc<Account>>,
}

/// What answers on a route.
enum Target {
    Component { host: Arc<ComponentHost>, executor: Executor, headers: RouteHeaders },
    Websockets { route: Arc<Websockets>, headers: RouteHeaders },
    Static(StaticResponse),
    Queue { name: String, enqueue: Enqueue },
}

impl Target {
    fn new(
        (id, trigger): (&str, &HttpTrigger),
        route: &Route,
        setting: &Setting<'_>,
    ) -> Result<Self, ActivateError> {
        let Setting { components, topology, telemetry, activation, .. } = *setting;
        let headers = RouteHeaders::new(route);
        Ok(match &trigger.target {
            HttpTarget::Static(response) => Self::Static(response.clone()),
            HttpTarget::Queue(queue) => Self::Queue {
                name: format!("queue {queue}"),
                enqueue: Enqueue::new(queue, components.backends().queues.clone()),
            },
            HttpTarget::Component { component, executor } => {
                let host = components.find(component, executor, &trigger.middleware)?;
                let Some(websocket) = trigger.websocket.clone() else {
                    return Ok(Self::Component { host, executor: executor.clone(), headers });
                };
                let (hub, topology) = (components.websockets().clone(), topology.clone());
                let (outlet, telemetry) = (topology.outlet(id), telemetry.cloned());
                let route = Websockets::new(
                    websocket,
                    host,
                    (hub, activation),
                    (topology, outlet),
                    telemetry,
                );
                Self::Websockets { route: Arc::new(route), headers }
            }
        })
    }

    fn name(&self) -> &str {
        match self {
            Self::Component { host, .. } => host.name(),
            Self::Websockets { route, .. } => route.host().name(),
            Self::Static(_) => "(static response)",
            Self::Queue { name, .. } => name,
        }
    }
}

impl Router {
    /// Builds the route table of an app; `None` if it has no route that clients reach. Its components
    /// reach one another from now on.
    pub(crate) fn new(setting: &Setting<'_>) -> Result<Option<Arc<Self>>, ActivateError> {
        let Setting { app, components, telemetry, .. } = *setting;
        let mut routes = Vec::new();
        for trigger in &app.triggers {
            let TriggerKind::Http(http) = &trigger.kind else { continue };
            // A private one has no route: only other components reach it.
            if let Some(route) = &http.route {
                routes.push((route.clone(), Target::new((&trigger.id, http), route, setting)?));
            }
        }
        let is_private = routes.is_empty();
        let routes = RouteTable::new(routes)
            .map_err(|duplicate| ActivateError::DuplicateRoute(duplicate.to_string()))?;
        let facts = AppFacts {
            name: app.name.clone(),
            version: app.version.clone(),
            sources: setting.sources.clone(),
        };
        let telemetry = telemetry.cloned();
        let (usage, account) = (setting.usage.cloned(), components.backends().account.clone());
        let router = Self { app: facts, routes, telemetry: telemetry.clone(), usage, account };
        let router = Arc::new(router);
        let mut calls = Calls::new(app, components, telemetry)?;
        if !is_private {
            calls.lead_to(&router, setting.url);
        }
        components.internal().connect(Arc::new(calls));
        Ok((!is_private).then_some(router))
    }

    /// Which route leads where under a URL, a line each, for people.
    pub(crate) fn describe(&self, url: &str) -> impl Iterator<Item = String> {
        self.routes.iter().map(move |(route, target)| {
            let path = route.full();
            let path = if path.is_empty() { "/" } else { &path };
            format!("{url}{path}  {}", target.name())
        })
    }

    /// How many WebSockets there are.
    pub(crate) fn websockets(&self) -> usize {
        let open = |(_, target): (&Route, &Target)| match target {
            Target::Websockets { route, .. } => route.open(),
            _ => 0,
        };
        self.routes.iter().map(open).sum()
    }

    /// Looks at a client's request: what it has behind it, or the answer to one that its tenant may not
    /// make now.
    pub(crate) fn receive(
        &self,
        request: &mut http::Request<ClientBody>,
    ) -> Result<Behind, Box<http::Response<Body>>> {
        if let Err(over) = admit(self.account.as_ref()) {
            return Err(Box::new(self.own(EdgeError::over(&over).respond())));
        }
        headers::hide_internal_host(request.headers_mut());
        headers::join_cookies(request.headers_mut());
        // What comes back from an output of ours goes on counting.
        let hops = vouched(request.headers_mut());
        Ok(Behind { depth: 0, hops, cpu: None })
    }

    /// Begins a request's span, if anything is exported. `to` is its route and component.
    fn span<B>(
        &self,
        request: &http::Request<B>,
        connection: &Connection,
        to: Option<(&str, &str)>,
    ) -> Option<Span> {
        let telemetry = self.telemetry.as_ref()?;
        Some(spans::begin(telemetry, request, connection, to))
    }

    /// Answers a request that something led to.
    pub(crate) async fn answer<B: RequestBody>(
        &self,
        mut request: http::Request<B>,
        connection: &Connection,
        behind: Behind,
    ) -> http::Response<Body> {
        let uri = request.uri().clone();
        // Nothing but a WebSocket goes on with a stream of HTTP/2.
        let wants_stream = request.extensions().get::<Protocol>().is_some();
        if !wants_stream && let Some(answer) = well_known::answer(&self.app, uri.path()) {
            return self.own(counted(answer));
        }
        let Some(found) = self.routes.find(uri.path()) else {
            let span = self.span(&request, connection, None);
            return self.own(spans::ended(span, error::not_found()));
        };
        if wants_stream && !matches!(found.value, Target::Websockets { .. }) {
            let span = self.span(&request, connection, None);
            return self.own(spans::ended(span, EdgeError::new(Problem::Malformed).respond()));
        }
        match found.value {
            Target::Static(response) => {
                let span = self.span(&request, connection, None);
                self.own(spans::ended(span, counted(headers::static_response(response))))
            }
            Target::Queue { enqueue, .. } => {
                let span = self.span(&request, connection, None);
                let place = span.as_ref().map(Span::context);
                let answer = enqueue.answer(request, place, behind.hops).await;
                self.own(spans::ended(span, counted(answer)))
            }
            Target::Component { host, executor, headers } => {
                let span = self.span(&request, connection, Some((headers.route(), host.name())));
                headers.apply(&mut request, connection, &found.params, found.rest);
                let arrival = Arrival { connection, executor, behind, event: None };
                host.handle(request, arrival, span).await
            }
            Target::Websockets { route, headers } => {
                let to = Some((headers.route(), route.host().name()));
                let span = self.span(&request, connection, to);
                headers.apply(&mut request, connection, &found.params, found.rest);
                let has_body = !request.body().is_end_stream();
                let request = request.map(drop);
                counted(Box::pin(route.answer((&request, has_body), connection, span)).await)
            }
        }
    }

    /// An answer that no component gave, counted by the release where that is asked for.
    fn own(&self, answer: http::Response<Body>) -> http::Response<Body> {
        if let Some(usage) = &self.usage {
            let fault = answer.extensions().get::<Answered>().and_then(|answered| answered.fault);
            usage.answered(Status::of(answer.status().as_u16()), fault);
            let bytes = answer.body().size_hint().lower();
            usage.handed_over(bytes);
        }
        answer
    }
}

/// An answer that no component gave; errors are counted where they are made.
fn counted(answer: http::Response<Body>) -> http::Response<Body> {
    if answer.extensions().get::<Answered>().is_none() {
        edge::count(answer.status().as_u16(), None);
    }
    answer
}
