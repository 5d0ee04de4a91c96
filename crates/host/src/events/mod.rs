//! Events that are no HTTP requests: taken in by sources (`triggers`), brought to handlers, their answers
//! passed on along the app's topology. Every event is settled exactly once: handled, kept as a dead
//! letter, or given back to its source.

mod batch;
mod courier;
mod event;
mod metrics;
mod order;
mod outlet;
mod post;
mod replays;
mod sends;
mod vouch;
mod workers;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use dayfly_capabilities::Backends;
use dayfly_capabilities::nats::server::Server as Nats;
use dayfly_capabilities::queue::{Owner, QueueError};
use dayfly_capabilities::redis::server::Server;
use dayfly_model::events::{Delivery, Order};
use dayfly_model::{
    App, EventSource, EventTrigger, Executor, Template, Trigger as Stated, TriggerKind,
};
use dayfly_telemetry::metrics::Families;
use dayfly_telemetry::trace::{Kind, Span};
use dayfly_telemetry::{Source as _, Telemetry};
use tokio::sync::Semaphore;

use crate::dispatch::{ActivateError, Index};
use crate::server::shutdown::Phase;
use crate::triggers::{Setting, SourceType, Trigger, source_type};
use crate::{Outcome, ServeError, Shutdown};
use batch::Gathered;
use courier::Manner;
pub(crate) use courier::{Courier, Leave, Parcel, jittered};
pub(crate) use event::Event;
pub(crate) use metrics::{Settled, TriggerMetrics};
use order::Lanes;
use outlet::Servers;
pub(crate) use outlet::{Outlet, Topology};
pub use post::send;
use sends::Addressee;
pub(crate) use vouch::vouched;
use workers::Workers;

/// A future of some source.
pub(crate) type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where events of one trigger come from.
pub(crate) trait Source: Send {
    /// What is listened to, for people.
    fn describe(&self) -> String;

    /// An event without data, as those that come from here look.
    fn sample(&self) -> Event {
        Event::new("/send", "dayfly.test", bytes::Bytes::new())
    }

    /// Takes events in and lets the courier bring them, until the end was asked for. What is under
    /// way then may take as long as it is waited for.
    fn run(self: Box<Self>, courier: Arc<Courier>) -> Running;
}

/// What a source is opened with.
pub(crate) struct Opening<'a> {
    /// The app.
    pub(crate) app: &'a App,
    /// What stands behind it.
    pub(crate) backends: &'a Backends,
    /// Who takes messages of the app's queues, if it is this process.
    pub(crate) owner: Option<&'a Arc<Owner>>,
}

impl Opening<'_> {
    /// The text of a template, with the values that variables have now.
    pub(crate) fn resolve(&self, template: &Template, what: &str) -> Result<String, ActivateError> {
        let text = starting()?.block_on(self.backends.variables.resolve(template));
        text.map_err(|error| ActivateError::Event(format!("{what} cannot be known: {error}")))
    }
}

/// Tells when to end.
#[derive(Clone)]
pub(crate) struct Ending(Shutdown);

impl Ending {
    /// Waits until the end is asked for.
    pub(crate) async fn came(&self) {
        self.0.watch().reached(Phase::Draining).await;
    }

    /// Whether the end was asked for.
    pub(crate) fn is_here(&self) -> bool {
        self.0.is_started()
    }

    /// Waits for so long; whether the end was asked for meanwhile.
    pub(crate) async fn within(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.came()).await.is_ok()
    }
}

/// One trigger, ready to run.
struct Ready {
    source: Box<dyn Source>,
    plan: Plan,
}

/// What its courier is made of.
struct Plan {
    trigger: EventTrigger,
    id: Arc<str>,
    host: Arc<crate::dispatch::ComponentHost>,
    outlet: Option<Outlet>,
    metrics: Arc<TriggerMetrics>,
}

/// All event triggers of an app.
pub(crate) struct EventTriggers {
    ready: Vec<Ready>,
    topology: Arc<Topology>,
    owner: Option<Arc<Owner>>,
    workers: usize,
    grace: Duration,
    /// Whether events come only from queues and from who sends them, because the app is tested.
    is_rehearsed: bool,
}

/// Opens the event triggers of an app; `None` if it has none.
pub(crate) fn open(
    setting: &Setting<'_>,
    backends: &Backends,
) -> Result<Option<EventTriggers>, ActivateError> {
    let Setting { app, components, topology, config } = *setting;
    let triggers = event_triggers(app);
    if triggers.is_empty() {
        return Ok(None);
    }
    let owner = own(backends, &triggers)?.map(Arc::new);
    let opening = Opening { app, backends, owner: owner.as_ref() };
    let ready = triggers.into_iter().map(|(id, trigger)| {
        let outlet = topology.outlet(id);
        let SourceType { open, .. } = source_type(trigger.source.kind()).ok_or_else(|| {
            ActivateError::Event(format!("no trigger `{}`", trigger.source.kind()))
        })?;
        let source = open(id, &trigger.source, &opening)?;
        let id: Arc<str> = id.into();
        let host = components.find(&trigger.component, &Executor::Detected, &[])?;
        let metrics = Arc::new(TriggerMetrics::new(id.clone()));
        let plan = Plan { trigger: trigger.clone(), id, host, outlet, metrics };
        Ok(Ready { source, plan })
    });
    let ready = ready.collect::<Result<Vec<_>, ActivateError>>()?;
    if let Some(owner) = &owner {
        starting()?.block_on(sends::announce(owner, &ready));
    }
    Ok(Some(EventTriggers {
        ready,
        topology: topology.clone(),
        owner,
        workers: config.http.workers(),
        grace: config.http.grace,
        is_rehearsed: backends.rehearsal.is_some(),
    }))
}

fn event_triggers(app: &App) -> Vec<(&str, &EventTrigger)> {
    let events = app.triggers.iter().filter_map(|trigger| match &trigger.kind {
        TriggerKind::Event(event) => Some((trigger.id.as_str(), event)),
        _ => None,
    });
    events.collect()
}

/// Where the answers of an app's handlers go, of whatever triggers they are.
pub(crate) fn topology(
    app: &App,
    components: &Index<'_>,
    backends: &Backends,
    telemetry: Option<Arc<Telemetry>>,
) -> Result<Arc<Topology>, ActivateError> {
    let opening = Opening { app, backends, owner: None };
    let passes_on = app.triggers.iter().any(|trigger| trigger.kind.output().is_some());
    let servers = match passes_on {
        true => servers(&opening, &event_triggers(app))?,
        false => Servers::default(),
    };
    let mut outputs = Vec::new();
    for Stated { id, kind } in &app.triggers {
        let Some(component) = kind.component() else { continue };
        let outlet = kind.output().map(|output| Outlet::new(output, &servers)).transpose()?;
        outputs.push((id.as_str(), component, outlet));
    }
    Ok(Arc::new(Topology::new(app, &outputs, components, (backends, telemetry))?))
}

/// A runtime for what must be known before anything is served.
fn starting() -> Result<tokio::runtime::Runtime, ActivateError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| ActivateError::Serve(ServeError::Start(error)))
}

/// Becomes the one who takes messages of the app's queues and its dead letters. Apps without queues
/// may do without.
fn own(
    backends: &Backends,
    triggers: &[(&str, &EventTrigger)],
) -> Result<Option<Owner>, ActivateError> {
    let needed =
        triggers.iter().any(|(_, trigger)| matches!(trigger.source, EventSource::Queue(_)));
    match starting()?.block_on(backends.queues.own()) {
        Ok(owner) => Ok(Some(owner)),
        Err(QueueError::Owned) if !needed => {
            tracing::info!("another process with this state folder replays dead letters");
            Ok(None)
        }
        Err(error) => Err(ActivateError::Event(error.to_string())),
    }
}

/// The servers of outputs that name none: those of the first triggers of their kinds.
fn servers(
    opening: &Opening<'_>,
    triggers: &[(&str, &EventTrigger)],
) -> Result<Servers, ActivateError> {
    let mut servers = Servers::default();
    for (id, trigger) in triggers {
        match &trigger.source {
            EventSource::Redis(source) if servers.redis.is_none() => {
                servers.redis = Some(crate::triggers::redis_server(id, source, opening)?);
            }
            EventSource::Mqtt(source) if servers.broker.is_none() => {
                servers.broker = Some(crate::triggers::mqtt_broker(id, source, opening)?);
            }
            EventSource::Nats(source) if servers.nats.is_none() => {
                servers.nats = Some(crate::triggers::nats_server(id, source, opening)?);
            }
            _ => {}
        }
    }
    // An app may pass answers on to a server that it does not listen to.
    if servers.redis.is_none() {
        servers.redis = of_settings(opening, "redis", Server::new)?;
    }
    if servers.nats.is_none() {
        servers.nats = of_settings(opening, "nats", Nats::new)?;
    }
    Ok(servers)
}

/// The server that the settings for all triggers of a kind name.
fn of_settings<S>(
    opening: &Opening<'_>,
    kind: &str,
    server: impl FnOnce(&str) -> Result<S, String>,
) -> Result<Option<S>, ActivateError> {
    let Some(address) = setting(opening.app, kind, "address") else { return Ok(None) };
    let address = opening.resolve(&address, "the address of a server")?;
    let server = server(&address).map_err(|error| {
        ActivateError::Event(format!("the address of `application.trigger.{kind}` is {error}"))
    });
    server.map(Some)
}

/// A setting for all triggers of a kind.
fn setting(app: &App, kind: &str, key: &str) -> Option<Template> {
    let text = app.trigger_settings.get(kind)?.get(key)?.as_str()?;
    Template::parse(text).ok()
}

impl EventTriggers {
    /// Adds what is counted of them.
    pub(crate) fn metrics(&self) -> Vec<Arc<TriggerMetrics>> {
        self.ready.iter().map(|ready| ready.plan.metrics.clone()).collect()
    }
}

/// Begins the span of an event's delivery, in the trace that the event is in.
pub(crate) fn delivery_span(
    telemetry: &Arc<Telemetry>,
    trigger: &str,
    component: &str,
    event: &Event,
) -> Span {
    let mut span = telemetry.request(&event.trace(), || format!("process {trigger}"));
    if span.is_recorded() {
        span.set_kind(Kind::Consumer);
        span.text("messaging.operation.type", "process");
        span.text("messaging.message.id", event.id.clone());
        span.text("cloudevents.event_type", event.kind.clone());
        span.text("cloudevents.event_source", event.source.clone());
        span.text("dayfly.component", component);
        if let Some(subject) = &event.subject {
            span.text("messaging.destination.name", subject.clone());
        }
    }
    span
}

/// Adds what is counted of triggers.
pub(crate) fn collect(metrics: &[Arc<TriggerMetrics>], families: &mut Families) {
    metrics.iter().for_each(|metrics| metrics.collect(families));
}

/// How many events may be under way, and which of them wait for one another or go together.
fn manner(delivery: &Delivery) -> (usize, Manner, Option<Gathered>) {
    let concurrency = usize::try_from(delivery.concurrency).unwrap_or(1);
    if let Some(batch) = delivery.batch {
        let (gather, gathered) = batch::gather(batch, concurrency);
        let most = usize::try_from(batch.most).unwrap_or(1);
        return (concurrency * most, Manner::InBatches(gather), Some(gathered));
    }
    match &delivery.order {
        Order::None | Order::All => (concurrency, Manner::Single, None),
        key => (concurrency, Manner::ByKey(Lanes::new(key.clone())), None),
    }
}

impl Trigger for EventTriggers {
    fn describe(&self) -> Vec<String> {
        let line = |Ready { source, plan }: &Ready| {
            let output = plan.trigger.output.as_ref();
            let output = output.map(|output| format!(" -> {output}")).unwrap_or_default();
            format!("{}  {}{output}", source.describe(), plan.host.name())
        };
        self.ready.iter().map(line).collect()
    }

    fn run(self: Box<Self>, shutdown: Shutdown) -> Result<Outcome, ServeError> {
        let Self { ready, topology, owner, workers, grace, is_rehearsed } = *self;
        let (workers, threads) = Workers::start(workers).map_err(ServeError::Start)?;
        let ending = Ending(shutdown.clone());
        let mut all = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(ServeError::Start)?;
        runtime.block_on(async {
            let mut sources = tokio::task::JoinSet::new();
            let mut addressees = HashMap::new();
            for Ready { source, plan } in ready {
                let Plan { trigger, id, host, outlet, metrics } = plan;
                all.push(metrics.clone());
                let (room, manner, gathered) = manner(&trigger.delivery);
                let courier = Arc::new(Courier {
                    trigger: id,
                    host,
                    delivery: trigger.delivery,
                    outlet,
                    topology: topology.clone(),
                    metrics,
                    room: Arc::new(Semaphore::new(room)),
                    manner,
                    workers: workers.clone(),
                    ending: ending.clone(),
                });
                if let Some(gathered) = gathered {
                    // Dropped in the end, when nothing is under way any more.
                    tokio::spawn(gathered.run(courier.clone()));
                }
                if let Some(owner) = &owner {
                    sources.spawn(replays::run(owner.clone(), courier.clone()));
                }
                let addressee = Addressee { courier: courier.clone(), sample: source.sample() };
                addressees.insert(addressee.courier.trigger().to_string(), addressee);
                if !is_rehearsed || matches!(trigger.source, EventSource::Queue(_)) {
                    sources.spawn(source.run(courier));
                }
            }
            if let Some(owner) = owner {
                sources.spawn(sends::run(owner, addressees));
            }
            let mut watch = shutdown.watch();
            watch.reached(Phase::Draining).await;
            let drained = async {
                while sources.join_next().await.is_some() {}
                while all.iter().any(|metrics| metrics.under_way() > 0) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::select! {
                () = drained => {}
                () = tokio::time::sleep(grace) => {}
                () = watch.reached(Phase::Ending) => {}
            }
        });
        // A look-up of a name may hang.
        runtime.shutdown_background();
        workers.end();
        for thread in threads {
            thread.join().map_err(|_| ServeError::Thread)?;
        }
        let unfinished: u64 = all.iter().map(|metrics| metrics.under_way()).sum();
        let unfinished = usize::try_from(unfinished).unwrap_or(usize::MAX);
        Ok(Outcome { unfinished, status: 0 })
    }
}
