//! Streams by consumer groups. An entry is acknowledged when it was handled. What this consumer has
//! left unacknowledged is read first; what others have, and do not look after, is claimed. Entries that
//! are too large for any handler are set aside in the stream `KEY:too-large`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dayfly_capabilities::queue::MESSAGE_BYTES;
use dayfly_capabilities::redis::server::{Server, ServerError, Waiting};
use redis::streams::{StreamAutoClaimReply, StreamId, StreamReadReply};
use redis::{Cmd, Value};

use super::super::consumer::Consumer;
use super::super::reconnect::keep;
use super::{BLOCK, PATIENCE, insist, lost, read};
use crate::events::{Courier, Event, Leave, Running, Settled, Source};

/// How often entries under way are looked after, and those that nobody looks after are looked for.
const TEND: Duration = Duration::from_secs(15);

/// After how long an entry that nobody looks after is another's.
const ABANDONED: Duration = Duration::from_secs(60);

/// How many entries are read at once.
const TOGETHER: usize = 64;

/// Sets aside what is larger than may be of what a consumer has not acknowledged.
const SET_ASIDE: &str = "
    local aside = 0
    local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1000, ARGV[2])
    for _, one in ipairs(pending) do
        local entry = redis.call('XRANGE', KEYS[1], one[1], one[1])[1]
        local size = 0
        for _, part in ipairs(entry and entry[2] or {}) do size = size + #part end
        if size > tonumber(ARGV[3]) then
            redis.call('XADD', KEYS[2], '*', unpack(entry[2]))
            redis.call('XACK', KEYS[1], ARGV[1], one[1])
            aside = aside + 1
        end
    end
    return aside";

pub(super) struct Stream {
    /// How many entries are read at once: fewer after they were too much together.
    together: AtomicUsize,
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
            keep(&courier, &lost(&self.server), || async {
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
        let together = AtomicUsize::new(TOGETHER);
        Self { together, server, key, group, from_start, consumer, under_way: Arc::default() }
    }

    async fn take(&self, courier: &Arc<Courier>) -> Result<(), ServerError> {
        self.begin().await?;
        let waiting = self.server.waiting().await?;
        lost(&self.server).found(courier);
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
                let together = self.together.load(Relaxed);
                let most = (courier.room() + 1).min(together);
                let entries = match self.next(&waiting, after.as_deref(), most).await {
                    Err(error) if error.is_too_large() => {
                        self.together.store((together / 4).max(1), Relaxed);
                        if together == 1 {
                            self.set_aside().await?;
                        }
                        return Err(error);
                    }
                    entries => entries?,
                };
                self.together.store((together + 1).min(TOGETHER), Relaxed);
                if after.is_some() {
                    // What was left behind, page by page.
                    after = entries.last().map(|entry| entry.id.clone());
                }
                if entries.iter().any(|entry| size(entry) > MESSAGE_BYTES) {
                    self.set_aside().await?;
                }
                for entry in entries.into_iter().filter(|entry| size(entry) <= MESSAGE_BYTES) {
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

    /// Sets aside what no handler could take.
    async fn set_aside(&self) -> Result<(), ServerError> {
        let too_large = format!("{}:too-large", self.key);
        let mut aside = redis::cmd("EVAL");
        aside.arg(SET_ASIDE).arg(2).arg(&self.key).arg(&too_large);
        aside.arg(&self.group).arg(&self.consumer.name).arg(MESSAGE_BYTES);
        let count: i64 = read(self.server.query(&aside).await?).unwrap_or_default();
        if count > 0 {
            tracing::error!(
                stream = self.key,
                count,
                "entries of more than {} MiB were set aside in `{too_large}`",
                MESSAGE_BYTES >> 20
            );
        }
        Ok(())
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
        let claimed = claimed.into_iter().flat_map(|reply| reply.claimed);
        // What is too large is set aside by who reads it first.
        for entry in claimed.filter(|entry| size(entry) <= MESSAGE_BYTES) {
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

/// How large an entry is, in bytes.
fn size(entry: &StreamId) -> usize {
    let bytes = |value: &Value| match value {
        Value::BulkString(bytes) => bytes.len(),
        _ => 0,
    };
    entry.map.iter().map(|(name, value)| name.len() + bytes(value)).sum()
}

/// Whether CloudEvents lets an attribute have this name.
fn is_attribute(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
