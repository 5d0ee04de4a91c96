//! Events a second by each trigger, a fresh instance each, beside a minimal native consumer of the same
//! source that does nothing with what it gets; and how long an event takes until its handler starts.

mod http;
mod mqtt;
mod nats;
mod queue;
mod redis;

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use dayfly_testing::{Mosquitto, Nats, Redis};
use tokio::runtime::Runtime;

use crate::peer::{Peer, Running};
use crate::stats::{median, percentile};

const ROUNDS: usize = 3;

/// How many events are sent one after the other to see how long each takes.
const ONE_BY_ONE: usize = 300;

/// How many messages wait while the memory is looked at.
const WAITING: u64 = 1_000_000;

const TEXT: &str = "a message of a hundred bytes: 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789";

/// What the handler answers to with the time at which it began.
const NOW: &str = "now";

/// Where events come from.
#[derive(Clone, Copy)]
enum From {
    Channel,
    List,
    Stream,
    Subject,
    JetStream,
    Mqtt,
    Queue,
    /// A queue that a route leads into.
    Route,
    /// A queue that a guest puts into.
    Guest,
}

impl From {
    const ALL: [Self; 7] = [
        Self::Channel,
        Self::List,
        Self::Stream,
        Self::Subject,
        Self::JetStream,
        Self::Mqtt,
        Self::Queue,
    ];

    /// Those of which is only looked how long one event takes.
    const ALONE: [Self; 2] = [Self::Route, Self::Guest];

    const fn name(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::List => "list",
            Self::Stream => "stream",
            Self::Subject => "subject",
            Self::JetStream => "jetstream",
            Self::Mqtt => "mqtt",
            Self::Queue => "queue",
            Self::Route => "route",
            Self::Guest => "guest",
        }
    }

    const fn told(self) -> &'static str {
        match self {
            Self::Channel => "Redis, channel",
            Self::List => "Redis, list",
            Self::Stream => "Redis, stream",
            Self::Subject => "NATS, subject",
            Self::JetStream => "NATS, JetStream",
            Self::Mqtt => "MQTT, quality 1",
            Self::Queue => "queue, put by another process",
            Self::Route => "queue, put by a route",
            Self::Guest => "queue, put by a guest that a request wakes",
        }
    }

    /// How many events a measurement has.
    const fn events(self) -> u64 {
        if matches!(self, Self::Queue) { 5_000 } else { 20_000 }
    }

    /// How its trigger says where `name` is.
    fn keys(self, name: &str) -> String {
        match self {
            Self::Channel => format!("[[trigger.redis]]\nchannel = \"{name}\""),
            Self::List => format!("[[trigger.redis]]\nqueue = \"{name}\""),
            Self::Stream => format!("[[trigger.redis]]\nstream = \"{name}\""),
            Self::Subject => format!("[[trigger.nats]]\nsubject = \"{name}\""),
            Self::JetStream => {
                format!(
                    "[[trigger.nats]]\nstream = \"{name}\"\nsubject = \"{name}\"\ncreate = true"
                )
            }
            Self::Mqtt => format!("[[trigger.mqtt]]\ntopic = \"{name}\"\nqos = 1"),
            Self::Queue | Self::Route | Self::Guest => {
                format!("[[trigger.queue]]\nqueue = \"{name}\"")
            }
        }
    }
}

/// What is measured with.
struct Bench {
    runtime: Runtime,
    senders: Senders,
    metrics: u16,
}

/// Those who send.
struct Senders {
    redis: redis::Client,
    nats: nats::Client,
    mqtt: mqtt::Client,
    queue: queue::Client,
    http: http::Client,
}

/// The manifest: for each source one trigger whose events are counted, and one whose handler answers.
fn manifest(root: &Path, (redis, nats, mqtt): (&Redis, &Nats, &Mosquitto)) -> String {
    let guests = root.join("target/guests").display().to_string();
    let mut text = format!(
        "dayfly = 1\n[application]\nname = \"events\"\n\
         [application.trigger.redis]\naddress = \"{}\"\n\
         [application.trigger.nats]\naddress = \"{}\"\n\
         [application.trigger.mqtt]\naddress = \"{}\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"hello\"\n\
         [component.hello]\nsource = \"{guests}/rust-hello.wasm\"\n\
         [component.echo]\nsource = \"{guests}/rust-events.wasm\"\n\
         [[trigger.http]]\nroute = \"{}\"\nqueue = \"route-now\"\n\
         [[trigger.http]]\nroute = \"/messages/...\"\ncomponent = \"sender\"\n\
         [component.sender]\nsource = \"{guests}/rust-interfaces.wasm\"\nmessaging = [\"default\"]\n",
        redis.url(),
        nats.url(),
        mqtt.url(),
        http::ROUTE
    );
    for from in From::ALL {
        let (name, counted) = (from.name(), from.keys(from.name()));
        let _ = writeln!(text, "{counted}\nid = \"{name}\"\ncomponent = \"hello\"");
    }
    for from in From::ALL.into_iter().chain(From::ALONE) {
        let name = format!("{}-now", from.name());
        let answered = from.keys(&name);
        let _ = writeln!(
            text,
            "{answered}\nid = \"{name}\"\ncomponent = \"echo\"\noutput = \"redis://answered\""
        );
    }
    text
}

/// Measures each trigger and writes `events.md`.
pub(crate) fn run(root: &Path, folder: &Path, _: u64) -> Result<()> {
    let place = root.join("target/bench/events");
    // What an earlier run stored would be found again.
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let servers = runtime.block_on(async {
        (Redis::start().await, Nats::with_jetstream().await, Mosquitto::start().await)
    });
    let file = place.join("dayfly.toml");
    std::fs::write(&file, manifest(root, (&servers.0, &servers.1, &servers.2)))?;
    let metrics = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let state = place.join("state");
    let flags = format!(
        " --engine aot --metrics-listen 127.0.0.1:{metrics} --state-dir {}",
        state.display()
    );
    let peer = Peer::dayfly(root, "dayfly", &file.display().to_string(), &flags)?;
    let senders = runtime.block_on(async {
        anyhow::Ok(Senders {
            redis: redis::Client::new(&servers.0).await?,
            nats: nats::Client::new(&servers.1).await?,
            mqtt: mqtt::Client::new(&servers.2),
            queue: queue::Client::new(&state),
            http: http::Client::default(),
        })
    })?;
    let mut bench = Bench { runtime, senders, metrics };
    let server = peer.start()?;
    bench.senders.http = http::Client::new(server.port);
    let rates = bench.rates()?;
    let times = bench.times()?;
    server.stop()?;
    let memory = bench.memory(&peer)?;
    let text = format!("# Events\n\n{rates}\n{times}\n{memory}");
    std::fs::write(folder.join("events.md"), &text)?;
    print!("{text}");
    Ok(())
}

impl Bench {
    fn rates(&mut self) -> Result<String> {
        let mut text = format!(
            "Events a second, a fresh instance of a hello each, beside a minimal native consumer that \
             does nothing with them, in the same run; the median of {ROUNDS} alternating rounds.\n\
             Redis and NATS write to the disk when the system likes; the queue's file is flushed with \
             each commit.\n\n| source | Dayfly | native | of native |\n| --- | --- | --- | --- |\n"
        );
        for from in From::ALL {
            let (mut own, mut natively) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                natively.push(self.natively(from)?);
                own.push(self.by_dayfly(from)?);
            }
            let (own, natively) = (median(own), median(natively));
            let ratio = own / natively;
            writeln!(text, "| {} | {own:.0} | {natively:.0} | {ratio:.2} |", from.told())?;
            eprintln!("{}: {own:.0} beside {natively:.0}", from.name());
        }
        Ok(text)
    }

    fn times(&mut self) -> Result<String> {
        let mut text = "From the moment at which an event is sent until its handler runs, and until the \
             handler's answer has come back by a channel of Redis; one event at a time, in milliseconds.\n\n\
             | source | start, median | 99th percentile | answer, median | 99th percentile |\n\
             | --- | --- | --- | --- | --- |\n"
            .to_owned();
        for from in From::ALL.into_iter().chain(From::ALONE) {
            let took = self.runtime.block_on(self.senders.alone(from))?;
            let start = |percent| percentile(took.iter().map(|(start, _)| *start), percent) * 1e3;
            let answer =
                |percent| percentile(took.iter().map(|(_, answer)| *answer), percent) * 1e3;
            writeln!(
                text,
                "| {} | {:.2} | {:.2} | {:.2} | {:.2} |",
                from.told(),
                start(50.0),
                start(99.0),
                answer(50.0),
                answer(99.0)
            )?;
            eprintln!("{}: {:.2} ms", from.name(), start(50.0));
        }
        Ok(text)
    }

    /// Events a second by Dayfly, from the first that is sent to the last that is settled.
    fn by_dayfly(&mut self, from: From) -> Result<f64> {
        let before = self.handled(from.name())?;
        let began = Instant::now();
        let sent = self.senders.send(from, from.name(), (TEXT, from.events()));
        self.runtime.block_on(sent)?;
        while self.handled(from.name())? < before + from.events() {
            // What servers print is read meanwhile.
            self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(5)).await });
            ensure!(began.elapsed() < Duration::from_secs(300), "`{}` never ends", from.name());
        }
        Ok(from.events() as f64 / began.elapsed().as_secs_f64())
    }

    /// Events a second by the least that consumes them.
    fn natively(&mut self, from: From) -> Result<f64> {
        let (name, events) = (format!("native-{}", from.name()), from.events());
        let Senders { redis, nats, mqtt, queue, .. } = &mut self.senders;
        self.runtime.block_on(async {
            let began = Instant::now();
            match from {
                From::Channel | From::List | From::Stream => {
                    redis.natively(from, &name, events).await?;
                }
                From::Subject => nats.subject_natively(&name, events).await?,
                From::JetStream => nats.stream_natively(&name, events).await?,
                From::Mqtt => mqtt.natively(&name, events).await?,
                From::Queue | From::Route | From::Guest => queue.natively(&name, events).await?,
            }
            Ok(events as f64 / began.elapsed().as_secs_f64())
        })
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

    /// The memory of Dayfly with many messages waiting.
    fn memory(&mut self, peer: &Peer) -> Result<String> {
        let sent = self.senders.send(From::Queue, "queue", (TEXT, WAITING));
        self.runtime.block_on(sent)?;
        let server: Running = peer.start()?;
        let before = self.handled("queue")?;
        while self.handled("queue")? < before + 2_000 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let memory = server.memory()? >> 20;
        server.stop()?;
        Ok(format!(
            "Memory with {WAITING} messages of {} bytes waiting in a queue of Dayfly's own while they are \
             handled: {memory} MiB.\n",
            TEXT.len()
        ))
    }
}

impl Senders {
    /// Sends so many messages.
    async fn send(&mut self, from: From, to: &str, message: (&str, u64)) -> Result<()> {
        match from {
            From::Channel | From::List | From::Stream => self.redis.send(from, to, message).await,
            From::Subject | From::JetStream => self.nats.send(to, message).await,
            From::Mqtt => self.mqtt.send(to, message).await,
            From::Queue => self.queue.send(to, message).await,
            From::Route => self.http.send(http::ROUTE, message).await,
            From::Guest => {
                let path = format!("/messages/send?client=default&topic={to}");
                self.http.send(&path, message).await
            }
        }
    }

    /// How long events take, each sent when the answer to the last one has come: until the handler runs,
    /// and until it has answered, in seconds.
    async fn alone(&mut self, from: From) -> Result<Vec<(f64, f64)>> {
        let mut answers = self.redis.answers().await?;
        let to = format!("{}-now", from.name());
        let mut took = Vec::new();
        for _ in 0..ONE_BY_ONE {
            let sent = SystemTime::now().duration_since(UNIX_EPOCH)?;
            self.send(from, &to, (NOW, 1)).await?;
            let began: u64 = answers.next().await?.parse()?;
            let answered = SystemTime::now().duration_since(UNIX_EPOCH)?;
            let began = Duration::from_nanos(began);
            took.push((
                began.saturating_sub(sent).as_secs_f64(),
                answered.saturating_sub(sent).as_secs_f64(),
            ));
        }
        Ok(took)
    }
}
