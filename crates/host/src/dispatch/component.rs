//! One component that serves requests: its bounds, its grants, and its code once it is resident.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use dayfly_capabilities::{GrantError, Grants, HostState, Linkers};
use dayfly_engine::{Code, Engine, EngineError, Origin};
use dayfly_model::{ComponentId, Executor, HandlerShape};
use http::{Method, Request};
use http_body::Body as _;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use thiserror::Error;
use tokio::sync::{OnceCell, oneshot};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

use super::admission::{Admission, Full, Node};
use super::failure::Failure;
use super::guest::{Answer, Guest, Terms, Work, respond};
use super::turns::Lane;
use super::{cgi, http02, http03};
use crate::release::Image;
use crate::{Answered, Body, Connection, ServeError};

/// Why an app could not be made ready to serve.
#[derive(Debug, Error)]
pub enum ActivateError {
    /// A trigger names a component that the release has no image of.
    #[error("the release has no component `{0}`")]
    UnknownComponent(String),
    /// Two triggers claim the same route.
    #[error("{0}")]
    DuplicateRoute(String),
    /// A trigger cannot listen.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A grant cannot be honoured.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// A component has a shape that this version does not serve.
    #[error("component `{component}` exports {shape}, which this version does not serve")]
    Unserved {
        /// The component.
        component: String,
        /// Its shape.
        shape: HandlerShape,
    },
    /// A component does not compile.
    #[error("failed to compile component `{component}`")]
    Compile {
        /// The component.
        component: String,
        /// What the engine said.
        source: EngineError,
    },
    /// A component's imports do not fit what this version defines.
    #[error("failed to link component `{component}`: {reason}")]
    Link {
        /// The component.
        component: String,
        /// What does not fit.
        reason: String,
    },
}

/// Whether this version can wake components of that shape.
pub fn serves_shape(shape: HandlerShape) -> bool {
    use HandlerShape as Shape;
    matches!(shape, Shape::Http02 | Shape::Http03 | Shape::Command02 | Shape::Command03)
}

/// What came of loading a component.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its id.
    pub component: Arc<str>,
    /// Whether it was compiled, and how long that took.
    pub origin: Origin,
}

pub(crate) struct ComponentHost {
    engine: Engine,
    linkers: Arc<Linkers>,
    image: Image,
    grants: Arc<Grants>,
    admission: Admission,
    max_wait: Duration,
    resident: OnceCell<Resident>,
}

/// A component whose code is mapped and linked.
struct Resident {
    code: Code,
    runner: Runner,
}

/// How a component of one shape is called.
#[derive(Clone)]
enum Runner {
    Http02(ProxyPre<HostState>),
    Http03(ServicePre<HostState>),
    Command02(CommandPre<HostState>),
    Command03(wasmtime_wasi::p3::bindings::CommandPre<HostState>),
}

impl ActivateError {
    /// What the user can do, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Serve(error) => error.hint(),
            _ => None,
        }
    }
}

impl ComponentHost {
    pub(super) fn new(
        engine: &Engine,
        linkers: &Arc<Linkers>,
        image: Image,
        grants: Arc<Grants>,
        node: &Arc<Node>,
        most: u32,
        max_wait: Duration,
    ) -> Result<Self, ActivateError> {
        if !serves_shape(image.shape) {
            let component = grants.component.to_string();
            return Err(ActivateError::Unserved { component, shape: image.shape });
        }
        Ok(Self {
            engine: engine.clone(),
            linkers: linkers.clone(),
            image,
            admission: Admission::new(grants.limits.concurrency.min(most), node.clone()),
            max_wait,
            grants,
            resident: OnceCell::new(),
        })
    }

    /// Whether this is the component that a trigger means.
    pub(super) fn serves(&self, component: &ComponentId, executor: &Executor) -> bool {
        self.image.component == *component && self.image.executor == *executor
    }

    pub(crate) fn name(&self) -> &str {
        &self.grants.component
    }

    /// Loads the component now, on this thread.
    pub(super) fn load_blocking(&self) -> Result<Loaded, ActivateError> {
        let resident = match self.resident.get() {
            Some(resident) => resident,
            None => {
                // A request may have been faster; what it loaded is the same.
                let _ = self.resident.set(self.load()?);
                self.resident
                    .get()
                    .ok_or_else(|| ActivateError::UnknownComponent(self.name().into()))?
            }
        };
        Ok(Loaded { component: self.grants.component.clone(), origin: resident.code.origin() })
    }

    fn load(&self) -> Result<Resident, ActivateError> {
        let component = || self.grants.component.to_string();
        let code = match self.grants.limits.instructions {
            None => self.engine.load(&self.image.wasm),
            Some(_) => self.engine.load_counted(&self.image.wasm),
        };
        let code =
            code.map_err(|source| ActivateError::Compile { component: component(), source })?;
        if let Ok(Some(share)) = self.engine.share(&code) {
            self.admission.shrink(share);
        }
        let runner = self.link(&code).map_err(|error| ActivateError::Link {
            component: component(),
            reason: format!("{error:#}"),
        })?;
        Ok(Resident { code, runner })
    }

    fn link(&self, code: &Code) -> wasmtime::Result<Runner> {
        let pre = self.linkers.link(code)?;
        Ok(match self.image.shape {
            HandlerShape::Http02 => Runner::Http02(ProxyPre::new(pre)?),
            HandlerShape::Http03 => Runner::Http03(ServicePre::new(pre)?),
            HandlerShape::Command03 => {
                Runner::Command03(wasmtime_wasi::p3::bindings::CommandPre::new(pre)?)
            }
            _ => Runner::Command02(CommandPre::new(pre)?),
        })
    }

    /// The component's code; the first request loads it, all others wait for that.
    async fn resident(self: &Arc<Self>) -> Result<&Resident, Failure> {
        if let Some(resident) = self.resident.get() {
            return Ok(resident);
        }
        self.resident
            .get_or_try_init(|| async {
                let host = self.clone();
                let loaded = tokio::task::spawn_blocking(move || host.load()).await;
                match loaded {
                    Ok(Ok(resident)) => Ok(resident),
                    Ok(Err(error)) => Err(Failure::Load(chain(&error))),
                    Err(error) => Err(Failure::Load(error.to_string())),
                }
            })
            .await
    }

    /// Answers one request.
    pub(crate) async fn handle(
        self: &Arc<Self>,
        request: Request<Incoming>,
        connection: &Connection,
        executor: &Executor,
    ) -> http::Response<Body> {
        match self.try_handle(request, connection, executor).await {
            Ok(mut response) => {
                Answered::attach(&mut response, &self.grants.component);
                response
            }
            Err(failure) => failure.respond(&self.grants.component),
        }
    }

    async fn try_handle(
        self: &Arc<Self>,
        request: Request<Incoming>,
        connection: &Connection,
        executor: &Executor,
    ) -> Result<http::Response<Body>, Failure> {
        let limits = &self.grants.limits;
        let length = request.body().size_hint().lower();
        if length > limits.body_bytes {
            return Err(Failure::BodyTooLarge(limits.body_bytes));
        }
        let permit = self.admission.enter(self.name()).await.map_err(|full| match full {
            Full::Component => Failure::ComponentFull,
            Full::Node => Failure::NodeFull,
        })?;
        let resident = self.resident().await?;
        let terms = Terms {
            time: limits.time,
            output_bytes: limits.output_bytes,
            head_only: *request.method() == Method::HEAD,
        };
        let bound = Bound::new(limits.body_bytes, request.body());
        let (sender, receiver) = oneshot::channel();
        let running = self.start(resident, request, &bound, connection, executor, sender);
        let lane = Lane { component: Arc::as_ptr(self).addr(), max_wait: self.max_wait };
        let guest = Guest::new(running, limits.cpu, lane, permit);
        let component = self.grants.component.clone();
        let late = Box::new(move |failure: Failure| failure.log(&component));
        let response = respond(guest, receiver, terms, late).await;
        if matches!(response, Err(Failure::Slow)) {
            self.admission.warn_of_slowness(self.name());
        }
        if bound.was_passed() {
            return Err(Failure::BodyTooLarge(limits.body_bytes));
        }
        response
    }

    /// A guest that handles `request`, not yet started.
    fn start(
        &self,
        resident: &Resident,
        request: Request<Incoming>,
        bound: &Bound,
        connection: &Connection,
        executor: &Executor,
        sender: oneshot::Sender<Answer>,
    ) -> Work {
        let code = resident.code.clone();
        let grants = self.grants.clone();
        match resident.runner.clone() {
            Runner::Http02(pre) => {
                let request = request.map(|body| bound.apply(body));
                let scheme = connection.scheme;
                Box::pin(http02::run(code, pre, HostState::new(grants), request, scheme, sender))
            }
            Runner::Http03(pre) => {
                let request = request.map(|body| bound.apply(body));
                let scheme = connection.scheme;
                Box::pin(http03::run(code, pre, HostState::new(grants), request, scheme, sender))
            }
            Runner::Command02(pre) => {
                let call = cgi::Call::new(&request, connection, executor);
                let body = bound.apply(request.into_body());
                Box::pin(cgi::run02(code, pre, grants, call, body, sender))
            }
            Runner::Command03(pre) => {
                let call = cgi::Call::new(&request, connection, executor);
                let body = bound.apply(request.into_body());
                Box::pin(cgi::run03(code, pre, grants, call, body, sender))
            }
        }
    }
}

/// How long a request's body may be, and whether it turned out longer.
struct Bound {
    bytes: usize,
    /// Only where the body does not tell its length and there is a limit.
    passed: Option<Arc<AtomicBool>>,
}

impl Bound {
    fn new(limit: u64, body: &Incoming) -> Self {
        let unknown = body.size_hint().upper().is_none() && limit != u64::MAX;
        Self {
            bytes: usize::try_from(limit).unwrap_or(usize::MAX),
            passed: unknown.then(Arc::default),
        }
    }

    /// A request's body as a guest may read it.
    fn apply(&self, body: Incoming) -> WasiBody {
        let passed = self.passed.clone();
        Limited::new(body, self.bytes)
            .map_err(move |error| match error.downcast::<hyper::Error>() {
                Ok(error) => HttpError::Hyper(*error),
                Err(_) => {
                    if let Some(passed) = &passed {
                        passed.store(true, Relaxed);
                    }
                    HttpError::HttpRequestBodySize(None)
                }
            })
            .boxed_unsync()
    }

    fn was_passed(&self) -> bool {
        self.passed.as_ref().is_some_and(|passed| passed.load(Relaxed))
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
