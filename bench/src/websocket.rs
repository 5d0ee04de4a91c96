//! WebSockets: what an idle connection takes of memory, how long one message takes to all of them, and
//! round trips a second, beside a minimal native server with the same library.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_async_with_config, client_async_with_config};

use crate::peer::{Peer, Running};
use crate::stats::median;

const ROUNDS: usize = 3;

/// How many connections ask at once, each for its next answer when it has the last.
const ASKING: usize = 32;

/// How many connections are opened at once.
const OPENING: usize = 64;

/// How long all connections may take to hear something.
const PATIENCE: Duration = Duration::from_secs(120);

const TEXT: &str = "a message of a hundred bytes: 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789";

const MANIFEST: &str = r#"
dayfly = 1
[application]
name = "websocket"
[[trigger.http]]
route = "/chat"
component = "chat"
websocket = { join = ["all"] }
[[trigger.http]]
route = "/..."
component = "hello"
[component.chat]
source = "GUESTS/rust-websocket.wasm"
[component.hello]
source = "GUESTS/rust-hello.wasm"
"#;

type Socket = WebSocketStream<TcpStream>;

/// Answers every message with itself, on one thread.
pub(crate) fn serve(port: u16) -> Result<()> {
    raise_limit()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(async move {
                let accepted = accept_async_with_config(stream, Some(small()));
                let Ok(mut socket) = accepted.await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    let is_data = message.is_text() || message.is_binary();
                    if is_data && socket.send(message).await.is_err() {
                        break;
                    }
                }
            });
        }
    })
}

/// Buffers as small as Dayfly's.
fn small() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(2 << 10).write_buffer_size(0)
}

/// Lets this process hold as many connections as it may.
fn raise_limit() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// What is measured of one server.
struct Measured {
    /// Bytes that each idle connection takes.
    each: u64,
    /// Milliseconds from a message until all connections have it; only Dayfly has topics.
    to_all: Option<f64>,
    /// Round trips a second.
    rate: f64,
}

/// Measures both with so many idle connections and writes `websocket.md`.
pub(crate) fn run(root: &Path, folder: &Path, seconds: u64, connections: usize) -> Result<()> {
    raise_limit()?;
    let place = root.join("target/bench/websocket");
    std::fs::create_dir_all(&place)?;
    let guests = root.join("target/guests").display().to_string();
    let manifest = place.join("dayfly.toml");
    std::fs::write(&manifest, MANIFEST.replace("GUESTS", &guests))?;
    let state = place.join("state");
    let flags = format!(" --engine aot --state-dir {}", state.display());
    let dayfly = Peer::dayfly(root, "dayfly", &manifest.display().to_string(), &flags)?;
    let native = Peer::native_websocket()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut samples: [Vec<Measured>; 2] = Default::default();
    for round in 1..=ROUNDS {
        for (peer, samples) in [&native, &dayfly].into_iter().zip(&mut samples) {
            let server = peer.start()?;
            let topics = peer.name == dayfly.name;
            let measured = measure(&runtime, &server, (connections, topics), seconds)?;
            let Measured { each, to_all, rate } = &measured;
            eprintln!(
                "round {round}: {:<20} {each} bytes each, to all in {to_all:?} ms, {rate:.0}/s",
                peer.name
            );
            samples.push(measured);
        }
    }
    let text = report(&samples, connections)?;
    std::fs::write(folder.join("websocket.md"), &text)?;
    print!("{text}");
    Ok(())
}

fn report([native, dayfly]: &[Vec<Measured>; 2], connections: usize) -> Result<String> {
    let of = |samples: &[Measured], get: fn(&Measured) -> f64| median(samples.iter().map(get));
    let mut text = format!(
        "# WebSockets\n\nEach server on one core, the clients on another, medians of {ROUNDS} alternating \
         rounds. Memory is what the process has more with {connections} idle connections than without, \
         for each; what the kernel has of a socket comes to it. To all: from one message that is \
         published until the last of the {connections} clients, all in one process, has it. Round \
         trips: {ASKING} connections, a message of {} bytes; Dayfly makes a fresh instance for each.\n\n\
         | | memory a connection | to all | round trips/s |\n| --- | --- | --- | --- |\n",
        TEXT.len()
    );
    for (name, samples) in [("native tungstenite", native), ("dayfly", dayfly)] {
        let to_all = match samples.iter().all(|it| it.to_all.is_some()) {
            true => format!("{:.0} ms", of(samples, |it| it.to_all.unwrap_or_default())),
            false => String::new(),
        };
        writeln!(
            text,
            "| {name} | {:.1} KiB | {to_all} | {:.0} |",
            of(samples, |it| it.each as f64) / 1024.0,
            of(samples, |it| it.rate)
        )?;
    }
    let share = of(dayfly, |it| it.rate) / of(native, |it| it.rate);
    writeln!(text, "\nDayfly's round trips are {share:.2} of the native server's.")?;
    Ok(text)
}

fn measure(
    runtime: &Runtime,
    server: &Running,
    (connections, topics): (usize, bool),
    seconds: u64,
) -> Result<Measured> {
    runtime.block_on(async {
        let rate = ask(server.port, Duration::from_secs(seconds)).await?;
        let before = server.memory()?;
        let crowd = Crowd::open(server.port, connections).await?;
        let each = server.memory()?.saturating_sub(before) / connections as u64;
        let to_all = match topics {
            true => Some(crowd.hear(server.port).await?),
            false => None,
        };
        Ok(Measured { each, to_all, rate })
    })
}

async fn connect(port: u16) -> Result<Socket> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let url = format!("ws://127.0.0.1:{port}/chat");
    Ok(client_async_with_config(url, stream, Some(small())).await?.0)
}

/// Round trips a second of connections that ask again once they are answered.
async fn ask(port: u16, time: Duration) -> Result<f64> {
    let began = Instant::now();
    let asking = (0..ASKING).map(async |_| {
        let mut socket = connect(port).await?;
        let mut answers = 0u64;
        while began.elapsed() < time {
            socket.send(Message::text(TEXT)).await?;
            let answer = socket.next().await.context("no answer")??;
            ensure!(answer.to_text()? == TEXT, "another answer: {answer}");
            answers += 1;
        }
        socket.close(None).await?;
        anyhow::Ok(answers)
    });
    let answers = futures_util::future::try_join_all(asking).await?;
    Ok(answers.iter().sum::<u64>() as f64 / began.elapsed().as_secs_f64())
}

/// Connections that listen.
struct Crowd {
    heard: Arc<AtomicUsize>,
    all: Arc<Notify>,
    count: usize,
    /// They are open for as long as these.
    _open: Vec<SplitSink<Socket, Message>>,
}

impl Crowd {
    async fn open(port: u16, count: usize) -> Result<Self> {
        let (heard, all): (Arc<AtomicUsize>, Arc<Notify>) = Default::default();
        let opening = futures_util::stream::iter(0..count).map(|_| connect(port));
        let opened: Vec<Result<Socket>> = opening.buffer_unordered(OPENING).collect().await;
        let mut open = Vec::with_capacity(count);
        for socket in opened {
            let (sink, mut messages) = socket?.split();
            let (heard, all) = (heard.clone(), all.clone());
            tokio::spawn(async move {
                while let Some(Ok(message)) = messages.next().await {
                    if message.is_text() && heard.fetch_add(1, Relaxed) + 1 == count {
                        all.notify_one();
                    }
                }
            });
            open.push(sink);
        }
        Ok(Self { heard, all, count, _open: open })
    }

    /// How many milliseconds it takes until all have heard one message, and then another.
    async fn hear(&self, port: u16) -> Result<f64> {
        let mut speaker = connect(port).await?;
        let mut took = Vec::new();
        for _ in 0..5 {
            self.heard.store(0, Relaxed);
            let began = Instant::now();
            speaker.send(Message::text(format!("say all {TEXT}"))).await?;
            if tokio::time::timeout(PATIENCE, self.all.notified()).await.is_err() {
                bail!("only {} of {} heard it", self.heard.load(Relaxed), self.count);
            }
            took.push(began.elapsed().as_secs_f64() * 1e3);
            // The speaker is in the topic as well, and is told how many heard it.
            for _ in 0..2 {
                speaker.next().await.context("no answer")??;
            }
        }
        Ok(median(took))
    }
}
