//! Requests of components to one another and to the app's own routes, in this process.
//!
//! The callee runs in a task of its own on its caller's core. Within its caller's poll it would wait
//! for turns that only its caller has, and its time would look like its caller's (decision 9).

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Weak};

use dayfly_capabilities::http::{Call, Callee, Calling, Services};
use dayfly_model::route::Route;
use dayfly_model::{App, Executor, HttpTarget, TriggerKind};
use dayfly_telemetry::Telemetry;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderValue, Request, Uri, Version};
use http_body_util::{BodyExt as _, Empty, Full};
use wasmtime_wasi_http::{Error, WasiBody};

use super::headers::{INTERNAL, RouteHeaders};
use super::{Router, spans};
use crate::dispatch::{ActivateError, Arrival, ComponentHost, Index};
use crate::task::{Relay, Task};
use crate::{Body, Connection, LocalAddr, Peer, Protocol, Scheme};

/// Where a caller seems to come from, as in Spin.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Whom a component can call.
pub(super) struct Calls {
    /// By id in lower case.
    services: HashMap<String, Arc<Service>>,
    router: Weak<Router>,
    /// The host of the app's own routes.
    app: HeaderValue,
    /// What stands for the connection that a call does not have.
    connection: Arc<Connection>,
    telemetry: Option<Arc<Telemetry>>,
}

/// A component that can be called.
struct Service {
    /// Weak, because a component has the way to those that it calls.
    host: Weak<ComponentHost>,
    executor: Executor,
    headers: RouteHeaders,
    authority: HeaderValue,
}

impl Calls {
    /// All components of an app that HTTP triggers name, as the first of them calls each.
    pub(super) fn new(
        app: &App,
        components: &Index<'_>,
        telemetry: Option<Arc<Telemetry>>,
    ) -> Result<Self, ActivateError> {
        let mut services = HashMap::new();
        for trigger in &app.triggers {
            let TriggerKind::Http(http) = &trigger.kind else { continue };
            let HttpTarget::Component { component, executor } = &http.target else { continue };
            let id = component.0.to_ascii_lowercase();
            if services.contains_key(&id) {
                continue;
            }
            let host = components.find(component, executor, &http.middleware)?;
            let service = Service::new(&id, &host, executor.clone());
            services.insert(id, Arc::new(service));
        }
        let local = LocalAddr::Tcp(NOWHERE);
        let peer = Peer::Tcp(NOWHERE);
        let connection = Connection::new(peer, local, Scheme::Http, Protocol::Http1, 0);
        let app = HeaderValue::from_static("localhost");
        let (router, connection) = (Weak::new(), Arc::new(connection));
        Ok(Self { services, router, app, connection, telemetry })
    }

    /// Lets requests to the app itself go to its routes. `url` is where others reach them.
    pub(super) fn lead_to(&mut self, router: &Arc<Router>, url: Option<&str>) {
        self.router = Arc::downgrade(router);
        let uri = url.and_then(|url| url.parse::<Uri>().ok());
        let host = uri.as_ref().and_then(Uri::authority).map(|authority| authority.as_str());
        if let Some(host) = host.and_then(|host| HeaderValue::from_str(host).ok()) {
            self.app = host;
        }
    }
}

impl Services for Calls {
    fn call(&self, call: Call) -> Option<Calling> {
        let Call { callee, mut request, behind } = call;
        let connection = self.connection.clone();
        match callee {
            Callee::Component(name) => {
                let service = self.services.get(&name)?.clone();
                let host = service.host.upgrade()?;
                let telemetry = self.telemetry.clone();
                Some(Box::pin(calling(async move {
                    let path = as_received(&mut request, &service.authority);
                    let to = Some((service.headers.route(), host.name()));
                    let span = telemetry.as_ref();
                    let span = span.map(|told| spans::begin(told, &request, &connection, to));
                    service.headers.apply(&mut request, &connection, &[], Some(&path));
                    let executor = &service.executor;
                    let connection = &connection;
                    let arrival = Arrival { connection, executor, behind, event: None };
                    host.handle(request, arrival, span).await
                })))
            }
            Callee::App => {
                let router = self.router.upgrade()?;
                as_received(&mut request, &self.app);
                Some(Box::pin(calling(
                    async move { router.answer(request, &connection, behind).await },
                )))
            }
        }
    }
}

impl Service {
    fn new(id: &str, host: &Arc<ComponentHost>, executor: Executor) -> Self {
        // As Spin has it: as if the component were on every path.
        let route = Route::parse("/...").unwrap_or_else(|_| unreachable!("a legal route"));
        let authority = HeaderValue::from_str(&format!("{id}{INTERNAL}"));
        Self {
            host: Arc::downgrade(host),
            executor,
            headers: RouteHeaders::new(&route),
            authority: authority.unwrap_or(HeaderValue::from_static("localhost")),
        }
    }
}

/// Makes a request look as a server receives it, and gives back its path.
fn as_received(request: &mut Request<WasiBody>, host: &HeaderValue) -> String {
    let target = request.uri().path_and_query().cloned();
    let target = target.map(Uri::from).unwrap_or_default();
    let path = target.path().to_owned();
    *request.uri_mut() = target;
    *request.version_mut() = Version::HTTP_11;
    request.headers_mut().insert(HOST, host.clone());
    path
}

/// Runs what answers a call in a task of its own, until its body is taken or nobody wants it.
async fn calling(
    answer: impl Future<Output = http::Response<Body>> + Send + 'static,
) -> Result<http::Response<WasiBody>, Error> {
    let (mut parts, body) =
        Task::spawn(answer).await.ok_or(Error::ConnectionTerminated)?.into_parts();
    let body = match body {
        Body::Empty => Empty::new().map_err(Error::from).boxed_unsync(),
        Body::Full(bytes) => {
            // What a server would tell.
            parts.headers.entry(CONTENT_LENGTH).or_insert_with(|| bytes.len().into());
            Full::new(bytes).map_err(Error::from).boxed_unsync()
        }
        stream @ Body::Stream(_) => {
            // Why it broke off is in the log.
            Relay::spawn(stream, || Error::HttpResponseIncomplete).boxed_unsync()
        }
    };
    Ok(http::Response::from_parts(parts, body))
}
