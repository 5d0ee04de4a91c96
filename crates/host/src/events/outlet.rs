//! Where answers go: the next step of the app's topology.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dayfly_capabilities::mqtt::broker::{Broker, Credentials, Outgoing};
use dayfly_capabilities::nats::ServerError as NatsError;
use dayfly_capabilities::nats::server::Server as Nats;
use dayfly_capabilities::queue::{MOST_HOPS, New, Store};
use dayfly_capabilities::redis::server::Server;
use dayfly_capabilities::websocket::{Error as NotSent, Hub, Message};
use dayfly_capabilities::{Backends, Rehearsal};
use dayfly_model::events::{Output, RedisPlace};
use dayfly_model::runtime_config::OutboundNetworking;
use dayfly_model::{App, ComponentId, Executor};
use dayfly_telemetry::Telemetry;
use dayfly_telemetry::trace::{Context, Span};
use http_body_util::BodyExt as _;

use super::post::{NotPosted, Poster};
use super::returns::{Listened, Returns};
use super::{Event, delivery_span, jittered};
use crate::dispatch::{ActivateError, ComponentHost, Index, Reply, Undelivered};

/// How long a connection to a broker may be silent, in seconds.
const KEEP_ALIVE: u16 = 60;

/// How long an HTTP server may take for an answer that is passed on to it.
const HTTP_PATIENCE: Duration = Duration::from_secs(30);

/// Why an answer was not passed on.
pub(super) enum NotPassed {
    /// There was no room for it; it is tried again as if it had not been tried.
    Busy,
    /// It may be tried again.
    Failed(String),
    /// It would fail each time.
    Hopeless(String),
}

/// How long to wait where there is no room.
const AGAIN: Duration = Duration::from_millis(100);

/// What the components behind an output have answered, the nearest first: whoever has is not asked again
/// though a step behind it fails.
#[derive(Default)]
pub(super) struct Steps {
    answers: Vec<Option<Event>>,
    done: usize,
}

impl Steps {
    /// The same for another attempt.
    pub(super) fn again(&mut self) -> &mut Self {
        self.done = 0;
        self
    }

    /// What the next component has answered, if it has: nothing perhaps.
    fn next(&mut self) -> Option<Option<Event>> {
        let answer = self.answers.get(self.done)?.clone();
        self.done += 1;
        Some(answer)
    }

    fn keep(&mut self, answer: Option<Event>) {
        self.answers.push(answer);
        self.done = self.answers.len();
    }
}

/// The steps that answers can go to.
pub(crate) struct Topology {
    app: String,
    steps: HashMap<ComponentId, Step>,
    /// By the ids of triggers.
    outlets: HashMap<String, Outlet>,
    queues: Arc<Store>,
    websockets: Arc<Hub>,
    returns: Returns,
    telemetry: Option<Arc<Telemetry>>,
    networking: OutboundNetworking,
    poster: OnceLock<Box<Poster>>,
    rehearsal: Option<Arc<dyn Rehearsal>>,
}

/// What a topology works with.
pub(super) struct Wiring<'a> {
    pub(super) backends: &'a Backends,
    pub(super) telemetry: Option<Arc<Telemetry>>,
    pub(super) listened: Vec<Listened>,
    /// Whether components publish to channels of Redis themselves.
    pub(super) do_publish: bool,
}

/// A component that answers go to, and where its own go.
struct Step {
    host: Arc<ComponentHost>,
    outlet: Option<Outlet>,
}

/// Where the answers of one trigger's handler go.
#[derive(Clone)]
pub(crate) enum Outlet {
    Component(ComponentId),
    Queue(String),
    Redis(Server, RedisPlace),
    Mqtt(Broker, String),
    /// A subject, and whether a stream has to take it.
    Nats(Nats, String, bool),
    Websocket(String),
    Http(String),
}

/// The servers of outputs that name none, and which addresses nobody reaches.
#[derive(Default)]
pub(super) struct Servers {
    pub(super) redis: Option<Server>,
    pub(super) broker: Option<Broker>,
    pub(super) nats: Option<Nats>,
    pub(super) networking: OutboundNetworking,
}

impl Topology {
    /// The topology of an app. `outputs` are what its triggers say, by their ids, in their order; what
    /// a component answers goes where the first trigger that names it says.
    pub(super) fn new(
        app: &App,
        outputs: &[(&str, &ComponentId, Option<Outlet>)],
        components: &Index<'_>,
        Wiring { backends, telemetry, listened, do_publish }: Wiring<'_>,
    ) -> Result<Self, ActivateError> {
        let mut steps = HashMap::new();
        let called = outputs.iter().filter_map(|(_, _, outlet)| match outlet {
            Some(Outlet::Component(id)) => Some(id),
            _ => None,
        });
        for id in called {
            let host = components.find(id, &Executor::Detected, &[])?;
            let own = outputs.iter().find(|(_, component, _)| *component == id);
            let outlet = own.and_then(|(_, _, outlet)| outlet.clone());
            steps.insert(id.clone(), Step { host, outlet });
        }
        let outlets: HashMap<_, _> = outputs
            .iter()
            .filter_map(|(id, _, outlet)| Some(((*id).to_owned(), outlet.clone()?)))
            .collect();
        let returns = Returns::new(listened, outlets.values(), do_publish);
        Ok(Self {
            app: app.name.clone(),
            steps,
            outlets,
            queues: backends.queues.clone(),
            returns,
            telemetry,
            websockets: backends.websockets.clone(),
            networking: backends.config.outbound_networking.clone(),
            poster: OnceLock::new(),
            rehearsal: backends.rehearsal.clone(),
        })
    }

    /// Where the answers of a trigger's handler go.
    pub(crate) fn outlet(&self, trigger: &str) -> Option<Outlet> {
        self.outlets.get(trigger).cloned()
    }

    /// The queues and dead letters.
    pub(super) const fn queues(&self) -> &Arc<Store> {
        &self.queues
    }

    /// The span of an event that a component is to handle, which came by `way`; nothing if none is
    /// exported.
    pub(super) fn span(&self, event: &Event, way: &str, component: &str) -> Option<Span> {
        Some(delivery_span(self.telemetry.as_ref()?, way, component, event))
    }

    /// The event that a component's answer to another event is; `place` is where it was made.
    pub(crate) fn answer(
        &self,
        event: &Event,
        component: &str,
        reply: Reply,
        place: Option<&Context>,
    ) -> Event {
        let source = format!("/{}/{component}", self.app);
        let mut answer = Event::new(source, "dayfly.output", reply.data);
        // The same for each attempt, so that who gets it twice can tell.
        answer.id = blake3::hash(format!("{component}\0{}\0{}", event.source, event.id).as_bytes())
            .to_hex()[..32]
            .to_owned();
        answer.content_type = reply.content_type;
        answer.subject.clone_from(&event.subject);
        answer.extensions.clone_from(&event.extensions);
        answer.hops = event.hops.saturating_add(1);
        if let Some(place) = place {
            answer.set_trace(place);
        }
        answer
    }

    /// Passes an answer on. If it is the answer to messages that were `taken` from a queue and goes
    /// into one, that is one step. What is in `steps` is not done again.
    pub(super) fn pass_on<'a>(
        &'a self,
        outlet: &'a Outlet,
        answer: Event,
        taken: &'a [i64],
        steps: &'a mut Steps,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), NotPassed>> + Send + 'a>> {
        Box::pin(async move {
            if answer.hops > MOST_HOPS {
                let text = format!("it has {MOST_HOPS} steps behind it: the outputs are a cycle");
                return Err(NotPassed::Hopeless(text));
            }
            if let Some(rehearsal) = &self.rehearsal {
                rehearsal.passed_on(&outlet.to_string(), &answer.content());
                if outlet.leaves_the_app() {
                    return Ok(());
                }
            }
            match outlet {
                Outlet::Component(id) => self.to_component(id, answer, steps).await,
                Outlet::Queue(queue) => {
                    let content = answer.content();
                    let queue = queue.clone();
                    let message = New { queue, delay: Duration::ZERO, priority: 0, content };
                    match taken {
                        [] => self.queues.put(vec![message]).await.map_err(failed),
                        taken => self.queues.pass_on(taken.to_vec(), message).await.map_err(failed),
                    }
                }
                Outlet::Redis(server, place) => self.to_redis((server, place), &answer).await,
                Outlet::Mqtt(broker, topic) => {
                    let message = message(&answer);
                    let sent = broker.publish(topic, &message);
                    let server = broker.name();
                    self.returns.sending((&server, topic), &answer, sent).await.map_err(failed)
                }
                Outlet::Nats(server, subject, is_kept) => {
                    to_nats((server, subject, *is_kept), &answer).await
                }
                Outlet::Websocket(topic) => self.to_clients(topic, answer),
                Outlet::Http(url) => self.to_server(url, &answer).await,
            }
        })
    }

    /// Sends an answer to a server of Redis. From a channel or a list it may come back to triggers of the app.
    async fn to_redis(
        &self,
        (server, place): (&Server, &RedisPlace),
        answer: &Event,
    ) -> Result<(), NotPassed> {
        let command = command(place, answer);
        let sent = match place {
            RedisPlace::Channel(name) | RedisPlace::Queue(name) => {
                let sent = self.returns.send_noted((server, place), answer, command);
                self.returns.sending((&server.name(), name), answer, sent).await
            }
            // It says itself how many steps lie behind it.
            RedisPlace::Stream(_) => server.query(&command).await.map(drop),
        };
        sent.map_err(failed)
    }

    /// What is known of what comes back to the app's triggers.
    pub(super) const fn returns(&self) -> &Returns {
        &self.returns
    }

    /// The same for an answer that nobody keeps, and tries again as long as there is no room for it.
    pub(crate) async fn pass_on_within(
        &self,
        outlet: &Outlet,
        answer: Event,
        patience: Duration,
    ) -> Result<(), String> {
        let (since, mut steps) = (Instant::now(), Steps::default());
        loop {
            match self.pass_on(outlet, answer.clone(), &[], steps.again()).await {
                Ok(()) => return Ok(()),
                Err(NotPassed::Busy) if since.elapsed() < patience => {}
                Err(NotPassed::Busy) => return Err("its output: there was no room".to_owned()),
                Err(NotPassed::Failed(error) | NotPassed::Hopeless(error)) => {
                    return Err(format!("its output: {error}"));
                }
            }
            tokio::time::sleep(jittered(AGAIN)).await;
        }
    }

    fn to_clients(&self, topic: &str, answer: Event) -> Result<(), NotPassed> {
        let message = Message::of_answer(answer.data, answer.content_type.as_deref(), true);
        match self.websockets.publish(topic, message) {
            Ok(_) => Ok(()),
            Err(NotSent::Full) => Err(NotPassed::Busy),
            Err(error) => Err(NotPassed::Hopeless(error.to_string())),
        }
    }

    async fn to_component(
        &self,
        id: &ComponentId,
        event: Event,
        steps: &mut Steps,
    ) -> Result<(), NotPassed> {
        let Some(step) = self.steps.get(id) else {
            return Err(NotPassed::Hopeless(format!("there is no component `{id}`")));
        };
        let answer = match steps.next() {
            Some(answer) => answer,
            None => {
                let span = self.span(&event, &id.0, &id.0);
                let place = span.as_ref().map(|span| span.context().clone());
                let reply = step.host.deliver(&event, span).await.map_err(|error| match error {
                    Undelivered::Busy => NotPassed::Busy,
                    Undelivered::Failed(text) => {
                        NotPassed::Failed(format!("component `{id}`: {text}"))
                    }
                })?;
                let is_empty = reply.data.is_empty();
                let answer = (!is_empty).then(|| self.answer(&event, &id.0, reply, place.as_ref()));
                steps.keep(answer.clone());
                answer
            }
        };
        match (&step.outlet, answer) {
            (Some(outlet), Some(answer)) => self.pass_on(outlet, answer, &[], steps).await,
            _ => Ok(()),
        }
    }

    async fn to_server(&self, url: &str, answer: &Event) -> Result<(), NotPassed> {
        let poster = self.poster.get_or_init(|| Box::new(Poster::new(self.networking.clone())));
        let sent = tokio::time::timeout(HTTP_PATIENCE, poster.post(url, answer, false)).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(NotPosted::Url(error))) => return Err(NotPassed::Hopeless(error)),
            Ok(Err(error)) => return Err(failed(error)),
            Err(_) => return Err(NotPassed::Failed("the server did not answer in time".into())),
        };
        let status = response.status();
        // Read a little of it, so that the connection can be used again.
        let rest = http_body_util::Limited::new(response.into_body(), 64 << 10).collect();
        let _ = tokio::time::timeout(HTTP_PATIENCE, rest).await;
        match status.is_success() {
            true => Ok(()),
            false => Err(NotPassed::Failed(format!("the server answered with status {status}"))),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> NotPassed {
    NotPassed::Failed(error.to_string())
}

/// Publishes an answer with its attributes as headers, as CloudEvents' other bindings have it in binary
/// mode. A stream drops what it has had within its window, by the answer's id.
async fn to_nats(
    (server, subject, is_kept): (&Nats, &str, bool),
    answer: &Event,
) -> Result<(), NotPassed> {
    let (attributes, trace) = (answer.own_headers(), answer.trace());
    let pairs = attributes.iter().chain(&trace);
    let pairs = pairs.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let mut headers: Vec<_> =
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let published = if is_kept {
        headers.push(("Nats-Msg-Id".to_owned(), answer.id.clone()));
        server.add(subject, &headers, &answer.data).await
    } else {
        server.publish(subject, &headers, &answer.data).await
    };
    published.map_err(|error| match error {
        NatsError::TooLarge(_) => NotPassed::Hopeless(error.to_string()),
        error => failed(error),
    })
}

/// An answer for a broker, with its attributes as CloudEvents' MQTT binding has them in binary mode.
fn message(answer: &Event) -> Outgoing<'_> {
    let attributes = if answer.is_batch { Vec::new() } else { answer.attributes() };
    let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value));
    Outgoing {
        data: answer.data.clone(),
        content_type: answer.content_type.as_deref(),
        attributes: attributes.collect(),
    }
}

/// The command that puts an answer somewhere.
fn command(place: &RedisPlace, answer: &Event) -> redis::Cmd {
    match place {
        RedisPlace::Channel(channel) => {
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(channel).arg(&answer.data[..]);
            publish
        }
        RedisPlace::Queue(list) => {
            let mut push = redis::cmd("LPUSH");
            push.arg(list).arg(&answer.data[..]);
            push
        }
        RedisPlace::Stream(key) => {
            let mut add = redis::cmd("XADD");
            add.arg(key).arg("*").arg("data").arg(&answer.data[..]);
            if let Some(content_type) = &answer.content_type {
                add.arg("content-type").arg(content_type);
            }
            for (name, value) in answer.attributes() {
                add.arg(format!("ce-{name}")).arg(value);
            }
            add
        }
    }
}

impl fmt::Display for Outlet {
    /// In the words of the output that it was.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let output = match self {
            Self::Component(id) => Output::Component(id.clone()),
            Self::Queue(name) => Output::Queue(name.clone()),
            Self::Redis(_, to) => Output::Redis { address: None, to: to.clone() },
            Self::Mqtt(_, topic) => Output::Mqtt { address: None, topic: topic.clone() },
            Self::Nats(_, subject, is_kept) => {
                Output::Nats { address: None, subject: subject.clone(), is_kept: *is_kept }
            }
            Self::Websocket(topic) => Output::Websocket(topic.clone()),
            Self::Http(url) => Output::Http(url.clone()),
        };
        output.fmt(f)
    }
}

impl Outlet {
    /// Whether a server is behind it.
    const fn leaves_the_app(&self) -> bool {
        match self {
            Self::Component(_) | Self::Queue(_) | Self::Websocket(_) => false,
            Self::Redis(..) | Self::Mqtt(..) | Self::Nats(..) | Self::Http(_) => true,
        }
    }

    /// What an output means.
    pub(super) fn new(output: &Output, servers: &Servers) -> Result<Self, ActivateError> {
        let unnamed = || {
            ActivateError::Event(format!(
                "the output {output} names no server, and no trigger does"
            ))
        };
        let wrong =
            |error| ActivateError::Event(format!("the server of the output {output} is {error}"));
        let networking = &servers.networking;
        Ok(match output {
            Output::Component(id) => Self::Component(id.clone()),
            Output::Queue(name) => Self::Queue(name.clone()),
            Output::Http(url) => Self::Http(url.clone()),
            Output::Websocket(topic) => Self::Websocket(topic.clone()),
            Output::Redis { address, to } => {
                let server = match address {
                    Some(address) => Server::new(address, networking).map_err(wrong)?,
                    None => servers.redis.clone().ok_or_else(unnamed)?,
                };
                Self::Redis(server, to.clone())
            }
            Output::Nats { address, subject, is_kept } => {
                let server = match address {
                    Some(address) => Nats::new(address, networking).map_err(wrong)?,
                    None => servers.nats.clone().ok_or_else(unnamed)?,
                };
                Self::Nats(server, subject.clone(), *is_kept)
            }
            Output::Mqtt { address, topic } => {
                let broker = match address {
                    Some(address) => {
                        let credentials = Credentials::default();
                        Broker::new(address, credentials, KEEP_ALIVE, networking).map_err(wrong)?
                    }
                    None => servers.broker.clone().ok_or_else(unnamed)?,
                };
                Self::Mqtt(broker, topic.clone())
            }
        })
    }
}
