//! Streams by consumer groups. An entry is acknowledged when it was handled. What this consumer has
//! left unacknowledged is read first; what others have, and do not look after, is claimed. Entries that
//! are too large for any handler are acknowledged, and their ids kept in the stream `KEY:too-large`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dayfly_capabilities::queue::MESSAGE_BYTES;
use dayfly_capabilities::redis::server::{Server, ServerError, Waiting};
use redis::Cmd;

use super::super::consumer::Consumer;
use super::super::reconnect::keep;
use super::entry::{self, Entry};
use super::{BLOCK, PATIENCE, insist, lost, read, sample};
use crate::events::{Courier, Event, Leave, Running, Settled, Source};

/// How often entries under way are looked after, and those that nobody looks after are looked for.
const TEND: Duration = Duration::from_secs(15);

/// After how long an entry that nobody looks after is another's.
const ABANDONED: Duration = Duration::from_secs(60);

/// How many entries are read at once.
const TOGETHER: usize = 64;

/// How many entries of others are claimed at once: together they may be as large as a reply.
const CLAIMED: usize = 2;

/// How often is looked whether all is settled.
const SETTLED: Duration = Duration::from_millis(50);

/// Sets aside what is larger than may be of what a consumer has not acknowledged: its id. The entry stays
/// in the stream.
const SET_ASIDE: &str = "
    local aside, after = 0, '-'
    while true do
        local pending = redis.call('XPENDING', KEYS[1], ARGV[1], after, '+', 100, ARGV[2])
        for _, one in ipairs(pending) do
            local entry = redis.call('XRANGE', KEYS[1], one[1], one[1])[1]
            local size = 0
            for _, part in ipairs(entry and entry[2] or {}) do size = size + #part end
            if size > tonumber(ARGV[3]) then
                redis.call('XADD', KEYS[2], '*', 'id', one[1])
                redis.call('XACK', KEYS[1], ARGV[1], one[1])
                aside = aside + 1
            end
        end
        if #pending < 100 then return aside end
        after = '(' .. pending[#pending][1]
    end";

pub(super) struct Stream {
    /// How many entries are read at once: fewer after they were too much together.
    together: AtomicUsize,
    server: Server,
    key: String,
    group: String,
    from_start: bool,
    consumer: Arc<Consumer>,
    under_way: Arc<Mutex<HashSet<String>>>,
}

impl Source for Stream {
    fn describe(&self) -> String {
        let Self { key, group, .. } = self;
        format!("redis {} stream {key} (group {group})", self.server.name())
    }

    fn sample(&self) -> Event {
        sample(&self.server, "dayfly.redis.stream", &self.key)
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
            // Others must not claim what is still under way.
            while courier.metrics().under_way() > 0 {
                tokio::select! {
                    _ = self.keep_own() => {}
                    () = tokio::time::sleep(SETTLED) => {}
                }
                tokio::time::sleep(SETTLED).await;
            }
        })
    }
}

impl Stream {
    pub(super) fn new(
        server: Server,
        key: String,
        (group, from_start): (String, bool),
        consumer: Arc<Consumer>,
    ) -> Self {
        let together = AtomicUsize::new(TOGETHER);
        Self { together, server, key, group, from_start, consumer, under_way: Arc::default() }
    }

    async fn take(&self, courier: &Arc<Courier>) -> Result<(), ServerError> {
        self.begin().await?;
        let waiting = self.server.waiting().await?;
        lost(&self.server).found(courier);
        let mut after = Some("0".to_owned());
        loop {
            // Anew each time, so that dead letters that are replayed get their turn.
            let together = self.together.load(Relaxed);
            let Some((leave, most)) = courier.leave_for_some(together).await else { return Ok(()) };
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
            if entries.iter().any(|entry| entry.size() > MESSAGE_BYTES) {
                self.set_aside().await?;
            }
            let mut leave = Some(leave);
            for entry in entries.into_iter().filter(|entry| entry.size() <= MESSAGE_BYTES) {
                let leave = match leave.take() {
                    Some(leave) => leave,
                    None => courier.leave().await,
                };
                self.bring(courier, leave, entry).await?;
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
    ) -> Result<Vec<Entry>, ServerError> {
        let mut next = redis::cmd("XREADGROUP");
        next.arg("GROUP").arg(&self.group).arg(&self.consumer.name).arg("COUNT").arg(most);
        next.arg("BLOCK").arg(millis(BLOCK)).arg("STREAMS").arg(&self.key);
        let reply = waiting.query(next.arg(after.unwrap_or(">")), BLOCK + PATIENCE).await?;
        Ok(entry::of_reply(reply))
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

    async fn bring(
        &self,
        courier: &Arc<Courier>,
        leave: Leave,
        entry: Entry,
    ) -> Result<(), ServerError> {
        let id = entry.id.clone();
        let is_new = self.lock().insert(id.clone());
        if !is_new {
            return Ok(());
        }
        let (server, under_way) = (self.server.clone(), self.under_way.clone());
        let mut acknowledge = redis::cmd("XACK");
        acknowledge.arg(&self.key).arg(&self.group).arg(&id);
        let Some(event) = entry.event(&self.key, &self.server.name()) else {
            // It was deleted, or cut off, before it was handled.
            tracing::warn!(stream = self.key, entry = id, "the entry is gone: acknowledged");
            self.lock().remove(&id);
            return self.server.query(&acknowledge).await.map(drop);
        };
        let teller = courier.clone();
        courier.bring(leave, event.into(), async move |settled| {
            match settled {
                Settled::Done | Settled::Dead => insist(&teller, &server, &acknowledge).await,
                // It stays where it is: this consumer's next life reads it first.
                Settled::Back | Settled::Later(_) => {}
            }
            under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        });
        Ok(())
    }

    /// Looks after the entries under way, and for those that nobody looks after; how that ended.
    async fn tend(&self, courier: &Arc<Courier>) -> ServerError {
        let keeping = async {
            loop {
                tokio::time::sleep(TEND).await;
                if let Err(error) = self.keep_own().await {
                    return error;
                }
            }
        };
        let claiming = async {
            loop {
                tokio::time::sleep(TEND).await;
                if let Err(error) = self.claim(courier).await {
                    return error;
                }
            }
        };
        tokio::select! {
            error = keeping => error,
            error = claiming => error,
        }
    }

    /// Says that the entries under way are looked after.
    async fn keep_own(&self) -> Result<(), ServerError> {
        let own: Vec<String> = self.lock().iter().cloned().collect();
        if own.is_empty() {
            return Ok(());
        }
        let mut keep = self.command("XCLAIM");
        keep.arg(0).arg(own).arg("JUSTID");
        self.server.query(&keep).await.map(drop)
    }

    /// Takes over what its consumer does not look after.
    async fn claim(&self, courier: &Arc<Courier>) -> Result<(), ServerError> {
        let mut claim = self.command("XAUTOCLAIM");
        claim.arg(millis(ABANDONED)).arg("0").arg("COUNT").arg(CLAIMED);
        let claimed = entry::of_claim(self.server.query(&claim).await?);
        // What is too large is set aside by who reads it first.
        for entry in claimed.into_iter().filter(|entry| entry.size() <= MESSAGE_BYTES) {
            let leave = courier.leave().await;
            tracing::warn!(
                stream = self.key,
                entry = entry.id,
                "claimed: its consumer does not look after it"
            );
            self.bring(courier, leave, entry).await?;
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

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
