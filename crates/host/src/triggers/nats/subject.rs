//! Subjects: what is published while nobody listens is lost, as NATS has it. Who has the same group
//! shares the messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use dayfly_capabilities::nats::server::Server;
use dayfly_capabilities::nats::{Incoming, ServerError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::super::reconnect::keep;
use super::{event, lost, plain, read, sample};
use crate::events::{Courier, Event, Running, Source};

/// What waits here, in KiB. A server that is not listened to for a while ends the connection, so what is
/// more is dropped.
const WAITING: usize = 64 << 10;

pub(super) struct Subject {
    pub(super) server: Server,
    pub(super) subject: String,
    pub(super) group: Option<String>,
}

/// A message that waits; its room goes with it.
struct Waiting {
    message: Incoming,
    _room: OwnedSemaphorePermit,
}

/// Where messages wait.
struct Place {
    sender: mpsc::UnboundedSender<Waiting>,
    room: Arc<Semaphore>,
    /// How many were dropped since the last that was not.
    dropped: AtomicU64,
}

impl Source for Subject {
    fn describe(&self) -> String {
        let group = self.group.as_ref().map(|group| format!(" (group {group})"));
        format!("nats {} {}{}", self.server.name(), self.subject, group.unwrap_or_default())
    }

    fn sample(&self) -> Event {
        sample(&self.server, "dayfly.nats.message", &self.subject)
    }

    fn run(self: Box<Self>, courier: Arc<Courier>) -> Running {
        Box::pin(async move {
            // The room bounds it.
            let (sender, waiting) = mpsc::unbounded_channel();
            let room = Arc::new(Semaphore::new(WAITING));
            let listening = async {
                let place = Place { sender, room, dropped: AtomicU64::new(0) };
                keep(&courier, &lost(&self.server), || self.listen(&courier, &place)).await;
            };
            // What has come is handled though the end was asked for: it comes nowhere again.
            tokio::join!(listening, self.bring(&courier, waiting));
        })
    }
}

impl Subject {
    async fn listen(&self, courier: &Courier, place: &Place) -> Result<(), ServerError> {
        let ending = courier.ending();
        let (connection, reader) = tokio::select! {
            opened = self.server.open() => opened?,
            () = ending.came() => return Ok(()),
        };
        let listening = async {
            let number = connection.subscribe(&self.subject, self.group.as_deref()).await?;
            connection.settle().await?;
            lost(&self.server).found(courier);
            ending.came().await;
            connection.unsubscribe(number).await?;
            // By then all has come that was sent to us.
            connection.settle().await
        };
        tokio::select! {
            listened = listening => listened,
            error = read(reader, |message| place.put(message)) => Err(error),
        }
    }

    async fn bring(&self, courier: &Arc<Courier>, mut waiting: mpsc::UnboundedReceiver<Waiting>) {
        while let Some(Waiting { message, _room }) = waiting.recv().await {
            let leave = courier.leave().await;
            let event = event(&message, plain(&message, &self.server, "dayfly.nats.message"));
            courier.bring(leave, event.into(), async |_| {});
        }
    }
}

impl Place {
    fn put(&self, message: Incoming) {
        let subject = &*message.subject;
        if message.is_too_large {
            tracing::error!(subject, "a message of more than 16 MiB was dropped");
            return;
        }
        let bytes = message.headers.len() + message.data.len();
        let kib = u32::try_from(bytes.div_ceil(1024).max(1)).unwrap_or(u32::MAX);
        let Ok(room) = self.room.clone().try_acquire_many_owned(kib) else {
            if self.dropped.fetch_add(1, Relaxed) == 0 {
                tracing::warn!(subject, "messages are dropped: too much waits");
            }
            return;
        };
        let dropped = self.dropped.swap(0, Relaxed);
        if dropped > 0 {
            tracing::warn!(subject, dropped, "messages were dropped: too much waited");
        }
        // Who takes them is there for as long as this.
        let _ = self.sender.send(Waiting { message, _room: room });
    }
}
