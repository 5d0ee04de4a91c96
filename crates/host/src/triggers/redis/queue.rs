//! Lists as queues. A message moves from the right end of the list into a list of what its consumer
//! handles, and leaves that when it was handled. What a consumer that is gone has left there moves
//! back.
//!
//! Beside the list `KEY` there are `KEY:consumers` (a set of names), and for each consumer
//! `KEY:handled-by:NAME` (the list) and `KEY:alive:NAME` (gone soon after its consumer). Messages that are
//! too large for any handler are set aside in `KEY:too-large`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dayfly_capabilities::queue::MESSAGE_BYTES;
use dayfly_capabilities::redis::note::Place;
use dayfly_capabilities::redis::server::{Server, ServerError, Waiting};

use super::super::consumer::Consumer;
use super::super::reconnect::keep;
use super::{BLOCK, PATIENCE, insist, lost, read, sample};
use crate::events::{Courier, Event, Leave, Running, Settled, Source};

/// How often a consumer says that it is there, and looks for others that are not.
const TEND: Duration = Duration::from_secs(5);

/// How often is looked whether all is settled.
const SETTLED: Duration = Duration::from_millis(50);

/// How long one that says nothing is taken to be there, in seconds.
const ALIVE: u64 = 30;

/// How many messages are taken at once, and how large they are together, in bytes, when no more are.
const TOGETHER: usize = 64;
const TOGETHER_BYTES: usize = 1 << 20;

/// Takes several messages.
const TAKE: &str = "
    local taken, bytes = {}, 0
    while #taken < tonumber(ARGV[1]) and bytes < tonumber(ARGV[2]) do
        local message = redis.call('LMOVE', KEYS[1], KEYS[2], 'RIGHT', 'LEFT')
        if not message then break end
        table.insert(taken, message)
        bytes = bytes + #message
    end
    return taken";

/// Moves back what a consumer has left, unless it is there.
const RECOVER: &str = "
    if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
    local moved = 0
    while redis.call('LMOVE', KEYS[2], KEYS[1], 'LEFT', 'RIGHT') do moved = moved + 1 end
    redis.call('SREM', KEYS[4], ARGV[1])
    return moved";

/// Sets aside what is longer than may be of what a consumer handles.
const SET_ASIDE: &str = "
    local aside = 0
    for _, message in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
        if #message > tonumber(ARGV[1]) then
            redis.call('LREM', KEYS[1], 1, message)
            redis.call('LPUSH', KEYS[2], message)
            aside = aside + 1
        end
    end
    return aside";

/// Moves one message back.
const BACK: &str = "
    if redis.call('LREM', KEYS[2], 1, ARGV[1]) == 1 then redis.call('RPUSH', KEYS[1], ARGV[1]) end";

pub(super) struct Queue {
    server: Server,
    key: String,
    consumer: Arc<Consumer>,
    under_way: Arc<UnderWay>,
}

/// The messages that are under way, the same one perhaps several times.
#[derive(Default)]
struct UnderWay(Mutex<HashMap<Vec<u8>, usize>>);

impl UnderWay {
    fn add(&self, message: &[u8]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry(message.to_vec()).or_default() += 1;
    }

    fn remove(&self, message: &[u8]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(message) {
            *count -= 1;
            if *count == 0 {
                all.remove(message);
            }
        }
    }

    /// Those of `messages` that are not under way.
    fn missing(&self, messages: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_missing = |message: &Vec<u8>| match known.get_mut(message) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        };
        messages.into_iter().filter(is_missing).collect()
    }
}

impl Source for Queue {
    fn describe(&self) -> String {
        format!("redis {} queue {}", self.server.name(), self.key)
    }

    fn sample(&self) -> Event {
        sample(&self.server, "dayfly.redis.queue", &self.key)
    }

    fn run(self: Box<Self>, courier: Arc<Courier>) -> Running {
        Box::pin(async move {
            keep(&courier, &lost(&self.server), || async {
                tokio::select! {
                    taken = self.take(&courier) => taken,
                    error = self.tend() => Err(error),
                }
            })
            .await;
            // Others must not take what is still under way.
            while courier.metrics().under_way() > 0 {
                let _ = self.register().await;
                tokio::time::sleep(SETTLED).await;
            }
        })
    }
}

impl Queue {
    pub(super) fn new(server: Server, key: String, consumer: Arc<Consumer>) -> Self {
        Self { server, key, consumer, under_way: Arc::default() }
    }

    fn handled_by(&self, name: &str) -> String {
        format!("{}:handled-by:{name}", self.key)
    }

    fn alive(&self, name: &str) -> String {
        format!("{}:alive:{name}", self.key)
    }

    fn consumers(&self) -> String {
        format!("{}:consumers", self.key)
    }

    async fn take(&self, courier: &Arc<Courier>) -> Result<(), ServerError> {
        let own = self.handled_by(&self.consumer.name);
        self.register().await?;
        // What lies there and is not under way was moved by a command whose reply was lost, or by this
        // consumer's earlier life.
        let left = self.left(&own).await?;
        let waiting = self.server.waiting().await?;
        lost(&self.server).found(courier);
        // The last is the one that was taken first.
        let missing = self.under_way.missing(left).into_iter().rev();
        for event in self.events(courier, missing).await {
            let Some(leave) = courier.leave_to_begin().await else { return Ok(()) };
            self.bring(courier, leave, event);
        }
        // Anew each time, so that dead letters that are replayed get their turn.
        while let Some((leave, most)) = courier.leave_for_some(TOGETHER).await {
            let messages = self.next(&waiting, &own, most).await?;
            if messages.iter().any(|message| message.len() > MESSAGE_BYTES) {
                self.left(&own).await?;
            }
            let mut leave = Some(leave);
            let fit = messages.into_iter().filter(|message| message.len() <= MESSAGE_BYTES);
            for event in self.events(courier, fit).await {
                let leave = match leave.take() {
                    Some(leave) => leave,
                    None => courier.leave().await,
                };
                self.bring(courier, leave, event);
            }
        }
        Ok(())
    }

    /// Takes the next messages, or waits for one.
    async fn next(
        &self,
        waiting: &Waiting,
        own: &str,
        most: usize,
    ) -> Result<Vec<Vec<u8>>, ServerError> {
        let mut some = redis::cmd("EVAL");
        some.arg(TAKE).arg(2).arg(&self.key).arg(own).arg(most).arg(TOGETHER_BYTES);
        let some: Vec<Vec<u8>> = read(waiting.query(&some, PATIENCE).await?).unwrap_or_default();
        if !some.is_empty() {
            return Ok(some);
        }
        let mut one = redis::cmd("BLMOVE");
        one.arg(&self.key).arg(own).arg("RIGHT").arg("LEFT").arg(BLOCK.as_secs_f64());
        let one = read(waiting.query(&one, BLOCK + PATIENCE).await?);
        Ok(one.flatten().into_iter().collect())
    }

    /// What lies in this consumer's list. What no handler could take is set aside.
    async fn left(&self, own: &str) -> Result<Vec<Vec<u8>>, ServerError> {
        let mut aside = redis::cmd("EVAL");
        let too_large = format!("{}:too-large", self.key);
        aside.arg(SET_ASIDE).arg(2).arg(own).arg(&too_large).arg(MESSAGE_BYTES);
        let count: i64 = read(self.server.query(&aside).await?).unwrap_or_default();
        if count > 0 {
            tracing::error!(
                queue = self.key,
                count,
                "messages of more than {} MiB were set aside in `{too_large}`",
                MESSAGE_BYTES >> 20
            );
        }
        let mut left = Vec::new();
        // One by one: together they may be more than is read at once.
        loop {
            let mut next = redis::cmd("LINDEX");
            let next = self.server.query(next.arg(own).arg(left.len())).await?;
            match read::<Option<Vec<u8>>>(next).flatten() {
                Some(message) => left.push(message),
                None => return Ok(left),
            }
        }
    }

    /// The events that messages are, with what lies behind them.
    async fn events(
        &self,
        courier: &Arc<Courier>,
        messages: impl Iterator<Item = Vec<u8>>,
    ) -> Vec<Event> {
        let event = |message: Vec<u8>| Event { data: message.into(), ..self.sample() };
        let mut events: Vec<Event> = messages.map(event).collect();
        courier.complete_all((&self.server, Place::List(&self.key)), &mut events).await;
        events
    }

    fn bring(&self, courier: &Arc<Courier>, leave: Leave, event: Event) {
        let (message, note) = (event.data.clone(), event.note());
        self.under_way.add(&message);
        let (server, under_way) = (self.server.clone(), self.under_way.clone());
        let (key, own) = (self.key.clone(), self.handled_by(&self.consumer.name));
        let teller = courier.clone();
        courier.bring(leave, event.into(), async move |settled| {
            let command = match settled {
                Settled::Done | Settled::Dead => {
                    let mut remove = redis::cmd("LREM");
                    remove.arg(&own).arg(1).arg(&message[..]);
                    remove
                }
                Settled::Back | Settled::Later(_) => {
                    let noted = teller.noted_again(Place::List(&key), &note, &message);
                    // Without its note it is a message all the same.
                    let _ = server.query_all(&noted).await;
                    let mut back = redis::cmd("EVAL");
                    back.arg(BACK).arg(2).arg(&key).arg(&own).arg(&message[..]);
                    back
                }
            };
            insist(&teller, &server, &command).await;
            under_way.remove(&message);
        });
    }

    /// Says from time to time that this consumer is there, and looks for others that are not; how that
    /// ended.
    async fn tend(&self) -> ServerError {
        loop {
            if let Err(error) = self.look().await {
                return error;
            }
            tokio::time::sleep(TEND).await;
        }
    }

    /// Says that this consumer is there; others may have taken it to be gone.
    async fn register(&self) -> Result<(), ServerError> {
        let mut register = redis::cmd("SADD");
        self.server.query(register.arg(self.consumers()).arg(&self.consumer.name)).await?;
        let mut alive = redis::cmd("SET");
        alive.arg(self.alive(&self.consumer.name)).arg(1).arg("EX").arg(ALIVE);
        self.server.query(&alive).await.map(drop)
    }

    async fn look(&self) -> Result<(), ServerError> {
        self.register().await?;
        let mut all = redis::cmd("SMEMBERS");
        let all = self.server.query(all.arg(self.consumers())).await?;
        let all: Vec<String> = read(all).unwrap_or_default();
        for name in all.iter().filter(|name| **name != self.consumer.name) {
            let mut recover = redis::cmd("EVAL");
            recover.arg(RECOVER).arg(4).arg(&self.key).arg(self.handled_by(name));
            recover.arg(self.alive(name)).arg(self.consumers()).arg(name);
            let moved: i64 = read(self.server.query(&recover).await?).unwrap_or_default();
            if moved > 0 {
                tracing::warn!(
                    queue = self.key,
                    consumer = name,
                    moved,
                    "a consumer is gone: what it has left is taken again"
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_messages_are_told_apart_by_their_number() {
        let under_way = UnderWay::default();
        let message = |text: &str| text.as_bytes().to_vec();
        under_way.add(b"a");
        under_way.add(b"a");
        let all = vec![message("a"), message("b"), message("a"), message("a")];
        assert_eq!(under_way.missing(all.clone()), [message("b"), message("a")]);
        under_way.remove(b"a");
        assert_eq!(under_way.missing(all), [message("b"), message("a"), message("a")]);
    }
}
