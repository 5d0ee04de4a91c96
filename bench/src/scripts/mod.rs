//! Scripts: a fresh instance that was frozen with the app loaded, beside one that was not, beside
//! components that the peers' tools make of scripts, and beside the start of the language's own
//! interpreter, which is what a fresh process a request would cost; and what a thousand of them take.

mod changed;
mod memory;
mod peers;

mod unfrozen;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::graph;
use crate::peer::Peer;
use crate::start::{Client, cache_flag};
use crate::stats::{median, percentile};

/// Requests of each kind.
const REQUESTS: usize = 500;

/// Requests to a component that is not resident, and starts of a native interpreter.
const STARTS: usize = 30;

/// How long nothing happens before each of them; a component is evicted meanwhile.
const REST: Duration = Duration::from_millis(220);

/// A script, and how its language's own interpreter is started: as it is, and at its leanest.
struct Case {
    name: &'static str,
    script: &'static str,
    native: [&'static [&'static str]; 2],
}

/// What `page.py` imports.
const PYTHON_PAGE: &str = "import datetime, html, json, string, urllib.parse";

const CASES: [Case; 8] = [
    Case {
        name: "Ruby, hello",
        script: "hello.rb",
        native: [&["ruby", "-e", "puts 1"], &["ruby", "--disable-gems", "-e", "puts 1"]],
    },
    Case {
        name: "Ruby, a page and JSON",
        script: "page.rb",
        native: [
            &["ruby", "-rjson", "-rerb", "-ruri", "-rtime", "-e", "puts 1"],
            &["ruby", "--disable-gems", "-rjson", "-rerb", "-ruri", "-rtime", "-e", "puts 1"],
        ],
    },
    Case {
        name: "Python, hello",
        script: "hello.py",
        native: [&["/usr/bin/python3", "-c", ""], &["/usr/bin/python3", "-I", "-S", "-c", ""]],
    },
    Case {
        name: "Python, a page and JSON",
        script: "page.py",
        native: [
            &["/usr/bin/python3", "-c", PYTHON_PAGE],
            &["/usr/bin/python3", "-I", "-S", "-c", PYTHON_PAGE],
        ],
    },
    Case {
        name: "JavaScript, hello",
        script: "hello.js",
        native: [&["node", "-e", "1"], &["node", "--jitless", "-e", "1"]],
    },
    Case {
        name: "JavaScript, a page and JSON",
        script: "page.js",
        native: [&["node", "-e", "1"], &["node", "--jitless", "-e", "1"]],
    },
    Case {
        name: "Perl, hello",
        script: "hello.psgi",
        native: [&["perl", "-e", "1"], &["perl", "-f", "-e", "1"]],
    },
    Case {
        name: "Perl, a page and JSON",
        script: "page.psgi",
        native: [
            &["perl", "-MJSON::PP", "-MPOSIX", "-e", "1"],
            &["perl", "-f", "-MJSON::PP", "-MPOSIX", "-e", "1"],
        ],
    },
];

/// What was measured of a script, in milliseconds.
struct Measured {
    /// Frozen, resident: each request.
    resident: Vec<f64>,
    /// Frozen, not resident.
    away: f64,
    /// The interpreter begun anew, and the app loaded by it.
    unfrozen: f64,
    /// Changed, so that it is frozen first.
    changed: f64,
    /// The native interpreter's start, and its leanest.
    native: [f64; 2],
}

/// Measures, and writes `scripts.md` and `scripts.svg`.
pub(crate) fn run(root: &Path, folder: &Path, _seconds: u64) -> Result<()> {
    let work = root.join("target/bench/scripts");
    std::fs::create_dir_all(&work)?;
    let mut text = "# Scripts\n\nOne request after the other on one connection, from its first byte to \
                    the answer's last, each in a fresh instance; beside it the start of an instance \
                    that was not frozen, and of the language's own interpreter, which does nothing but \
                    load what the script loads. Milliseconds, medians.\n\n| | frozen, resident | its \
                    p99 | not resident | not frozen | changed | native start | its leanest | \
                    of the native start | of the leanest |\n| --- | --- | --- | --- | --- | --- | --- \
                    | --- | --- | --- |\n"
        .to_owned();
    let mut drawn = Vec::new();
    for case in CASES {
        let measured = measure(root, &work, &case)?;
        let p50 = median(measured.resident.iter().copied());
        let Measured { away, unfrozen, changed, native: [native, leanest], .. } = measured;
        writeln!(
            text,
            "| {} | {p50:.2} | {:.2} | {away:.2} | {unfrozen:.1} | {changed:.0} | {native:.1} | \
             {leanest:.1} | 1/{:.0} | 1/{:.0} |",
            case.name,
            percentile(measured.resident, 99.0),
            native / p50,
            leanest / p50,
        )?;
        drawn.push((format!("dayfly: {}", case.name), p50));
        drawn.push((case.native[0].iter().take(2).copied().collect::<Vec<_>>().join(" "), native));
        eprintln!("{}: done", case.name);
    }
    let bars: Vec<_> = drawn.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let title = "Milliseconds until a script has answered, and until its interpreter has begun";
    graph::bars(&folder.join("scripts.svg"), title, &bars)?;
    peers::run(root, &work, &mut text)?;
    memory::run(root, &work, &mut text)?;
    std::fs::write(folder.join("scripts.md"), &text)?;
    print!("{text}");
    Ok(())
}

fn measure(root: &Path, work: &Path, case: &Case) -> Result<Measured> {
    let [usual, leanest] = case.native.map(native);
    Ok(Measured {
        resident: resident(&peer(root, work, case.script, "")?, "/")?,
        away: not_resident(root, work, case.script)?,
        unfrozen: unfrozen::start(&root.join("bench/scripts").join(case.script), work)?,
        changed: changed::to_answered(root, work, case.script)?,
        native: [usual?, leanest?],
    })
}

/// Dayfly with a script of `bench/scripts`; `flags` begin with a space.
fn peer(root: &Path, work: &Path, script: &str, flags: &str) -> Result<Peer> {
    let flags = format!("{}{flags} --engine aot", cache_flag(&work.join("cache")));
    Peer::dayfly(root, "dayfly", &format!("bench/scripts/{script}"), &flags)
}

/// How long each request takes.
fn resident(peer: &Peer, path: &str) -> Result<Vec<f64>> {
    let server = peer.start()?;
    let client = Client::new(server.port)?;
    for _ in 0..REQUESTS / 10 {
        client.ask(path)?;
    }
    (0..REQUESTS).map(|_| client.ask(path)).collect()
}

fn not_resident(root: &Path, work: &Path, script: &str) -> Result<f64> {
    let server = peer(root, work, script, " --evict-after 50ms")?.start()?;
    let client = Client::new(server.port)?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        client.ask("/")?;
        std::thread::sleep(REST);
        times.push(client.ask("/")?);
    }
    Ok(median(times))
}

fn native(command: &[&str]) -> Result<f64> {
    let (program, arguments) = command.split_first().context("no command")?;
    let once = || {
        // As before each request to what is not resident: a busy processor's caches are warm.
        std::thread::sleep(REST);
        let start = Instant::now();
        let status = Command::new(program)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let status = status.with_context(|| format!("`{program}` is not installed"))?;
        ensure!(status.success(), "`{program}` failed");
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    Ok(median((0..STARTS).map(|_| once()).collect::<Result<Vec<f64>>>()?))
}
