//! The Redis trigger: channels, lists and streams. A connection that broke off is made again for ever,
//! each time later.

mod channel;
mod consumer;
mod queue;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use dayfly_capabilities::redis::server::{Server, ServerError};
use dayfly_model::EventSource;
use dayfly_model::events::RedisFrom;
use redis::FromRedisValue;

use super::SourceType;
use crate::dispatch::ActivateError;
use crate::events::{Courier, Opening, Source, jittered};
use channel::Channel;
use consumer::Consumer;
use queue::Queue;
use stream::Stream;

/// This trigger's line in the registry.
pub(super) const SOURCE: SourceType = SourceType { name: "redis", open };

/// How long to wait before a connection is made again, at first and at most.
const AGAIN: Duration = Duration::from_millis(100);
const AGAIN_MOST: Duration = Duration::from_secs(10);

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
    let address = opening.resolve(&source.address, "the address of a Redis server")?;
    let server = Server::new(&address).map_err(|error| {
        ActivateError::Event(format!("the address of trigger `{id}` is {error}"))
    })?;
    let name = |template| opening.resolve(template, "what a Redis trigger listens to");
    let consumer = || {
        let folder = opening.backends.state.join("consumers").join(id);
        Consumer::take(&folder).map_err(|error| {
            ActivateError::Event(format!("failed to write to `{}`: {error}", folder.display()))
        })
    };
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

/// Keeps a session with a server going, until the end is asked for. A session ends by failing, or
/// because the end came.
async fn keep<F>(courier: &Arc<Courier>, server: &Server, session: impl Fn() -> F)
where
    F: Future<Output = Result<(), ServerError>>,
{
    let ending = courier.ending();
    let mut wait = AGAIN;
    loop {
        let began = std::time::Instant::now();
        let Err(error) = session().await else { return };
        if courier.metrics().set_connected(false) {
            let (trigger, server) = (&**courier.trigger(), server.name());
            tracing::warn!(trigger, server, %error, "the Redis server is lost: tried again for ever");
        }
        if began.elapsed() > AGAIN_MOST {
            wait = AGAIN;
        }
        if ending.within(jittered(wait)).await {
            return;
        }
        wait = (wait * 2).min(AGAIN_MOST);
    }
}

/// Notes that the server is there.
fn connected(courier: &Courier, server: &Server) {
    if courier.metrics().set_connected(true) {
        let (trigger, server) = (&**courier.trigger(), server.name());
        tracing::info!(trigger, server, "the Redis server is back");
    }
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
