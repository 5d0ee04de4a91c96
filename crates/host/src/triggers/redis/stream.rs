//! Streams by consumer groups. An entry is acknowledged when it was handled. What this consumer has
//! left unacknowledged is read first; what others have, and do not look after, is claimed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dayfly_capabilities::redis::server::{Server, ServerError, Waiting};
use redis::streams::{StreamAutoClaimReply, StreamId, StreamReadReply};
use redis::{Cmd, Value};

use super::consumer::Consumer;
use super::{BLOCK, PATIENCE, connected, insist, keep, read};
use crate::events::{Courier, Event, Leave, Running, Settled, Source};

/// How often entries under way are looked after, and those that nobody looks after are looked for.
const TEND: Duration = Duration::from_secs(15);

/// After how long an entry that nobody looks after is another's.
const ABANDONED: Duration = Duration::from_secs(60);

/// How many entries are read at once.
const TOGETHER: usize = 64;

pub(super) struct Stream {
    server: Server,
    key: String,
    group: String,
    from_start: bool,
    consumer: Consumer,
    under_way: Arc<Mutex<HashSet<String>>>,
}

impl Source for Stream {
    fn describe(&self) -> String {
        let Self { key, group, .. } = self;
        format!("redis {} stream {key} (group {group})", self.server.name())
    }

    fn run(self: Box<Self>, courier: Arc<Courier>) -> Running {
        Box::pin(async move {
            keep(&courier, &self.server, || async {
                tokio::select! {
                    taken = self.take(&courier) => taken,
                    error = self.tend(&courier) => Err(error),
                }
            })
            .await;
        })
    }
}

impl Stream {
    pub(super) fn new(
        server: Server,
        key: String,
        (group, from_start): (String, bool),
        consumer: Consumer,
    ) -> Self {
        Self { server, key, group, from_start, consumer, under_way: Arc::default() }
    }

    async fn take(&self, courier: &Arc<Courier>) -> Result<(), ServerError> {
        self.begin().await?;
        let waiting = self.server.waiting().await?;
        connected(courier, &self.server);
        let mut after = Some("0".to_owned());
        let ending = courier.ending();
        loop {
            let leave = tokio::select! {
                leave = courier.leave() => leave,
                () = ending.came() => return Ok(()),
            };
            let mut leave = Some(leave);
            while leave.is_some() {
                if ending.is_here() {
                    return Ok(());
                }
                let most = (courier.room() + 1).min(TOGETHER);
                let entries = self.next(&waiting, after.as_deref(), most).await?;
                if after.is_some() {
                    // What was left behind, page by page.
                    after = entries.last().map(|entry| entry.id.clone());
                }
                for entry in entries {
                    let leave = match leave.take() {
                        Some(leave) => leave,
                        None => courier.leave().await,
                    };
                    self.bring(courier, leave, entry);
                }
            }
        }
    }

    /// Makes the group unless it is there.
    async fn begin(&self) -> Result<(), ServerError> {
        let mut create = redis::cmd("XGROUP");
        let start = if self.from_start { "0" } else { "$" };
        create.arg("CREATE").arg(&self.key).arg(&self.group).arg(start).arg("MKSTREAM");
        match self.server.query(&create).await {
            Err(error) if error.code() != Some("BUSYGROUP") => Err(error),
            _ => Ok(()),
        }
    }

    /// New entries, or those after an id that this consumer has not acknowledged.
    async fn next(
        &self,
        waiting: &Waiting,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<StreamId>, ServerError> {
        let mut next = redis::cmd("XREADGROUP");
        next.arg("GROUP").arg(&self.group).arg(&self.consumer.name).arg("COUNT").arg(most);
        next.arg("BLOCK").arg(millis(BLOCK)).arg("STREAMS").arg(&self.key);
        let reply = waiting.query(next.arg(after.unwrap_or(">")), BLOCK + PATIENCE).await?;
        let reply: Option<StreamReadReply> = read(reply);
        Ok(reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids).collect())
    }

    fn bring(&self, courier: &Arc<Courier>, leave: Leave, entry: StreamId) {
        let id = entry.id.clone();
        let is_new = self.lock().insert(id.clone());
        if !is_new {
            return;
        }
        let (server, under_way) = (self.server.clone(), self.under_way.clone());
        let mut acknowledge = redis::cmd("XACK");
        acknowledge.arg(&self.key).arg(&self.group).arg(&id);
        let event = self.event(entry);
        let teller = courier.clone();
        courier.bring(leave, event.into(), async move |settled| {
            match settled {
                Settled::Done | Settled::Dead => insist(&teller, &server, &acknowledge).await,
                // It stays where it is: this consumer's next life reads it first.
                Settled::Back => {}
            }
            under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        });
    }

    /// An entry as an event: its field `data`, or all of its fields as JSON.
    fn event(&self, entry: StreamId) -> Event {
        let source = format!("/redis/{}", self.server.name());
        let mut event = Event::new(source, "dayfly.redis.stream", Default::default());
        event.id = entry.id;
        event.subject = Some(self.key.clone());
        let mut fields: Vec<(String, Vec<u8>)> = entry
            .map
            .into_iter()
            .filter_map(|(name, value)| match value {
                Value::BulkString(bytes) => Some((name, bytes)),
                Value::SimpleString(text) => Some((name, text.into_bytes())),
                _ => None,
            })
            .collect();
        fields.sort();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if let Some(at) = fields.iter().position(|(name, _)| name == "data") {
            event.data = fields.swap_remove(at).1.into();
            for (name, value) in fields {
                match name.strip_prefix("ce-") {
                    _ if name == "content-type" => event.content_type = Some(text(&value)),
                    Some(crate::events::HOPS) => event.hops = text(&value).parse().unwrap_or(0),
                    Some(name @ ("traceparent" | "tracestate")) => {
                        event.extensions.push((name.to_owned(), text(&value)));
                    }
                    Some(_) => {}
                    None if is_attribute(&name) => event.extensions.push((name, text(&value))),
                    None => {}
                }
            }
        } else {
            let all: serde_json::Map<String, serde_json::Value> =
                fields.iter().map(|(name, value)| (name.clone(), text(value).into())).collect();
            event.data = serde_json::Value::Object(all).to_string().into();
            event.content_type = Some("application/json".to_owned());
        }
        event
    }

    /// Looks after the entries under way, and for those that nobody looks after; how that ended.
    async fn tend(&self, courier: &Arc<Courier>) -> ServerError {
        loop {
            tokio::time::sleep(TEND).await;
            if let Err(error) = self.look(courier).await {
                return error;
            }
        }
    }

    async fn look(&self, courier: &Arc<Courier>) -> Result<(), ServerError> {
        let own: Vec<String> = self.lock().iter().cloned().collect();
        if !own.is_empty() {
            let mut keep = self.command("XCLAIM");
            keep.arg(0).arg(own).arg("JUSTID");
            self.server.query(&keep).await?;
        }
        let mut claim = self.command("XAUTOCLAIM");
        claim.arg(millis(ABANDONED)).arg("0").arg("COUNT").arg(TOGETHER);
        let claimed: Option<StreamAutoClaimReply> = read(self.server.query(&claim).await?);
        for entry in claimed.into_iter().flat_map(|reply| reply.claimed) {
            let leave = courier.leave().await;
            tracing::warn!(
                stream = self.key,
                entry = entry.id,
                "claimed: its consumer does not look after it"
            );
            self.bring(courier, leave, entry);
        }
        Ok(())
    }

    /// A command for this consumer of the group.
    fn command(&self, name: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(&self.key).arg(&self.group).arg(&self.consumer.name);
        command
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether CloudEvents lets an attribute have this name.
fn is_attribute(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
