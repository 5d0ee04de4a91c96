//! What a request costs in instructions, counted by callgrind: a guard that does not depend on how
//! busy the machine is. Each request script is run for a while more than another time, and the
//! difference counts, so that start-up does not. Instructions of the kernel are not seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::output;
use crate::peer::Peer;

/// By how much a count may grow before it is an error.
const TOLERANCE: f64 = 0.03;

/// Requests that every run begins with, of each script, and those that are counted.
const WARM_UP: usize = 50;
const COUNTED: usize = 400;

/// The counts that the guard compares with.
const RECORDED: &str = "bench/instructions.json";

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Instructions {
    /// Write the counts to `bench/instructions.json` instead of comparing them with it
    #[arg(long)]
    record: bool,
}

/// One kind of request.
struct Script {
    name: &'static str,
    path: &'static str,
    body_bytes: usize,
}

const SCRIPTS: [Script; 4] = [
    Script { name: "hello (WASI 0.2)", path: "/hello", body_bytes: 0 },
    Script { name: "echo of 1 KiB (WASI 0.2)", path: "/echo", body_bytes: 1024 },
    Script { name: "1 KiB passed on (WASI 0.3)", path: "/pass", body_bytes: 1024 },
    Script { name: "a command (CGI)", path: "/command", body_bytes: 0 },
];

const MANIFEST: &str = "dayfly = 1\n[application]\nname = \"instructions\"\n\
    [[trigger.http]]\nroute = \"/hello\"\ncomponent = \"hello\"\n\
    [[trigger.http]]\nroute = \"/echo\"\ncomponent = \"two\"\n\
    [[trigger.http]]\nroute = \"/pass\"\ncomponent = \"three\"\n\
    [[trigger.http]]\nroute = \"/command\"\ncomponent = \"command\"\n\
    [component.hello]\nsource = \"GUESTS/rust-hello.wasm\"\n\
    [component.two]\nsource = \"GUESTS/rust-http.wasm\"\n\
    [component.three]\nsource = \"GUESTS/rust-p3-echo.wasm\"\n\
    [component.command]\nsource = \"GUESTS/rust-command.wasm\"\n";

/// Counts, and compares with what is recorded.
pub(crate) fn run(root: &Path, options: &Instructions) -> Result<()> {
    let server = Counted::new(root)?;
    // The first run may have to compile the guests, which is no part of a request. The second notes
    // for the others what it verified, once the files are old enough to be told from later ones.
    server.count(None)?;
    std::thread::sleep(std::time::Duration::from_secs(3));
    server.count(None)?;
    let base = server.count(None)?;
    let mut counts = BTreeMap::new();
    for script in &SCRIPTS {
        let count = server.count(Some(script))?.saturating_sub(base) / COUNTED as u64;
        println!("{}: {count} instructions a request", script.name);
        counts.insert(script.name.to_owned(), count);
    }
    let file = root.join(RECORDED);
    let record = Record { machine: machine()?, counts };
    if options.record {
        std::fs::write(&file, serde_json::to_string_pretty(&record)? + "\n")?;
        return Ok(());
    }
    let recorded = std::fs::read_to_string(&file)
        .with_context(|| format!("`{RECORDED}` is missing; write it with `--record`"))?;
    let recorded: Record = serde_json::from_str(&recorded)?;
    let compared = compare(&record.counts, &recorded.counts);
    if record.machine == recorded.machine {
        return compared;
    }
    println!("recorded with {}, and this is {}", recorded.machine, record.machine);
    if let Err(error) = compared {
        println!("not taken for an error there: {error}");
    }
    Ok(())
}

/// Counts, and where they are comparable.
#[derive(serde::Serialize, serde::Deserialize)]
struct Record {
    machine: String,
    counts: BTreeMap<String, u64>,
}

/// What else decides how many instructions are executed: which variants of its functions the C
/// library takes, which instructions the compiler of guests may use, and how instances are reset.
fn machine() -> Result<String> {
    let first = |program: &str| -> Result<String> {
        let said = output(Command::new(program).arg("--version"))?;
        Ok(said.lines().next().unwrap_or_default().to_owned())
    };
    let info = std::fs::read_to_string("/proc/cpuinfo")?;
    let has = |flag: &str| info.split_whitespace().any(|word| word == flag);
    let flags: Vec<&str> = ["avx2", "bmi2", "fma"].into_iter().filter(|flag| has(flag)).collect();
    let scan = wasmtime::PoolingAllocationConfig::is_pagemap_scan_available();
    Ok(format!(
        "{}, {}, {} ({}), pages {}scanned",
        first("ldd")?,
        first("valgrind")?,
        std::env::consts::ARCH,
        flags.join(" "),
        if scan { "" } else { "not " }
    ))
}

fn compare(counts: &BTreeMap<String, u64>, recorded: &BTreeMap<String, u64>) -> Result<()> {
    let mut grown = String::new();
    for (name, count) in counts {
        let Some(before) = recorded.get(name) else { bail!("`{name}` is not in `{RECORDED}`") };
        let growth = *count as f64 / *before as f64 - 1.0;
        if growth > TOLERANCE {
            write!(grown, "\n  {name}: {before} → {count} ({:+.1} %)", growth * 100.0)?;
        } else if growth < -TOLERANCE {
            println!("{name} got cheaper by {:.1} %: record it", -growth * 100.0);
        }
    }
    ensure!(
        grown.is_empty(),
        "requests cost more instructions than before:{grown}\nIf that is worth it, record it: \
         `cargo xtask bench instructions --record`"
    );
    Ok(())
}

/// A server whose instructions are counted.
struct Counted {
    peer: Peer,
    counts: PathBuf,
}

impl Counted {
    fn new(root: &Path) -> Result<Self> {
        let folder = root.join("target/bench/instructions");
        std::fs::create_dir_all(&folder)?;
        let guests = root.join("target/guests");
        let guests = guests.to_str().context("the path of the guests is no text")?;
        std::fs::write(folder.join("dayfly.toml"), MANIFEST.replace("GUESTS", guests))?;
        let counts = folder.join("counts");
        // Little address space is there, and nothing of the machine's besides.
        let flags = " --max-instances 1 --harden off --engine aot";
        let app = "target/bench/instructions/dayfly.toml";
        let peer = Peer::dayfly(root, "dayfly", app, flags)?.under(
            "valgrind",
            &["--tool=callgrind", &format!("--callgrind-out-file={}", counts.display())],
        );
        Ok(Self { peer, counts })
    }

    /// The instructions of a run with the warm-up, and a script's requests if there is one.
    fn count(&self, script: Option<&Script>) -> Result<u64> {
        let server = self.peer.start()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            for script in &SCRIPTS {
                ask(server.port, script, WARM_UP).await?;
            }
            match script {
                Some(script) => ask(server.port, script, COUNTED).await,
                None => Ok(()),
            }
        })?;
        server.stop()?;
        let counts = std::fs::read_to_string(&self.counts).context("callgrind wrote no counts")?;
        let total = counts.lines().find_map(|line| line.strip_prefix("totals:"));
        Ok(total.context("callgrind's counts have no total")?.trim().parse()?)
    }
}

/// So many requests, one after the other, on one connection.
async fn ask(port: u16, script: &Script, requests: usize) -> Result<()> {
    let stream = TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    for _ in 0..requests {
        let method = if script.body_bytes == 0 { "GET" } else { "POST" };
        let request = Request::builder()
            .method(method)
            .uri(script.path)
            .header("host", "bench")
            .body(Full::new(Bytes::from(vec![b'x'; script.body_bytes])))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status.is_success(), "{}: {status}: {body:?}", script.name);
    }
    Ok(())
}
