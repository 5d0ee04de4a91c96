//! Channels: what is published while nobody listens is lost, as Redis has it.

use std::sync::Arc;

use dayfly_capabilities::redis::note::Place;
use dayfly_capabilities::redis::server::{Channels, Server, ServerError};

use super::super::reconnect::keep;
use super::{lost, sample};
use crate::events::{Courier, Event, Running, Source};

pub(super) struct Channel {
    pub(super) server: Server,
    pub(super) name: String,
    pub(super) is_pattern: bool,
}

impl Source for Channel {
    fn describe(&self) -> String {
        let (what, name) = (if self.is_pattern { "channels" } else { "channel" }, &self.name);
        format!("redis {} {what} {name}", self.server.name())
    }

    fn sample(&self) -> Event {
        sample(&self.server, "dayfly.redis.message", &self.name)
    }

    fn run(self: Box<Self>, courier: Arc<Courier>) -> Running {
        Box::pin(async move {
            let (ending, server) = (courier.ending(), lost(&self.server));
            tokio::select! {
                () = keep(&courier, &server, || self.listen(&courier)) => {}
                () = ending.came() => {}
            }
        })
    }
}

impl Channel {
    async fn listen(&self, courier: &Arc<Courier>) -> Result<(), ServerError> {
        let channels = match self.is_pattern {
            true => Channels::Like(&self.name),
            false => Channels::Named(&self.name),
        };
        let mut listener = self.server.listen(channels).await?;
        lost(&self.server).found(courier);
        loop {
            let message = listener.next().await?;
            // Nothing more is read meanwhile: the server keeps it.
            let leave = courier.leave().await;
            let mut event = Event::new(
                format!("/redis/{}", self.server.name()),
                "dayfly.redis.message",
                message.data.into(),
            );
            let place = (&self.server, Place::Channel(&message.channel));
            courier.complete_all(place, std::slice::from_mut(&mut event)).await;
            event.subject = Some(message.channel);
            courier.bring(leave, event.into(), async |_| {});
        }
    }
}
