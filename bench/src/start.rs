//! What it takes until somebody is answered: by a process that starts, by a component that is not in
//! memory, by one of ten thousand; and what it takes to know them all.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::graph::{Graph, Line};
use crate::output;
use crate::peer::{Peer, Running};
use crate::stats::{median, percentile};

/// Guests: a small one, JavaScript and Python.
const GUESTS: [(&str, &str); 3] = [
    ("hello, 59 kB", "rust-hello"),
    ("JavaScript, 12 MB", "js-componentize"),
    ("Python, 18 MB", "python-http"),
];

const COMPONENTS: [usize; 6] = [1, 10, 100, 1_000, 3_000, 10_000];

/// Starts of each kind; medians count.
const ROUNDS: usize = 5;

/// Requests to a component that is not resident.
const RETURNS: usize = 40;

/// Requests to components at random.
const RANDOM: usize = 1_000;

/// Measures, and writes `start.md` and `start.svg`.
pub(crate) fn run(root: &Path, folder: &Path, _seconds: u64) -> Result<()> {
    let work = root.join("target/bench/start");
    std::fs::create_dir_all(&work)?;
    let mut text = "# Until somebody is answered\n\nServers on one core, the client on another; \
                    medians.\n"
        .to_owned();
    process_start(root, &work, &mut text)?;
    returns(root, &work, &mut text)?;
    many(root, &work, folder, &mut text)?;
    std::fs::write(folder.join("start.md"), &text)?;
    print!("{text}");
    Ok(())
}

/// From the start of a process to its first answer.
fn process_start(root: &Path, work: &Path, text: &mut String) -> Result<()> {
    *text += "\n## A process\n\nFrom its start to its first 200, with nothing compiled yet and with \
              everything in its cache.\n\n| | nothing compiled | cached |\n| --- | --- | --- |\n";
    for (name, guest) in GUESTS {
        for peer in ["dayfly", "wasmtime serve"] {
            let (mut cold, mut warm) = (Vec::new(), Vec::new());
            let cache = work.join("cache-of-one");
            let server = || -> Result<Peer> {
                let guest = format!("target/guests/{guest}.wasm");
                if peer == "dayfly" {
                    return Peer::dayfly(root, "dayfly", &guest, &cache_flag(&cache));
                }
                Ok(Peer::wasmtime(root, &guest, " -C cache")?.with_home(&cache))
            };
            for _ in 0..ROUNDS.min(3) {
                let _ = std::fs::remove_dir_all(&cache);
                std::fs::create_dir_all(&cache)?;
                cold.push(first_answer(&server()?, "/")?.1);
            }
            // Dayfly compiles in full behind what it serves, so that one that has answered may not be done.
            if peer == "dayfly" {
                compile(root, &root.join(format!("target/guests/{guest}.wasm")), &cache)?;
            }
            for _ in 0..ROUNDS {
                warm.push(first_answer(&server()?, "/")?.1);
            }
            writeln!(text, "| {peer}, {name} | {:.0} ms | {:.1} ms |", median(cold), median(warm))?;
            eprintln!("start of {peer}, {name}: done");
        }
    }
    Ok(())
}

/// The first request to a component that has left memory.
fn returns(root: &Path, work: &Path, text: &mut String) -> Result<()> {
    *text += "\n## A component that is not in memory\n\nIts first request after it left, and those \
              that follow.\n\n| | first, p50 | p99 | then, p50 |\n| --- | --- | --- | --- |\n";
    for (name, guest) in GUESTS {
        let flags = format!("{} --engine aot --evict-after 50ms", cache_flag(&work.join("cache")));
        let peer = Peer::dayfly(root, "dayfly", &format!("target/guests/{guest}.wasm"), &flags)?;
        let server = peer.start()?;
        let client = Client::new(server.port)?;
        client.ask("/")?;
        let (mut first, mut then) = (Vec::new(), Vec::new());
        for _ in 0..RETURNS {
            std::thread::sleep(Duration::from_millis(220));
            first.push(client.ask("/")?);
            for _ in 0..3 {
                then.push(client.ask("/")?);
            }
        }
        writeln!(
            text,
            "| {name} | {:.2} ms | {:.2} ms | {:.2} ms |",
            median(first.iter().copied()),
            percentile(first, 99.0),
            median(then)
        )?;
    }
    Ok(())
}

/// Apps of many components, none of which is loaded before it is asked for.
fn many(root: &Path, work: &Path, folder: &Path, text: &mut String) -> Result<()> {
    *text += "\n## Many components\n\nEach of them different, compiled before; none is loaded at the \
              start.\n\n| components | start to first 200 | idle | first request to one at random, \
              p50 | p99 | after 1,000 of these |\n| --- | --- | --- | --- | --- | --- |\n";
    let (mut starts, mut memory) = (Vec::new(), Vec::new());
    for components in COMPONENTS {
        let app = app(work, components)?;
        let cache = work.join("cache-of-many");
        compile(root, &app, &cache)?;
        let path = app.strip_prefix(root)?.display().to_string();
        let flags = format!("{} --check=never", cache_flag(&cache));
        let peer = Peer::dayfly(root, "dayfly", &path, &flags)?;
        let mut times = Vec::new();
        for _ in 1..ROUNDS {
            times.push(first_answer(&peer, "/c0")?.1);
        }
        let (server, last) = first_answer(&peer, "/c0")?;
        times.push(last);
        let idle = server.memory()? as f64 / f64::from(1 << 20);
        let client = Client::new(server.port)?;
        let mut first = Vec::new();
        // A walk that meets each component once before it meets one again.
        for step in 1..=RANDOM.min(components) {
            first.push(client.ask(&format!("/c{}", step * 7_919 % components))?);
        }
        let after = server.memory()? as f64 / f64::from(1 << 20);
        let start = median(times);
        starts.push((components as f64, start));
        memory.push((components as f64, idle));
        writeln!(
            text,
            "| {components} | {start:.1} ms | {idle:.0} MiB | {:.2} ms | {:.2} ms | {after:.0} MiB |",
            median(first.iter().copied()),
            percentile(first, 99.0)
        )?;
        eprintln!("{components} components: {start:.1} ms, {idle:.0} MiB");
    }
    *text += "\n![start and memory by components](start.svg)\n";
    let lines = vec![
        Line { name: "start to first answer, ms".to_owned(), points: starts },
        Line { name: "idle memory, MiB".to_owned(), points: memory },
    ];
    let graph = Graph { title: "An app of many components", x: "components", y: "ms, MiB", lines };
    graph.write(&folder.join("start.svg"))
}

/// An app of handlers that differ in what they answer.
fn app(work: &Path, components: usize) -> Result<PathBuf> {
    let hello = include_str!("../../examples/hello/hello.wat");
    let handlers = work.join("handlers");
    std::fs::create_dir_all(&handlers)?;
    let mut manifest = "dayfly = 1\n[application]\nname = \"many\"\n".to_owned();
    for index in 0..components {
        write!(
            manifest,
            "[[trigger.http]]\nroute = \"/c{index}\"\ncomponent = \"c{index}\"\n\
             [component.c{index}]\nsource = \"../handlers/c{index}.wat\"\n"
        )?;
        let handler = handlers.join(format!("c{index}.wat"));
        if !handler.exists() {
            let text = format!("number {index:5}\\n");
            std::fs::write(&handler, hello.replace("hello, world\\n", &text))?;
        }
    }
    let folder = work.join(components.to_string());
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("dayfly.toml"), manifest)?;
    Ok(folder.join("dayfly.toml"))
}

/// Compiles what an app, or a single handler, runs; which takes a minute for ten thousand.
fn compile(root: &Path, app: &Path, cache: &Path) -> Result<()> {
    let dayfly = root.join("target/release/dayfly");
    let app = app.to_str().context("the app's path is no text")?;
    output(Command::new(dayfly).args(["check", "--compile", app]).env("DAYFLY_CACHE_DIR", cache))?;
    Ok(())
}

pub(crate) fn cache_flag(cache: &Path) -> String {
    format!(" --cache-dir {}", cache.display())
}

/// Starts a server; gives it, and how long it took until its first answer, in milliseconds.
fn first_answer(peer: &Peer, path: &str) -> Result<(Running, f64)> {
    let start = Instant::now();
    let server = peer.spawn()?;
    let client = loop {
        match Client::new(server.port) {
            Ok(client) => break client,
            Err(error) => ensure!(start.elapsed() < Duration::from_secs(120), "{error}"),
        }
        std::thread::sleep(Duration::from_micros(200));
    };
    client.ask(path)?;
    Ok((server, start.elapsed().as_secs_f64() * 1e3))
}

/// One connection.
pub(crate) struct Client {
    runtime: tokio::runtime::Runtime,
    sender: std::cell::RefCell<SendRequest<Empty<Bytes>>>,
}

impl Client {
    pub(crate) fn new(port: u16) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            anyhow::Ok(sender)
        })?;
        Ok(Self { runtime, sender: sender.into() })
    }

    /// Asks once, and gives how long it took, in milliseconds.
    pub(crate) fn ask(&self, path: &str) -> Result<f64> {
        self.ask_of("bench", path)
    }

    /// The same of one of several hosts.
    pub(crate) fn ask_of(&self, host: &str, path: &str) -> Result<f64> {
        let start = Instant::now();
        self.body(host, path)?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }

    /// Asks once, and gives what was answered.
    pub(crate) fn text(&self, path: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.body("bench", path)?).into_owned())
    }

    fn body(&self, host: &str, path: &str) -> Result<Bytes> {
        self.runtime.block_on(async {
            let request = Request::get(path).header("host", host).body(Empty::new())?;
            let sent = self.sender.borrow_mut().send_request(request);
            let answer = sent.await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            ensure!(status.is_success(), "{path}: {status}: {body:?}");
            Ok(body)
        })
    }
}
