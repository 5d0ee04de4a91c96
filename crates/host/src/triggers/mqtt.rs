//! The MQTT trigger, by version 3.1.1. A message of quality 1 or 2 is acknowledged when it was handled;
//! the broker keeps what is not, and what comes while this process is away. The connection is made
//! again for ever, each time later.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dayfly_capabilities::mqtt::broker::{Acks, Broker, BrokerError, Credentials, Received};
use dayfly_model::EventSource;
use dayfly_model::events::MqttSource;
use tokio::sync::mpsc;

use super::SourceType;
use super::consumer::Consumer;
use super::reconnect::{Lost, keep};
use crate::dispatch::ActivateError;
use crate::events::{Courier, Event, Opening, Running, Settled, Source};

/// This trigger's line in the registry.
pub(super) const SOURCE: SourceType = SourceType { name: "mqtt", open };

/// How many messages wait here; more wait at the broker, but those of quality 0, which are dropped.
const WAITING: usize = 1024;

/// How long to wait for a connection to acknowledge a message by.
const AGAIN: Duration = Duration::from_millis(100);

struct Mqtt {
    broker: Broker,
    topic: String,
    quality: u8,
    consumer: Consumer,
    session: Arc<Mutex<Session>>,
}

/// What the broker and this process know of each other.
#[derive(Default)]
struct Session {
    /// Counts how often the broker did not know us: numbers of messages are others then.
    generation: u64,
    /// The messages that are under way, by their numbers.
    under_way: HashSet<u16>,
    acks: Option<Acks>,
}

fn open(
    id: &str,
    source: &EventSource,
    opening: &Opening<'_>,
) -> Result<Box<dyn Source>, ActivateError> {
    let EventSource::Mqtt(source) = source else {
        return Err(ActivateError::Event("no broker".to_owned()));
    };
    let broker = broker(id, source, opening)?;
    let topic = opening.resolve(&source.topic, "the topic of a broker")?;
    let consumer = Consumer::of(opening, id)?;
    let quality = source.quality;
    Ok(Box::new(Mqtt { broker, topic, quality, consumer, session: Arc::default() }))
}

/// The broker of a trigger.
pub(crate) fn broker(
    id: &str,
    source: &MqttSource,
    opening: &Opening<'_>,
) -> Result<Broker, ActivateError> {
    let address = opening.resolve(&source.address, "the address of a broker")?;
    let username = opening.resolve(&source.username, "the user of a broker")?;
    let password = opening.resolve(&source.password, "the password of a broker")?;
    let broker = Broker::new(&address, Credentials { username, password }, source.keep_alive);
    broker
        .map_err(|error| ActivateError::Event(format!("the address of trigger `{id}` is {error}")))
}

impl Source for Mqtt {
    fn describe(&self) -> String {
        format!("mqtt {} {} (quality {})", self.broker.name(), self.topic, self.quality)
    }

    fn run(self: Box<Self>, courier: Arc<Courier>) -> Running {
        Box::pin(async move {
            let ending = courier.ending();
            let (sender, waiting) = mpsc::channel(WAITING);
            let lost = Lost { what: "broker", name: self.broker.name() };
            let listening = keep(&courier, &lost, || self.listen(&courier, &sender, &lost));
            tokio::select! {
                () = listening => {}
                () = self.bring(&courier, waiting) => {}
                () = ending.came() => {}
            }
            // What is under way is acknowledged by the connection that there is.
            tokio::spawn(self.see_off(courier));
        })
    }
}

impl Mqtt {
    /// The name of the client. The broker knows by it what is listened to, so another topic has another
    /// name. Every broker has to take 23 letters and digits.
    fn client(&self) -> String {
        let of = format!("{} {} {}", self.consumer.name, self.quality, self.topic);
        format!("dayfly{}", &blake3::hash(of.as_bytes()).to_hex()[..17])
    }

    async fn listen(
        &self,
        courier: &Courier,
        sender: &mpsc::Sender<(Received, u64)>,
        lost: &Lost,
    ) -> Result<(), BrokerError> {
        let mut subscription =
            self.broker.subscribe(&self.client(), &self.topic, self.quality).await?;
        lost.found(courier);
        let generation = {
            let mut session = lock(&self.session);
            if !subscription.is_resumed() {
                session.generation += 1;
                session.under_way.clear();
            }
            session.acks = Some(subscription.acks());
            session.generation
        };
        loop {
            let message = subscription.next().await?;
            // The broker sends again what is under way.
            let is_new =
                message.number == 0 || lock(&self.session).under_way.insert(message.number);
            if !is_new {
                continue;
            }
            match sender.try_send((message, generation)) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full((message, _))) if message.number == 0 => {
                    let topic = message.topic;
                    tracing::warn!(topic, "a message of quality 0 was dropped: too many wait");
                }
                // Brokers send few before some are acknowledged.
                Err(mpsc::error::TrySendError::Full(message)) => {
                    if sender.send(message).await.is_err() {
                        return Ok(());
                    }
                }
                Err(mpsc::error::TrySendError::Closed(_)) => return Ok(()),
            }
        }
    }

    async fn bring(&self, courier: &Arc<Courier>, mut waiting: mpsc::Receiver<(Received, u64)>) {
        loop {
            let leave = courier.leave().await;
            let Some((message, generation)) = waiting.recv().await else { return };
            let source = format!("/mqtt/{}", self.broker.name());
            let mut event = Event::new(source, "dayfly.mqtt.message", message.data.clone());
            event.subject = Some(message.topic.clone());
            let session = self.session.clone();
            courier.bring(leave, event.into(), async move |settled| {
                if message.number != 0 && settled != Settled::Back {
                    acknowledge(&session, &message, generation).await;
                }
            });
        }
    }

    /// Keeps the connection until nothing is under way.
    async fn see_off(self: Box<Self>, courier: Arc<Courier>) {
        while courier.metrics().under_way() > 0 {
            tokio::time::sleep(AGAIN).await;
        }
        let acks = lock(&self.session).acks.take();
        if let Some(acks) = acks {
            acks.leave().await;
        }
    }
}

/// Acknowledges a message, by whatever connection there is, unless the broker has forgotten it.
async fn acknowledge(session: &Mutex<Session>, message: &Received, generation: u64) {
    loop {
        let acks = {
            let session = lock(session);
            if session.generation != generation {
                return;
            }
            session.acks.clone()
        };
        if let Some(acks) = acks
            && acks.acknowledge(message).await.is_ok()
        {
            // Now its number may be another's.
            lock(session).under_way.remove(&message.number);
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}
