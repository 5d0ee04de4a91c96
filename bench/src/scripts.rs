//! Scripts: a fresh instance that was frozen with the app loaded, beside the start of the language's own
//! interpreter, which is what a fresh process a request would cost.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::peer::Peer;
use crate::start::{Client, cache_flag};
use crate::stats::{median, percentile};

/// Requests of each kind.
const REQUESTS: usize = 500;

/// Requests to a component that is not resident, and starts of a native interpreter.
const STARTS: usize = 30;

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

/// Measures, and writes `scripts.md`.
pub(crate) fn run(root: &Path, folder: &Path, _seconds: u64) -> Result<()> {
    let work = root.join("target/bench/scripts");
    std::fs::create_dir_all(&work)?;
    let mut text = "# Scripts\n\nOne request after the other on one connection, from its first byte to \
                    the answer's last, each in a fresh instance; beside it the start of the language's \
                    own interpreter, which does nothing. Milliseconds.\n\n| | frozen, resident: p50 | \
                    p99 | not resident: p50 | native start: p50 | its leanest | of the native start | \
                    of the leanest |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for case in CASES {
        let resident = resident(root, &work, case.script)?;
        let away = not_resident(root, &work, case.script)?;
        let [native, leanest] = case.native.map(native);
        let (native, leanest) = (native?, leanest?);
        let p50 = median(resident.iter().copied());
        writeln!(
            text,
            "| {} | {p50:.2} | {:.2} | {away:.2} | {native:.1} | {leanest:.1} | 1/{:.0} | 1/{:.0} |",
            case.name,
            percentile(resident, 99.0),
            native / p50,
            leanest / p50,
        )?;
        eprintln!("{}: done", case.name);
    }
    std::fs::write(folder.join("scripts.md"), &text)?;
    print!("{text}");
    Ok(())
}

fn peer(root: &Path, work: &Path, script: &str, flags: &str) -> Result<Peer> {
    let flags = format!("{}{flags} --engine aot", cache_flag(&work.join("cache")));
    Peer::dayfly(root, "dayfly", &format!("bench/scripts/{script}"), &flags)
}

fn resident(root: &Path, work: &Path, script: &str) -> Result<Vec<f64>> {
    let server = peer(root, work, script, "")?.start()?;
    let client = Client::new(server.port)?;
    for _ in 0..REQUESTS / 10 {
        client.ask("/")?;
    }
    (0..REQUESTS).map(|_| client.ask("/")).collect()
}

fn not_resident(root: &Path, work: &Path, script: &str) -> Result<f64> {
    let server = peer(root, work, script, " --evict-after 50ms")?.start()?;
    let client = Client::new(server.port)?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        client.ask("/")?;
        std::thread::sleep(Duration::from_millis(220));
        times.push(client.ask("/")?);
    }
    Ok(median(times))
}

fn native(command: &[&str]) -> Result<f64> {
    let (program, arguments) = command.split_first().context("no command")?;
    let once = || {
        let start = Instant::now();
        let status = Command::new(program).args(arguments).stdout(Stdio::null()).status();
        let status = status.with_context(|| format!("`{program}` is not installed"))?;
        ensure!(status.success(), "`{program}` failed");
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    Ok(median((0..STARTS).map(|_| once()).collect::<Result<Vec<f64>>>()?))
}
