//! One component that serves requests: its bounds, and what a request takes of it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use dayfly_capabilities::wasi::stdio::{Limited, LogSink};
use dayfly_capabilities::{Account, Behind, GrantError, Shares};
use dayfly_engine::{CpuBudget, EngineError, Origin};
use dayfly_model::{ComponentId, Executor, HandlerShape, Limits, Middleware};
use dayfly_telemetry::trace::{Span, within};
use dayfly_telemetry::{ComponentMetrics, Lines};
use http::{Method, Request};
use http_body::Body as _;
use thiserror::Error;
use tokio::sync::oneshot;
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

use super::admission::Admission;
use super::failure::Failure;
use super::guest::{self, Answer, Guest, Terms, Trace, Work};
use super::intake::Intake;
use super::keep::Start;
use super::loading::{NotLoaded, Place, Resident, Shared};
use super::message::Parameters;
use super::meter::Meter;
use super::residency::{Evicted, LastUse};
use super::runner::Runner;
use super::turns::{Lane, Share};
use super::{cgi, http02, http03, message, spin_http};
use crate::events::Event;
use crate::release::{Image, Unmade};
use crate::{Answered, Body, BoxError, ClientBody, Connection, ServeError};

/// Why an app could not be made ready to serve.
#[derive(Debug, Error)]
pub enum ActivateError {
    /// A trigger names a component that the release has no image of.
    #[error("the release has no component `{0}`")]
    UnknownComponent(String),
    /// Two triggers claim the same route.
    #[error("{0}")]
    DuplicateRoute(String),
    /// What is to be served of an app does not make sense.
    #[error("{0}")]
    Rollout(&'static str),
    /// A release that is to be served already is not.
    #[error("release `{0}` is not served")]
    UnknownRelease(String),
    /// A host is another app's.
    #[error("another app has host `{0}`")]
    HostTaken(String),
    /// A release does not answer well.
    #[error("the release is not healthy: {0}")]
    Unhealthy(String),
    /// A trigger's source cannot be opened.
    #[error("{0}")]
    Event(String),
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
    /// A component's source cannot be had, or is no component.
    #[error(transparent)]
    Prepare(BoxError),
    /// Another process did not make a component's code in time.
    #[error(
        "the code of component `{component}` is still being made, by the control plane's workers"
    )]
    Awaited {
        /// The component.
        component: String,
    },
    /// Another process could not make a component's code.
    #[error(transparent)]
    Unmade(#[from] Unmade),
    /// A component does not compile.
    #[error("failed to compile component `{component}`")]
    Compile {
        /// The component.
        component: String,
        /// What the engine said.
        source: EngineError,
    },
    /// A command serves one request alone.
    #[error(
        "component `{0}` is a command, whose instances serve one request each, but has `reuse`"
    )]
    Reuse(String),
    /// The thread that was to load a component did not.
    #[error("failed to load a component on a thread of its own")]
    Thread(#[source] std::io::Error),
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
    match shape {
        Shape::Http02
        | Shape::Http03
        | Shape::SpinHttp
        | Shape::SpinRedis
        | Shape::SpinRedis3
        | Shape::SpinCron
        | Shape::Messaging
        | Shape::Command02
        | Shape::Command03 => true,
    }
}

/// What came of loading a component.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its id.
    pub component: Arc<str>,
    /// Whether it was compiled, and how long that took.
    pub origin: Origin,
}

/// How a request came.
#[derive(Clone)]
pub(crate) struct Arrival<'a> {
    /// The connection that it came by, or that stands for the caller.
    pub(crate) connection: &'a Connection,
    /// How its route calls the component.
    pub(crate) executor: &'a Executor,
    /// What led to it.
    pub(crate) behind: Behind,
    /// The event that it is made of, if it is no client's.
    pub(crate) event: Option<&'a Event>,
}

/// The body of a request: a client's or a calling component's.
pub(crate) trait RequestBody:
    http_body::Body<Data = Bytes, Error: std::error::Error + Into<HttpError> + Send + Sync>
    + Send
    + Unpin
    + 'static
{
}

impl RequestBody for ClientBody {}
impl RequestBody for WasiBody {}

pub(crate) struct ComponentHost {
    pub(super) shared: Arc<Shared>,
    pub(super) image: Image,
    /// Where failures of its requests are told, on its tenant's account.
    pub(super) told: Arc<dyn LogSink>,
    pub(super) limits: Limits,
    pub(super) admission: Admission,
    pub(super) shares: Shares,
    pub(super) place: Place,
    pub(super) metrics: Arc<ComponentMetrics>,
    max_wait: Duration,
    last_use: LastUse,
    /// Whether its instances turned out to serve one request only.
    pub(super) reuse_is_off: Arc<AtomicBool>,
}

/// What bounds a component.
pub(super) struct Bounds {
    pub(super) limits: Limits,
    pub(super) admission: Admission,
    /// How long what is ready may wait for a core.
    pub(super) max_wait: Duration,
    /// What its instances may hold together.
    pub(super) shares: Shares,
}

impl ActivateError {
    /// What the user can do, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Serve(error) => error.hint(),
            Self::Reuse(_) => Some("remove `reuse`, or make it an HTTP handler"),
            _ => None,
        }
    }
}

impl ComponentHost {
    pub(super) fn new(
        shared: &Arc<Shared>,
        image: Image,
        bounds: Bounds,
        metrics: Arc<ComponentMetrics>,
    ) -> Self {
        let log = image.log.clone();
        let told: Arc<dyn LogSink> = match &shared.backends.account {
            Some(account) => Arc::new(Limited::new(log, account.clone())),
            None => log,
        };
        let Bounds { limits, admission, max_wait, shares } = bounds;
        Self {
            shared: shared.clone(),
            image,
            told,
            limits,
            admission,
            shares,
            place: Place::default(),
            metrics,
            max_wait,
            last_use: LastUse::default(),
            reuse_is_off: Arc::default(),
        }
    }

    /// Which component it is, how it is called, and what stands before it.
    pub(super) fn is(&self) -> (&ComponentId, &Executor, &[Middleware]) {
        (&self.image.component, &self.image.executor, &self.image.middleware)
    }

    pub(crate) fn name(&self) -> &str {
        self.metrics.component()
    }

    /// Lines of the log about what it failed at.
    pub(crate) fn lines(&self) -> &Lines {
        self.metrics.lines()
    }

    pub(super) fn last_use(&self) -> &LastUse {
        &self.last_use
    }

    /// Whose it is, and how much that counts.
    pub(super) fn share(&self) -> Share {
        self.account().map_or(Share::WHOLE, Share::of)
    }

    /// Gives the code up, unless a request runs in it.
    pub(super) fn evict(&self) -> Evicted {
        self.place.evict()
    }

    /// What its tenant may take, where there are tenants.
    pub(crate) fn account(&self) -> Option<&Arc<Account>> {
        self.shared.backends.account.as_ref()
    }

    /// Loads the component now, on this thread.
    pub(super) fn preload(self: &Arc<Self>) -> Result<Loaded, ActivateError> {
        let origin = self.load_blocking()?.code.origin();
        Ok(Loaded { component: self.metrics.component().clone(), origin })
    }

    /// Answers one request.
    pub(crate) async fn handle<B: RequestBody>(
        self: &Arc<Self>,
        request: Request<B>,
        arrival: Arrival<'_>,
        span: Option<Span>,
    ) -> http::Response<Body> {
        let mut meter = Meter::begin(self, arrival.event.is_some(), span);
        match self.try_handle(request, arrival, &mut meter).await {
            Ok(mut response) => {
                Answered::attach(&mut response, self.metrics.component());
                response
            }
            Err(failure) => {
                meter.failed(&failure);
                let mut context = meter.context();
                let response =
                    within(&mut context, || failure.respond(&self.metrics, meter.request()));
                meter.handed_over(response.body().size_hint().lower());
                let answered = response.extensions().get::<Answered>();
                if let Some(id) = answered.and_then(|answered| answered.error_id) {
                    meter.error_id(id);
                }
                response
            }
        }
    }

    pub(super) async fn try_handle<B: RequestBody>(
        self: &Arc<Self>,
        mut request: Request<B>,
        mut arrival: Arrival<'_>,
        meter: &mut Meter,
    ) -> Result<http::Response<Body>, Failure> {
        let limits = &self.limits;
        let length = request.body().size_hint().lower();
        if length > limits.body_bytes {
            return Err(Failure::BodyTooLarge(limits.body_bytes));
        }
        let waiting = meter.part("wait");
        let permit = self.admission.enter(self.name(), arrival.behind.depth).await?;
        if let Some(span) = waiting {
            span.end_if_worth();
        }
        self.shared.resources.residency.touch(&self.last_use, meter.began());
        let loading = meter.part("load");
        let resident = self.resident(limits.time).await.map_err(|error| match error {
            NotLoaded::Failed(text) => Failure::Load(text),
            NotLoaded::Slow => Failure::Loading,
        })?;
        if let Some(span) = loading {
            span.end_if_worth();
        }
        let trace = meter.context().map(|context| Trace::new(&context, self.name()));
        if let Some(trace) = &trace {
            trace.inject(request.headers_mut());
        }
        let terms = Terms {
            time: limits.time,
            output_bytes: limits.output_bytes,
            head_only: *request.method() == Method::HEAD,
        };
        let usage = self.image.usage.as_ref();
        let intake = Intake::new(limits.body_bytes, request.body(), usage);
        let (sender, receiver) = oneshot::channel();
        let cpu = CpuBudget::new(limits.cpu, arrival.behind.cpu.take());
        arrival.behind.cpu = Some(cpu.clone());
        let depth = arrival.behind.depth;
        let running = start(&resident, request, &intake, arrival, sender)?;
        let lane = Lane { component: Arc::as_ptr(self).addr(), max_wait: self.max_wait };
        // What a guest that runs waits for does not wait for those that have not begun.
        let lane = if depth == 0 { Some(lane) } else { None };
        let whose = (trace, meter.request());
        let guest = Guest::new(running, cpu, lane, (permit, resident), whose);
        let answered = guest::run(guest, receiver, limits.time).await;
        let answered = answered.map_err(|failure| match failure {
            Failure::Slow => self.too_slow(),
            failure => failure,
        });
        if intake.was_passed() {
            return Err(Failure::BodyTooLarge(limits.body_bytes));
        }
        if intake.was_slow() {
            return Err(Failure::BodyTooSlow);
        }
        guest::respond(answered?, terms, meter)
    }
}

impl ComponentHost {
    /// What it means that its requests wait for too long: a tenant's wait for one another.
    fn too_slow(&self) -> Failure {
        self.admission.warn_of_slowness(self.name());
        if self.account().is_some() { Failure::ShareSlow } else { Failure::Slow }
    }
}

/// A guest that handles `request`, not yet started.
///
/// # Errors
/// If the component's handler is not for what has arrived.
fn start<B: RequestBody>(
    resident: &Resident,
    request: Request<B>,
    intake: &Intake,
    arrival: Arrival<'_>,
    sender: oneshot::Sender<Answer>,
) -> Result<Work, Failure> {
    let Resident { code, grants, runner, .. } = resident;
    let (code, grants, behind) = (code.clone(), grants.clone(), arrival.behind.clone());
    let scheme = arrival.connection.scheme;
    Ok(match runner.clone() {
        Runner::Http02(pre, keep) => {
            let request = request.map(|body| intake.apply(body));
            let start = Start { code, grants, behind, keep };
            Box::pin(http02::run(start, pre, request, scheme, sender))
        }
        Runner::Http03(pre, keep) => {
            let request = request.map(|body| intake.apply(body));
            let start = Start { code, grants, behind, keep };
            Box::pin(http03::run(start, pre, request, scheme, sender))
        }
        Runner::SpinHttp(pre, keep) => {
            let request = request.map(|body| intake.apply(body));
            let start = Start { code, grants, behind, keep };
            Box::pin(spin_http::run(start, pre, request, sender))
        }
        Runner::SpinRedis(pre, keep) => {
            let parameters = Parameters::of(one_event(&arrival)?);
            let start = Start { code, grants, behind, keep };
            Box::pin(message::run(start, pre, move |_| Ok(parameters), sender))
        }
        Runner::SpinRedis3(pre, keep) => {
            let parameters = Parameters::of(one_event(&arrival)?);
            let start = Start { code, grants, behind, keep };
            Box::pin(message::run(start, pre, move |_| Ok(parameters), sender))
        }
        Runner::SpinCron(pre, keep) => {
            let parameters = Parameters::of(one_event(&arrival)?);
            let start = Start { code, grants, behind, keep };
            Box::pin(message::run(start, pre, move |_| Ok(parameters), sender))
        }
        Runner::Messaging(pre, keep) => {
            let give = message::give(one_event(&arrival)?, request.headers());
            let start = Start { code, grants, behind, keep };
            Box::pin(message::run(start, pre, give, sender))
        }
        Runner::Command02(pre) => {
            let call = cgi::Call::new(&request, arrival);
            let body = intake.apply(request.into_body());
            Box::pin(cgi::run02(code, pre, grants, call, body, sender))
        }
        Runner::Command03(pre) => {
            let call = cgi::Call::new(&request, arrival);
            let body = intake.apply(request.into_body());
            Box::pin(cgi::run03(code, pre, grants, call, body, sender))
        }
    })
}

/// The event that a handler of single events gets.
fn one_event<'a>(arrival: &Arrival<'a>) -> Result<&'a Event, Failure> {
    let why = match arrival.event {
        Some(event) if !event.is_batch => return Ok(event),
        Some(_) => "it takes one event at a time, and its trigger has `batch`",
        None => "it takes no HTTP requests",
    };
    Err(Failure::Guest(why.to_owned()))
}
