//! Events a second by each trigger, a fresh instance each, beside a minimal native consumer of the same
//! source that does nothing with what it gets; and how long an event takes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use dayfly_capabilities::queue::{Content, New, Store, Table};
use dayfly_testing::Redis;
use futures_util::StreamExt as _;
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use rusqlite::Connection;
use tokio::runtime::Runtime;

use crate::peer::{Peer, Running};
use crate::stats::{median, percentile};

const ROUNDS: usize = 3;

/// How many events a measurement has, and of queues on the disk.
const EVENTS: u64 = 20_000;
const QUEUED: u64 = 5_000;

/// How many events are sent one after the other to see how long each takes.
const ALONE: usize = 500;

/// How many messages wait while the memory is looked at.
const WAITING: u64 = 1_000_000;

const TEXT: &str = "a message of a hundred bytes: 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789";

const MANIFEST: &str = r#"
dayfly = 1
[application]
name = "events"
[application.trigger.redis]
address = "REDIS"
[[trigger.http]]
route = "/..."
component = "hello"
[[trigger.redis]]
id = "channel"
channel = "channel"
component = "hello"
[[trigger.redis]]
id = "list"
queue = "list"
component = "hello"
[[trigger.redis]]
id = "stream"
stream = "stream"
component = "hello"
[[trigger.queue]]
id = "queue"
queue = "queue"
component = "hello"
[[trigger.redis]]
id = "echo"
queue = "asked"
component = "echo"
output = "redis://answered"
[component.hello]
source = "GUESTS/rust-hello.wasm"
[component.echo]
source = "GUESTS/rust-events.wasm"
"#;

/// What is measured with.
struct Bench {
    runtime: Runtime,
    redis: Redis,
    state: PathBuf,
    metrics: u16,
}

/// Measures each trigger and writes `events.md`.
pub(crate) fn run(root: &Path, folder: &Path, _: u64) -> Result<()> {
    let place = root.join("target/bench/events");
    // What an earlier run stored would be found again.
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let redis = runtime.block_on(Redis::start());
    let guests = root.join("target/guests").display().to_string();
    let text = MANIFEST.replace("GUESTS", &guests).replace("REDIS", &redis.url());
    let manifest = place.join("dayfly.toml");
    std::fs::write(&manifest, text)?;
    let metrics = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let state = place.join("state");
    let flags = format!(
        " --engine aot --metrics-listen 127.0.0.1:{metrics} --state-dir {}",
        state.display()
    );
    let peer = Peer::dayfly(root, "dayfly", &manifest.display().to_string(), &flags)?;
    let bench = Bench { runtime, redis, state, metrics };
    bench.runtime.block_on(bench.relax())?;
    let server = peer.start()?;
    let mut text = format!(
        "# Events\n\nEvents a second, a fresh instance of a hello each, beside a minimal native \
         consumer that does nothing with them, in the same run; the median of {ROUNDS} alternating \
         rounds.\nRedis writes to the disk when the system likes; the queue's file is flushed with each \
         commit.\n\n| source | Dayfly | native | of native |\n| --- | --- | --- | --- |\n"
    );
    for (name, events) in
        [("channel", EVENTS), ("list", EVENTS), ("stream", EVENTS), ("queue", QUEUED)]
    {
        let (mut own, mut natively) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            natively.push(bench.natively(name, events)?);
            own.push(bench.by_dayfly(name, events)?);
        }
        let (own, natively) = (median(own), median(natively));
        writeln!(text, "| {name} | {own:.0} | {natively:.0} | {:.2} |", own / natively)?;
        eprintln!("{name}: {own:.0} beside {natively:.0}");
    }
    let took = bench.runtime.block_on(bench.alone())?;
    let of = |percent| percentile(took.iter().copied(), percent) * 1e3;
    writeln!(
        text,
        "\nFrom `LPUSH` until the handler's answer came back by a channel, one event at a time: median \
         {:.2} ms, 99th percentile {:.2} ms.",
        of(50.0),
        of(99.0)
    )?;
    server.stop()?;
    let memory = bench.memory(&peer)?;
    writeln!(
        text,
        "\nMemory with {WAITING} messages of {} bytes waiting in a queue of Dayfly's own while they are \
         handled: {} MiB.",
        TEXT.len(),
        memory >> 20
    )?;
    std::fs::write(folder.join("events.md"), &text)?;
    print!("{text}");
    Ok(())
}

impl Bench {
    async fn client(&self) -> Result<MultiplexedConnection> {
        let patient =
            redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(60)));
        let client = redis::Client::open(self.redis.url())?;
        Ok(client.get_multiplexed_async_connection_with_config(&patient).await?)
    }

    async fn relax(&self) -> Result<()> {
        let mut client = self.client().await?;
        let set = redis::cmd("CONFIG").arg("SET").arg("appendfsync").arg("no").to_owned();
        Ok(set.query_async(&mut client).await?)
    }

    /// Sends so many events.
    async fn feed(&self, name: &str, events: u64) -> Result<()> {
        let mut client = self.client().await?;
        if name.starts_with("queue") {
            let store = Store::new(&self.state);
            return feed_queue(&store, name, events).await;
        }
        let mut left = events;
        while left > 0 {
            let now = left.min(1000);
            let mut pipe = redis::pipe();
            for _ in 0..now {
                match name.trim_start_matches("native-") {
                    "channel" => pipe.publish(name, TEXT).ignore(),
                    "list" => pipe.lpush(name, TEXT).ignore(),
                    _ => pipe.xadd(name, "*", &[("data", TEXT)]).ignore(),
                };
            }
            let () = pipe.query_async(&mut client).await?;
            left -= now;
        }
        Ok(())
    }

    /// Events a second by Dayfly, from the first that is sent to the last that is settled.
    fn by_dayfly(&self, name: &str, events: u64) -> Result<f64> {
        let before = self.handled(name)?;
        let began = Instant::now();
        self.runtime.block_on(self.feed(name, events))?;
        while self.handled(name)? < before + events {
            std::thread::sleep(Duration::from_millis(5));
            ensure!(began.elapsed() < Duration::from_secs(300), "`{name}` never ends");
        }
        Ok(events as f64 / began.elapsed().as_secs_f64())
    }

    /// How many events of a trigger were handled, as Dayfly's metrics say.
    fn handled(&self, trigger: &str) -> Result<u64> {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.metrics))?;
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let is_it = |line: &&str| {
            line.starts_with("dayfly_events_total{")
                && line.contains(&format!("trigger=\"{trigger}\""))
                && line.contains("outcome=\"handled\"")
        };
        let line = text.lines().find(is_it).context("no such metric")?;
        let value = line.rsplit(' ').next().unwrap_or_default();
        Ok(value.parse::<f64>()? as u64)
    }

    /// Events a second by the least that consumes them.
    fn natively(&self, name: &str, events: u64) -> Result<f64> {
        let own = format!("native-{name}");
        self.runtime.block_on(async {
            let began = Instant::now();
            match name {
                "channel" => {
                    let client = redis::Client::open(self.redis.url())?;
                    let mut listener = client.get_async_pubsub().await?;
                    listener.subscribe(&own).await?;
                    let mut messages = listener.on_message();
                    let taken = async {
                        for _ in 0..events {
                            messages.next().await;
                        }
                    };
                    tokio::join!(self.feed(&own, events), taken).0?;
                }
                "list" => {
                    let fed = self.feed(&own, events);
                    let taken = self.take_list(&own, events);
                    tokio::try_join!(fed, taken)?;
                }
                "stream" => {
                    let fed = self.feed(&own, events);
                    let taken = self.take_stream(&own, events);
                    tokio::try_join!(fed, taken)?;
                }
                _ => {
                    self.feed("queue-native", events).await?;
                    take_queue(&self.state.join("queues.db"), "queue-native")?;
                }
            }
            Ok(events as f64 / began.elapsed().as_secs_f64())
        })
    }

    async fn take_list(&self, name: &str, events: u64) -> Result<()> {
        let mut client = self.client().await?;
        let own = format!("{name}:own");
        for _ in 0..events {
            let mut take = redis::cmd("BLMOVE");
            take.arg(name).arg(&own).arg("RIGHT").arg("LEFT").arg(5);
            let message: Vec<u8> = take.query_async(&mut client).await?;
            let () = client.lrem(&own, 1, message).await?;
        }
        Ok(())
    }

    async fn take_stream(&self, name: &str, events: u64) -> Result<()> {
        let mut client = self.client().await?;
        let _: Result<(), _> = client.xgroup_create_mkstream(name, "g", "0").await;
        let options =
            redis::streams::StreamReadOptions::default().group("g", "c").count(64).block(1000);
        let mut taken = 0;
        while taken < events {
            let reply: Option<redis::streams::StreamReadReply> =
                client.xread_options(&[name], &[">"], &options).await?;
            for entry in reply.into_iter().flat_map(|it| it.keys).flat_map(|key| key.ids) {
                let () = client.xack(name, "g", &[entry.id]).await?;
                taken += 1;
            }
        }
        Ok(())
    }

    /// How long events take, each sent when the answer to the last one has come, in seconds.
    async fn alone(&self) -> Result<Vec<f64>> {
        let client = redis::Client::open(self.redis.url())?;
        let mut listener = client.get_async_pubsub().await?;
        listener.subscribe("answered").await?;
        let mut answers = listener.on_message();
        let mut client = self.client().await?;
        let mut took = Vec::new();
        for _ in 0..ALONE {
            let began = Instant::now();
            let () = client.lpush("asked", TEXT).await?;
            let answer = tokio::time::timeout(Duration::from_secs(10), answers.next()).await?;
            ensure!(answer.is_some(), "no answer");
            took.push(began.elapsed().as_secs_f64());
        }
        Ok(took)
    }

    /// The memory of Dayfly with many messages waiting, in bytes.
    fn memory(&self, peer: &Peer) -> Result<u64> {
        self.runtime.block_on(self.feed("queue", WAITING))?;
        let server: Running = peer.start()?;
        let before = self.handled("queue")?;
        while self.handled("queue")? < before + 2_000 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let memory = server.memory()?;
        server.stop()?;
        Ok(memory)
    }
}

async fn feed_queue(store: &Store, name: &str, events: u64) -> Result<()> {
    let mut left = events;
    while left > 0 {
        let now = left.min(1000);
        let content = Content { data: TEXT.into(), ..Content::default() };
        let queue = name.to_owned();
        let message = New { queue, delay: Duration::ZERO, priority: 0, content };
        store.put(vec![message; usize::try_from(now)?]).await?;
        left -= now;
    }
    Ok(())
}

/// Takes one message after the other, as a consumer without threads would.
fn take_queue(file: &Path, queue: &str) -> Result<()> {
    drop(Table::open(file)?);
    let connection = Connection::open(file)?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let mut take = connection.prepare(
        "SELECT id, data FROM messages WHERE queue = ?1 AND state = 1 ORDER BY priority DESC, id LIMIT 1",
    )?;
    let mut done = connection.prepare("DELETE FROM messages WHERE id = ?1")?;
    loop {
        let next = take.query_row([queue], |row| row.get::<_, i64>(0));
        match next {
            Ok(id) => drop(done.execute([id])?),
            Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
