//! The MQTT trigger, by version 5 or 3.1.1. A message of quality 1 or 2 is acknowledged when it was handled;
//! the broker keeps what is not, and what comes while this process is away. By version 5 a message may be an
//! event, as CloudEvents' MQTT binding has it in binary mode.

mod session;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use dayfly_capabilities::mqtt::broker::{Acks, Broker, BrokerError, Credentials, Received};
use dayfly_model::EventSource;
use dayfly_model::events::MqttSource;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::SourceType;
use super::consumer::Consumer;
use super::reconnect::{Lost, keep};
use crate::dispatch::ActivateError;
use crate::events::{Courier, Event, Opening, Running, Source};
use session::{Arrived, Session};

/// This trigger's line in the registry.
pub(super) const SOURCE: SourceType = SourceType { name: "mqtt", open };

/// What waits here, in KiB. More waits at the broker, but what is of quality 0 is dropped.
const WAITING: usize = 64 << 10;

/// How often is looked whether something is under way.
const LOOK: Duration = Duration::from_millis(100);

struct Mqtt {
    broker: Broker,
    topic: String,
    quality: u8,
    consumer: Arc<Consumer>,
    session: Arc<Mutex<Session>>,
}

/// A message that waits, by what it is known to the session; its room goes with it.
struct Waiting {
    message: Received,
    flight: Option<u64>,
    _room: OwnedSemaphorePermit,
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
    let credentials = Credentials { username, password };
    let broker = Broker::new(&address, credentials, source.keep_alive, opening.networking());
    broker
        .map_err(|error| ActivateError::Event(format!("the address of trigger `{id}` is {error}")))
}

impl Source for Mqtt {
    fn describe(&self) -> String {
        format!("mqtt {} {} (quality {})", self.broker.name(), self.topic, self.quality)
    }

    fn sample(&self) -> Event {
        self.plain(self.topic.clone(), Bytes::new())
    }

    fn run(self: Box<Self>, courier: Arc<Courier>) -> Running {
        Box::pin(async move {
            let ending = courier.ending();
            // The room bounds it.
            let (sender, waiting) = mpsc::unbounded_channel();
            let room = Arc::new(Semaphore::new(WAITING));
            let lost = Lost { what: "broker", name: self.broker.name() };
            let listening = keep(&courier, &lost, || self.listen(&courier, &sender, &room, &lost));
            tokio::select! {
                () = listening => {}
                () = self.bring(&courier, waiting) => {}
                () = ending.came() => {}
            }
            // What is under way is acknowledged by the connection that there is.
            while courier.metrics().under_way() > 0 {
                tokio::time::sleep(LOOK).await;
                if let Some(acks) = self.acks() {
                    // It may be gone.
                    let _ = acks.flush().await;
                }
            }
            if let Some(acks) = self.acks() {
                acks.leave().await;
            }
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

    /// The event that a message is which says nothing of itself.
    fn plain(&self, topic: String, data: Bytes) -> Event {
        let source = format!("/mqtt/{}", self.broker.name());
        let subject = Some(topic);
        Event { subject, ..Event::new(source, "dayfly.mqtt.message", data) }
    }

    /// Acknowledges the messages of the connection that there is, or that there was last.
    fn acks(&self) -> Option<Acks> {
        lock(&self.session).acks()
    }

    async fn listen(
        &self,
        courier: &Courier,
        sender: &mpsc::UnboundedSender<Waiting>,
        room: &Arc<Semaphore>,
        lost: &Lost,
    ) -> Result<(), BrokerError> {
        let client = self.client();
        let known = self.consumer.noted() == Some(client.clone());
        let mut subscription =
            self.broker.subscribe((&client, known), &self.topic, self.quality).await?;
        if let Err(error) = self.consumer.note(&client) {
            tracing::warn!(%error, "it cannot be noted that a topic is listened to");
        }
        lost.found(courier);
        lock(&self.session).connected(subscription.is_resumed(), subscription.acks());
        loop {
            let message = subscription.next().await?;
            if message.is_too_large {
                let topic = &*message.topic;
                tracing::error!(topic, "a message of more than 16 MiB was dropped");
                if let Some(receipt) = message.receipt {
                    lock(&self.session).dropped(receipt);
                }
                continue;
            }
            let arrived = lock(&self.session).arrived(&message);
            let Arrived::New(flight) = arrived else { continue };
            let kib = message.data.len().div_ceil(1024).clamp(1, WAITING);
            let kib = u32::try_from(kib).unwrap_or(u32::MAX);
            let room = match room.clone().try_acquire_many_owned(kib) {
                Ok(room) => room,
                Err(_) if message.receipt.is_none() => {
                    let topic = message.topic;
                    tracing::warn!(topic, "a message of quality 0 was dropped: too much waits");
                    continue;
                }
                Err(_) => match room.clone().acquire_many_owned(kib).await {
                    Ok(room) => room,
                    Err(_) => return Ok(()),
                },
            };
            if sender.send(Waiting { message, flight, _room: room }).is_err() {
                return Ok(());
            }
        }
    }

    async fn bring(&self, courier: &Arc<Courier>, mut waiting: mpsc::UnboundedReceiver<Waiting>) {
        while let Some(Waiting { message, flight, _room }) = waiting.recv().await {
            let leave = courier.leave().await;
            let Received { topic, data, content_type, attributes, .. } = message;
            let plain = self.plain(topic.clone(), data);
            let mut event = Event::of_attributes(attributes, content_type, plain);
            courier.complete(&topic, &mut event);
            let session = self.session.clone();
            courier.bring(leave, event.into(), async move |settled| {
                if let Some(flight) = flight.filter(|_| settled.is_over()) {
                    lock(&session).settled(flight);
                }
            });
        }
    }
}

fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}
