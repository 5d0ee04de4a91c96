//! The Redis trigger: channels, lists and streams.

mod channel;
mod entry;
mod queue;
mod stream;

use std::time::Duration;

use dayfly_capabilities::redis::server::Server;
use dayfly_model::EventSource;
use dayfly_model::events::{RedisFrom, RedisSource};
use redis::FromRedisValue;

use super::SourceType;
use super::consumer::Consumer;
use super::reconnect::{AGAIN, AGAIN_MOST, Lost};
use crate::dispatch::ActivateError;
use crate::events::{Courier, Event, Opening, Source, jittered};
use channel::Channel;
use queue::Queue;
use stream::Stream;

/// This trigger's line in the registry.
pub(super) const SOURCE: SourceType = SourceType { name: "redis", open };

/// How long the server waits for a message before it says that there is none. The end of this process
/// waits for that.
const BLOCK: Duration = Duration::from_secs(1);

/// How long it may take beyond that.
const PATIENCE: Duration = Duration::from_secs(10);

fn open(
    id: &str,
    source: &EventSource,
    opening: &Opening<'_>,
) -> Result<Box<dyn Source>, ActivateError> {
    let EventSource::Redis(source) = source else {
        return Err(ActivateError::Event("no Redis server".to_owned()));
    };
    let server = server(id, source, opening)?;
    let name = |template| opening.resolve(template, "what a Redis trigger listens to");
    let consumer = || Consumer::of(opening, id);
    Ok(match &source.from {
        RedisFrom::Channel(channel) => {
            Box::new(Channel { server, name: name(channel)?, is_pattern: false })
        }
        RedisFrom::Pattern(pattern) => {
            Box::new(Channel { server, name: name(pattern)?, is_pattern: true })
        }
        RedisFrom::Queue(list) => Box::new(Queue::new(server, name(list)?, consumer()?)),
        RedisFrom::Stream { key, group, from_start } => {
            let group = group.clone().unwrap_or_else(|| opening.app.name.clone());
            Box::new(Stream::new(server, name(key)?, (group, *from_start), consumer()?))
        }
    })
}

/// The server of a trigger.
pub(crate) fn server(
    id: &str,
    source: &RedisSource,
    opening: &Opening<'_>,
) -> Result<Server, ActivateError> {
    let address = opening.resolve(&source.address, "the address of a Redis server")?;
    Server::new(&address, opening.networking())
        .map_err(|error| ActivateError::Event(format!("the address of trigger `{id}` is {error}")))
}

/// An event as those look that come from a channel, a list or a stream of a server.
fn sample(server: &Server, kind: &str, subject: &str) -> Event {
    let mut event = Event::new(format!("/redis/{}", server.name()), kind, bytes::Bytes::new());
    event.subject = Some(subject.to_owned());
    event
}

/// What is said when the server is lost.
fn lost(server: &Server) -> Lost {
    Lost { what: "Redis server", name: server.name() }
}

/// Asks until the server has answered, or this process ends.
async fn insist(courier: &Courier, server: &Server, command: &redis::Cmd) {
    let mut wait = AGAIN;
    while let Err(error) = server.query(command).await {
        tracing::debug!(trigger = &**courier.trigger(), %error, "what became of a message is told again");
        if error.code().is_some() {
            tracing::error!(trigger = &**courier.trigger(), %error, "what became of a message cannot be told");
            return;
        }
        // Not when the end is asked for: that waits for what is under way.
        tokio::time::sleep(jittered(wait)).await;
        wait = (wait * 2).min(AGAIN_MOST);
    }
}

/// A reply as what it should be; nothing if it is something else.
fn read<T: FromRedisValue>(reply: redis::Value) -> Option<T> {
    redis::from_redis_value(reply).ok()
}
