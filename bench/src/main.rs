//! Measures, without a further word, requests a second of a hello handler, a fresh instance each:
//! Dayfly, `wasmtime serve`, and a native server as the limit, alternating, in one run. Read the
//! ratios. `in-process` measures the same without a network, `overload` and `neighbours` what
//! hostile guests and clients cost others.

mod capabilities;
mod chained;
mod events;
mod graph;
mod in_process;
mod instructions;
mod kinds;
mod load;
mod native;
mod neighbours;
mod open_loop;
mod optimise;
mod overload;
mod peer;
mod platform;
mod report;
mod saved;
mod scale;
mod scripts;
mod soak;
mod start;
mod stats;
mod websocket;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};

use load::{Load, Sample};
use peer::Peer;

/// Benchmarks of Dayfly.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Bench>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Bench {
    /// The native server that is the limit (used by the benchmark itself)
    Native {
        /// Its port
        port: u16,
    },
    /// The least that a host of guests can do (used by the benchmark itself)
    Minimal {
        /// Its port
        port: u16,
        /// The guest: a `wasi:http` 0.2 handler
        guest: PathBuf,
    },
    /// Ten thousand slow clients (used by the benchmark itself)
    SlowClients {
        /// The port of their server
        port: u16,
        /// Come again when the server ends them
        #[arg(long)]
        again: bool,
    },
    /// An instance and a call without a network, beside Wasmtime as it comes
    InProcess(in_process::InProcess),
    /// Everything that is drawn or listed in `bench/results`, one after the other, but the soak
    All {
        /// Folder of results
        #[arg(long, default_value = "bench/results")]
        output: PathBuf,
    },
    /// Instructions a request, beside those that are recorded; an error if they grew
    Instructions(instructions::Instructions),
    /// What `wasm-opt` does to the size and the speed of a component of each language
    Optimise(optimise::Optimise),
    /// Goodput while requests come up to three times as fast as they can be served
    Overload(Timed),
    /// The gallery of hostile guests, faulty clients and ordinary load mixed, for long
    Soak(Timed),
    /// Other handlers than a hello, other protocols
    Kinds(Timed),
    /// What guests may call beside the native libraries and clients
    Capabilities(Timed),
    /// Events a second by each trigger beside minimal native consumers
    Events(Timed),
    /// Idle connections, a message to all of them, and round trips beside a native server
    Websocket {
        #[command(flatten)]
        timed: Timed,
        /// Idle connections
        #[arg(long, default_value_t = 10_000)]
        connections: usize,
    },
    /// A native server of WebSockets (used by the benchmark itself)
    NativeWebsocket {
        /// Its port
        port: u16,
    },
    /// A request between two components, in process and over loopback
    Chained(Timed),
    /// From a start, or a component that is not in memory, to an answer; up to 10,000 components
    Start(Timed),
    /// From a save to the first new answer, by `dayfly watch`
    Saved {
        #[command(flatten)]
        timed: Timed,
        /// The program to measure [default: `target/release/dayfly`]
        #[arg(long)]
        program: Option<PathBuf>,
    },
    /// From `dayfly deploy` to an answer, and many apps on one platform
    Platform {
        #[command(flatten)]
        timed: Timed,
        /// How many apps there are in the end
        #[arg(long, default_value_t = 2_000)]
        apps: usize,
    },
    /// How cost grows: with requests at one time, bytes of a body, a second core
    Scale(Timed),
    /// A native server that sends back what it is sent (used by the benchmark itself)
    NativeEcho {
        /// Its port
        port: u16,
    },
    /// Scripts, frozen, beside the start of their languages' own interpreters
    Scripts(Timed),
    /// A quiet component's latency beside endless loops and ten thousand slow clients
    Neighbours(Timed),
}

/// A benchmark that takes so long.
#[derive(clap::Args)]
struct Timed {
    /// Seconds of load a measurement
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Folder of results
    #[arg(long, default_value = "bench/results")]
    output: PathBuf,
}

/// Serve a hello handler under load.
#[derive(clap::Args)]
struct Serve {
    /// Rounds; each measures every server once
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of load a server and round
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections that the load keeps busy
    #[arg(long, default_value_t = 32)]
    connections: u32,
    /// Folder of results
    #[arg(long, default_value = "bench/results")]
    output: PathBuf,
    /// Show the commands that would be run, and nothing else
    #[arg(long)]
    dry_run: bool,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Some(Bench::Native { port }) => native::serve(port),
        Some(Bench::Minimal { port, guest }) => native::minimal(port, &guest),
        Some(Bench::SlowClients { port, again }) => neighbours::slow_clients(port, again),
        Some(Bench::InProcess(options)) => in_process::run(&workspace_root()?, &options),
        Some(Bench::Instructions(options)) => instructions::run(&workspace_root()?, &options),
        Some(Bench::Optimise(options)) => optimise::run(&workspace_root()?, &options),
        Some(Bench::Overload(timed)) => timed.run(overload::run),
        Some(Bench::Soak(timed)) => timed.run(soak::run),
        Some(Bench::Kinds(timed)) => timed.run(kinds::run),
        Some(Bench::Capabilities(timed)) => timed.run(capabilities::run),
        Some(Bench::Chained(timed)) => timed.run(chained::run),
        Some(Bench::Events(timed)) => timed.run(events::run),
        Some(Bench::Websocket { timed, connections }) => {
            timed.run(|root, folder, seconds| websocket::run(root, folder, seconds, connections))
        }
        Some(Bench::NativeWebsocket { port }) => websocket::serve(port),
        Some(Bench::Start(timed)) => timed.run(start::run),
        Some(Bench::Saved { timed, program }) => {
            timed.run(|root, folder, _| saved::run(root, folder, program.as_deref()))
        }
        Some(Bench::Platform { timed, apps }) => {
            timed.run_anywhere(|root, folder| platform::run(root, folder, apps))
        }
        Some(Bench::Scale(timed)) => timed.run(scale::run),
        Some(Bench::NativeEcho { port }) => native::echo(port),
        Some(Bench::Scripts(timed)) => timed.run(scripts::run),
        Some(Bench::Neighbours(timed)) => timed.run(neighbours::run),
        Some(Bench::All { output }) => all(&output),
        None => serve(&cli.serve),
    }
}

impl Timed {
    /// Measures from a core that no server runs on.
    fn run(&self, measure: impl FnOnce(&Path, &Path, u64) -> Result<()>) -> Result<()> {
        let process = std::process::id().to_string();
        output(Command::new("taskset").args(["-cp", load::CLIENT_CORE, &process]))?;
        self.run_anywhere(|root, folder| measure(root, folder, self.seconds))
    }

    /// Measures on all cores, where the servers are, too.
    fn run_anywhere(&self, measure: impl FnOnce(&Path, &Path) -> Result<()>) -> Result<()> {
        let root = workspace_root()?;
        let folder = root.join(&self.output);
        std::fs::create_dir_all(&folder)?;
        measure(&root, &folder)
    }
}

/// Every benchmark but the soak, each in a process of its own.
fn all(output: &Path) -> Result<()> {
    let words = [
        "in-process",
        "kinds",
        "start",
        "capabilities",
        "chained",
        "events",
        "websocket",
        "overload",
        "neighbours",
        "scripts",
        "saved",
        "scale",
        "optimise",
        "platform",
    ];
    for word in std::iter::once(None).chain(words.map(Some)) {
        let mut bench = Command::new(std::env::current_exe()?);
        let status = bench.args(word).arg("--output").arg(output).status()?;
        ensure!(status.success(), "`{}` failed", word.unwrap_or("serve"));
    }
    Ok(())
}

fn serve(options: &Serve) -> Result<()> {
    let root = workspace_root()?;
    let peers = Peer::all(&root)?;
    if options.dry_run {
        for peer in &peers {
            println!("{}: {}", peer.name, peer.command_line());
        }
        return Ok(());
    }
    let (seconds, connections) = (options.seconds, options.connections);
    let load = Load::new(seconds, connections);
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); peers.len()];
    for round in 1..=options.rounds {
        for (peer, samples) in peers.iter().zip(&mut samples) {
            let server = peer.start()?;
            let sample = load.run(&server)?;
            eprintln!("round {round}: {:<16} {:>9.0} requests/s", peer.name, sample.rate);
            samples.push(sample);
        }
    }
    let names: Vec<&str> = peers.iter().map(|peer| peer.name).collect();
    report::write(&root.join(&options.output), &names, &samples, options)
}

/// The folder that holds this workspace.
fn workspace_root() -> Result<PathBuf> {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    Ok(folder.parent().context("the benchmark lies in no workspace")?.to_owned())
}

/// Runs a command and gives its standard output.
fn output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command.output().with_context(|| format!("failed to run `{shown}`"))?;
    ensure!(
        output.status.success(),
        "`{shown}` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
