//! Streams of JetStream by durable consumers that are pulled from. A message is acknowledged when it was
//! handled; what its handler failed at is given back to come again later, to whichever process.

use std::sync::Arc;
use std::time::Duration;

use dayfly_capabilities::nats::jetstream::{self, Consumer, Place};
use dayfly_capabilities::nats::server::Server;
use dayfly_capabilities::nats::{Connection, Incoming, Reader, ServerError, headers};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::super::reconnect::{AGAIN, keep};
use super::known::{Arrived, key};
use super::settling::Settling;
use super::{event, lost, plain, read, sample};
use crate::events::{Courier, Event, Leave, Parcel, Running, Source};

/// How many messages are asked for at once.
const TOGETHER: usize = 64;

/// How long the server waits for messages before it is asked again.
const EXPIRES: Duration = Duration::from_secs(3);

/// How long it may take beyond that.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the server hears of a message under way, within the time after which it gives it to another.
const TIMES: u32 = 3;

/// How many messages may be out for each that is handled at once. Those that a killed process left, and
/// those that wait for another attempt, count too: they are not to hold up the rest.
const OUT: u32 = 4;

/// How often is looked whether all is settled.
const SETTLED: Duration = Duration::from_millis(50);

/// Statuses: there is nothing, the time is over, something is amiss.
const ENDED: [u16; 2] = [404, 408];
const AMISS: u16 = 409;

pub(super) struct Stream {
    server: Server,
    consumer: Consumer,
    makes_it: bool,
    shared: Arc<Settling>,
}

impl Source for Stream {
    fn describe(&self) -> String {
        let Consumer { stream, durable, filter, .. } = &self.consumer;
        let filter = filter.as_ref().map(|filter| format!(" {filter}")).unwrap_or_default();
        format!("nats {} stream {stream}{filter} (consumer {durable})", self.server.name())
    }

    fn sample(&self) -> Event {
        let subject = self.consumer.filter.as_ref().unwrap_or(&self.consumer.stream);
        sample(&self.server, "dayfly.nats.stream", subject)
    }

    fn run(mut self: Box<Self>, courier: Arc<Courier>) -> Running {
        self.consumer.pending = match courier.is_ordered() {
            true => 1,
            false => courier.most().saturating_mul(OUT),
        };
        Box::pin(async move {
            keep(&courier, &lost(&self.server), || self.session(&courier)).await;
            // If the connection broke off just then, what is under way is settled by another.
            while courier.metrics().under_way() > 0 {
                if self.finish(&courier).await.is_err() {
                    tokio::time::sleep(AGAIN).await;
                }
            }
        })
    }
}

impl Stream {
    pub(super) fn new(server: Server, consumer: Consumer, makes_it: bool) -> Self {
        Self { server, consumer, makes_it, shared: Arc::default() }
    }

    async fn session(&self, courier: &Arc<Courier>) -> Result<(), ServerError> {
        let ending = courier.ending();
        let opened = tokio::select! {
            opened = self.server.open() => opened?,
            () = ending.came() => return Ok(()),
        };
        self.with(opened, async |connection, arrived| {
            self.begin(connection).await?;
            lost(&self.server).found(courier);
            self.take(courier, connection, arrived).await?;
            self.settle(courier, connection).await
        })
        .await
    }

    /// Settles what is under way though nothing more is taken.
    async fn finish(&self, courier: &Courier) -> Result<(), ServerError> {
        let opened = self.server.open().await?;
        self.with(opened, async |connection, _| self.settle(courier, connection).await).await
    }

    /// Does something with a connection that is read meanwhile, and by which messages are settled.
    async fn with(
        &self,
        (connection, reader): (Connection, Reader),
        work: impl AsyncFnOnce(
            &Connection,
            mpsc::UnboundedReceiver<Incoming>,
        ) -> Result<(), ServerError>,
    ) -> Result<(), ServerError> {
        // As many come as were asked for.
        let (sender, arrived) = mpsc::unbounded_channel();
        self.shared.set_connection(Some(connection.clone()));
        let ended = tokio::select! {
            worked = work(&connection, arrived) => worked,
            error = self.tend(&connection) => Err(error),
            error = read(reader, |message| drop(sender.send(message))) => Err(error),
        };
        self.shared.set_connection(None);
        ended
    }

    /// Sees to it that there is something to take from.
    async fn begin(&self, connection: &Connection) -> Result<(), ServerError> {
        if let Some(filter) = self.consumer.filter.as_ref().filter(|_| self.makes_it) {
            connection.make_stream(&self.consumer.stream, filter).await?;
        }
        connection.make_consumer(&self.consumer).await
    }

    /// Takes messages until the end is asked for, and gives back what nobody has begun with.
    async fn take(
        &self,
        courier: &Arc<Courier>,
        connection: &Connection,
        mut arrived: mpsc::UnboundedReceiver<Incoming>,
    ) -> Result<(), ServerError> {
        let subscription = connection.subscribe(&connection.inbox("*"), None).await?;
        let names = (&*self.consumer.stream, &*self.consumer.durable);
        let mut number = 0u64;
        // Anew each time, so that dead letters that are replayed get their turn.
        while let Some((leave, most)) = courier.leave_for_some(TOGETHER).await {
            number += 1;
            let inbox = connection.inbox(&number.to_string());
            connection.pull(names, &inbox, most, EXPIRES).await?;
            self.take_some(courier, (leave, most, &inbox), &mut arrived).await?;
        }
        connection.unsubscribe(subscription).await?;
        connection.settle().await?;
        while let Ok(message) = arrived.try_recv() {
            if let Some(reply) = message.reply.filter(|reply| Place::parse(reply).is_some()) {
                connection.tell(&[(&reply, jetstream::BACK)]).await?;
            }
        }
        Ok(())
    }

    /// Takes what was asked for, as far as it comes before the end is asked for.
    async fn take_some(
        &self,
        courier: &Arc<Courier>,
        (leave, most, inbox): (Leave, usize, &str),
        arrived: &mut mpsc::UnboundedReceiver<Incoming>,
    ) -> Result<(), ServerError> {
        let ending = courier.ending();
        let until = Instant::now() + EXPIRES + PATIENCE;
        let mut leave = Some(leave);
        let mut left = most;
        while left > 0 {
            let message = tokio::select! {
                message = timeout_at(until, arrived.recv()) => message,
                () = ending.came() => return Ok(()),
            };
            let Ok(Some(message)) = message else { return Ok(()) };
            if let Some((status, words)) = headers::status(&message.headers) {
                // One of before tells nothing of what was asked for last.
                if message.subject == inbox && ended(status, &words)? {
                    if status == AMISS {
                        tokio::time::sleep(AGAIN).await;
                    }
                    return Ok(());
                }
                continue;
            }
            left -= 1;
            self.bring(courier, &mut leave, message).await?;
        }
        Ok(())
    }

    async fn bring(
        &self,
        courier: &Arc<Courier>,
        leave: &mut Option<Leave>,
        message: Incoming,
    ) -> Result<(), ServerError> {
        let Some(reply) = message.reply.clone() else { return Ok(()) };
        let Some(place) = Place::parse(&reply) else { return Ok(()) };
        let key = key(place);
        if message.is_too_large {
            let (stream, number) = (&*self.consumer.stream, place.sequence);
            tracing::error!(stream, number, "a message of more than 16 MiB is left in its stream");
            return self.shared.tell(&reply, jetstream::GIVEN_UP).await;
        }
        let known = self.shared.known().arrived(key, &reply);
        match known {
            Arrived::New => {}
            Arrived::UnderWay => return Ok(()),
            Arrived::Handled => return self.shared.tell(&reply, jetstream::HANDLED).await,
        }
        let leave = match leave.take() {
            Some(leave) => leave,
            None => match courier.leave_to_begin().await {
                Some(leave) => leave,
                None => {
                    self.shared.known().settled(key, false);
                    return self.shared.tell(&reply, jetstream::BACK).await;
                }
            },
        };
        let plain = plain(&message, &self.server, "dayfly.nats.stream");
        let id = format!("{}-{}-{}", self.consumer.stream, place.sequence, place.nanos);
        let event = event(&message, Event { id, time: place.time(), ..plain });
        let attempts = u32::try_from(place.deliveries.saturating_sub(1)).unwrap_or(u32::MAX);
        let parcel = Parcel { attempts, comes_again: true, ..event.into() };
        let shared = self.shared.clone();
        courier.bring(leave, parcel, async move |settled| shared.settled(key, settled).await);
        Ok(())
    }

    /// Waits until all that is under way is settled, and the server knows.
    async fn settle(&self, courier: &Courier, connection: &Connection) -> Result<(), ServerError> {
        while courier.metrics().under_way() > 0 {
            tokio::time::sleep(SETTLED).await;
        }
        connection.settle().await
    }

    /// Tells the server of what is under way that it is; how that ended.
    async fn tend(&self, connection: &Connection) -> ServerError {
        loop {
            tokio::time::sleep(self.consumer.ack_wait / TIMES).await;
            let replies = self.shared.known().replies();
            let told: Vec<(&str, &[u8])> =
                replies.iter().map(|reply| (reply.as_str(), jetstream::IN_PROGRESS)).collect();
            if let Err(error) = connection.tell(&told).await {
                return error;
            }
        }
    }
}

/// Whether nothing more comes of what was asked for.
fn ended(status: u16, words: &str) -> Result<bool, ServerError> {
    match status {
        status if ENDED.contains(&status) => Ok(true),
        // Whether the consumer is gone shows when it is looked for.
        AMISS if words.contains("Deleted") || words.contains("Shutdown") => {
            Err(ServerError::Unfit(format!("the server says: {words}")))
        }
        AMISS => {
            tracing::debug!(words, "a NATS server does not give what it was asked for");
            Ok(true)
        }
        headers::NOBODY => Err(ServerError::Unfit("the consumer is not reached".to_owned())),
        _ => Ok(false),
    }
}
