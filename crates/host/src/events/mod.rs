//! Events that are no HTTP requests: taken in by sources (`triggers`), brought to handlers, their answers
//! passed on along the app's topology. Every event is settled exactly once: handled, kept as a dead
//! letter, or given back to its source.

mod batch;
mod carry;
mod courier;
mod echoes;
mod event;
mod metrics;
mod order;
mod outlet;
mod post;
mod replays;
mod returns;
mod running;
mod sends;
mod vouch;
mod workers;

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dayfly_capabilities::Backends;
use dayfly_capabilities::nats::server::Server as Nats;
use dayfly_capabilities::queue::{Owner, QueueError};
use dayfly_capabilities::redis::server::Server;
use dayfly_model::events::{Delivery, RedisFrom};
use dayfly_model::runtime_config::{MessagingKind, OutboundNetworking};
use dayfly_model::{
    App, EventSource, EventTrigger, Executor, Template, Trigger as Stated, TriggerKind,
};
use dayfly_telemetry::metrics::Families;
use dayfly_telemetry::trace::{Kind, Span};
use dayfly_telemetry::{Source as _, Telemetry};

use crate::dispatch::{ActivateError, Index};
use crate::server::shutdown::Phase;
use crate::triggers::{Consumers, SourceType, source_type};
use crate::{ServeError, Shutdown};
pub(crate) use carry::jittered;
pub(crate) use courier::{Aim, Courier, Leave, Parcel};
pub(crate) use event::Event;
pub(crate) use metrics::{Settled, TriggerMetrics};
pub(crate) use outlet::{Outlet, Topology};
use outlet::{Servers, Wiring};
pub use post::send;
use returns::{Listened, To};
pub(crate) use running::{AppEvents, Crew};
pub(crate) use vouch::vouched;

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
    /// The names by which its triggers take messages.
    pub(crate) consumers: &'a Consumers,
    /// What templates turned out to say, in their order.
    resolved: RefCell<blake3::Hasher>,
}

impl<'a> Opening<'a> {
    fn new(
        (app, backends): (&'a App, &'a Backends),
        owner: Option<&'a Arc<Owner>>,
        consumers: &'a Consumers,
    ) -> Self {
        Self { app, backends, owner, consumers, resolved: RefCell::default() }
    }

    /// Which addresses nobody reaches.
    pub(crate) fn networking(&self) -> &'a OutboundNetworking {
        &self.backends.config.outbound_networking
    }

    /// The text of a template, with the values that variables have now.
    pub(crate) fn resolve(&self, template: &Template, what: &str) -> Result<String, ActivateError> {
        let text = starting()?.block_on(self.backends.variables.resolve(template));
        let text =
            text.map_err(|error| ActivateError::Event(format!("{what} cannot be known: {error}")))?;
        self.resolved.borrow_mut().update(text.as_bytes()).update(b"\0");
        Ok(text)
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
    id: Arc<str>,
    source: Box<dyn Source>,
    /// What tells a source from another: where it is the same, whatever listens there goes on.
    identity: blake3::Hash,
    delivery: Delivery,
    aim: Aim,
    metrics: Arc<TriggerMetrics>,
    /// What wakes which component, for people.
    line: String,
    /// Whether it takes messages of a queue of the app's own.
    is_of_queue: bool,
}

/// The event triggers of a release, ready to run.
#[derive(Default)]
pub(crate) struct Opened {
    ready: Vec<Ready>,
    owner: Option<Arc<Owner>>,
    /// Whether events come only from queues and from who sends them, because the app is tested.
    is_rehearsed: bool,
}

/// What stays of the sources of an app's events, whatever release they are of.
#[derive(Default)]
pub(crate) struct Sources {
    metrics: Mutex<Arc<[Arc<TriggerMetrics>]>>,
    consumers: Consumers,
}

impl Sources {
    /// What is counted of those that there are now.
    pub(crate) fn now(&self) -> Arc<[Arc<TriggerMetrics>]> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// These, from now on.
    pub(crate) fn set(&self, all: Arc<[Arc<TriggerMetrics>]>) {
        *self.metrics.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    /// What is counted of a trigger, whatever release it is of.
    fn of(&self, id: &Arc<str>) -> Arc<TriggerMetrics> {
        let known = self.now().iter().find(|known| known.trigger() == &**id).cloned();
        known.unwrap_or_else(|| Arc::new(TriggerMetrics::new(id.clone())))
    }
}

/// Opens the event triggers of a release. `owner` is who takes messages of the app's queues already, if
/// this process does; if another one does, this one `waits` for it, where one follows another.
pub(crate) fn open(
    (app, backends): (&App, &Backends),
    components: &Index<'_>,
    topology: &Arc<Topology>,
    (owner, waits, sources): (Option<&Arc<Owner>>, bool, &Sources),
) -> Result<Opened, ActivateError> {
    let triggers = event_triggers(app);
    let is_rehearsed = backends.rehearsal.is_some();
    if triggers.is_empty() {
        return Ok(Opened { ready: Vec::new(), owner: owner.cloned(), is_rehearsed });
    }
    let owner = match owner {
        Some(owner) => Some(owner.clone()),
        None => own(backends, &triggers, waits)?.map(Arc::new),
    };
    let ready = triggers.into_iter().map(|(id, trigger)| {
        let EventTrigger { source: listened, component, output, delivery, .. } = trigger;
        let opening = Opening::new((app, backends), owner.as_ref(), &sources.consumers);
        let SourceType { open, .. } = source_type(listened.kind())
            .ok_or_else(|| ActivateError::Event(format!("no trigger `{}`", listened.kind())))?;
        let source = open(id, listened, &opening)?;
        let host = components.find(component, &Executor::Detected, &[])?;
        let output = output.as_ref().map(|output| format!(" -> {output}")).unwrap_or_default();
        let line = format!("{}  {}{output}", source.describe(), host.name());
        let mut identity = opening.resolved.into_inner();
        identity.update(format!("{listened:?} {delivery:?} {}", app.name).as_bytes());
        let aim = Aim { host, outlet: topology.outlet(id), topology: topology.clone() };
        let (id, identity): (Arc<str>, _) = (id.into(), identity.finalize());
        let metrics = sources.of(&id);
        let is_of_queue = matches!(listened, EventSource::Queue(_));
        let delivery = delivery.clone();
        Ok(Ready { id, source, identity, delivery, aim, metrics, line, is_of_queue })
    });
    let ready = ready.collect::<Result<Vec<_>, ActivateError>>()?;
    Ok(Opened { ready, owner, is_rehearsed })
}

impl Opened {
    /// Those of a release that has none.
    pub(crate) const fn nothing(owner: Option<Arc<Owner>>) -> Self {
        Self { ready: Vec::new(), owner, is_rehearsed: false }
    }

    /// Whether there are none.
    pub(crate) const fn is_nothing(&self) -> bool {
        self.ready.is_empty()
    }

    /// Says which triggers there are from now on, for who sends events to them.
    pub(crate) fn announce(&self) -> Result<(), ActivateError> {
        match &self.owner {
            Some(owner) if !self.ready.is_empty() => {
                starting()?.block_on(sends::announce(owner, &self.ready));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What is counted of its sources.
    pub(crate) fn metrics(&self) -> Arc<[Arc<TriggerMetrics>]> {
        self.ready.iter().map(|ready| ready.metrics.clone()).collect()
    }

    /// Who takes messages of the app's queues, if this process does.
    pub(crate) const fn owner(&self) -> Option<&Arc<Owner>> {
        self.owner.as_ref()
    }

    /// What wakes which component, a line each, for people.
    pub(crate) fn describe(&self) -> impl Iterator<Item = &str> {
        self.ready.iter().map(|ready| &*ready.line)
    }
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
    let consumers = Consumers::default();
    let opening = Opening::new((app, backends), None, &consumers);
    let (triggers, do_publish) = (event_triggers(app), do_publish(app, backends));
    let passes_on = app.triggers.iter().any(|trigger| trigger.kind.output().is_some());
    let servers = match passes_on {
        true => servers(&opening, &triggers)?,
        false => Servers::default(),
    };
    let listened = match passes_on || do_publish {
        true => listened(&opening, &triggers)?,
        false => Vec::new(),
    };
    let mut outputs = Vec::new();
    for Stated { id, kind } in &app.triggers {
        let Some(component) = kind.component() else { continue };
        let outlet = kind.output().map(|output| Outlet::new(output, &servers)).transpose()?;
        outputs.push((id.as_str(), component, outlet));
    }
    let wiring = Wiring { backends, telemetry, listened, do_publish };
    Ok(Arc::new(Topology::new(app, &outputs, components, wiring)?))
}

/// How long to wait after the file of queues failed.
const FAILED: Duration = Duration::from_secs(1);

/// Waits until no other process takes messages of the app's queues; whether that is so before the end is
/// asked for.
pub(crate) async fn is_ours(owner: &Owner, ending: &Ending) -> bool {
    loop {
        let had = tokio::select! {
            had = owner.had() => had,
            () = ending.came() => return false,
        };
        let Err(error) = had else { return true };
        tracing::error!(%error, "the app's queues cannot be taken over");
        if ending.within(FAILED).await {
            return false;
        }
    }
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
    waits: bool,
) -> Result<Option<Owner>, ActivateError> {
    let needed =
        triggers.iter().any(|(_, trigger)| matches!(trigger.source, EventSource::Queue(_)));
    match starting()?.block_on(backends.queues.own()) {
        Ok(owner) => Ok(Some(owner)),
        Err(QueueError::Owned) if waits => Ok(Some(backends.queues.own_later())),
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
    let mut servers = Servers { networking: opening.networking().clone(), ..Servers::default() };
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

/// Whether a component may publish to a channel of Redis by a client for messages.
fn do_publish(app: &App, backends: &Backends) -> bool {
    let mut granted = app.components.values().flat_map(|component| &component.messaging);
    let kind = |name: &String| backends.config.messaging.get(name).map(|it| it.kind);
    granted.any(|name| kind(name) == Some(MessagingKind::Redis))
}

/// The triggers whose messages are their data alone, with what each listens to.
fn listened(
    opening: &Opening<'_>,
    triggers: &[(&str, &EventTrigger)],
) -> Result<Vec<Listened>, ActivateError> {
    let listened = triggers.iter().map(|(id, trigger)| {
        let (server, to) = match &trigger.source {
            EventSource::Redis(source) => {
                let name = |template| opening.resolve(template, "what a Redis trigger listens to");
                let to = match &source.from {
                    RedisFrom::Channel(channel) => To::Channel(name(channel)?),
                    RedisFrom::Pattern(_) => To::Channels,
                    RedisFrom::Queue(list) => To::List(name(list)?),
                    RedisFrom::Stream { .. } => return Ok(None),
                };
                (crate::triggers::redis_server(id, source, opening)?.name(), to)
            }
            EventSource::Mqtt(source) => {
                (crate::triggers::mqtt_broker(id, source, opening)?.name(), To::Topics)
            }
            _ => return Ok(None),
        };
        Ok(Some(Listened { trigger: (*id).to_owned(), server, to }))
    });
    listened.filter_map(Result::transpose).collect()
}

/// The server that the settings for all triggers of a kind name.
fn of_settings<S>(
    opening: &Opening<'_>,
    kind: &str,
    server: impl FnOnce(&str, &OutboundNetworking) -> Result<S, String>,
) -> Result<Option<S>, ActivateError> {
    let Some(address) = setting(opening.app, kind, "address") else { return Ok(None) };
    let address = opening.resolve(&address, "the address of a server")?;
    let server = server(&address, opening.networking()).map_err(|error| {
        ActivateError::Event(format!("the address of `application.trigger.{kind}` is {error}"))
    });
    server.map(Some)
}

/// A setting for all triggers of a kind.
fn setting(app: &App, kind: &str, key: &str) -> Option<Template> {
    let text = app.trigger_settings.get(kind)?.get(key)?.as_str()?;
    Template::parse(text).ok()
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
