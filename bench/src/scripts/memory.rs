//! What many instances at once take of memory, each with a request that sleeps.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::peer;
use crate::start::Client;

const INSTANCES: u32 = 1_000;

const SCRIPTS: [(&str, &str); 4] = [
    ("Ruby", "sleep.rb"),
    ("Python", "sleep.py"),
    ("JavaScript", "sleep.js"),
    ("Perl", "sleep.psgi"),
];

/// How long each sleeps, in seconds.
const SLEEP: u64 = 8;

const PAGE: u64 = 4096;

pub(super) fn run(root: &Path, work: &Path, text: &mut String) -> Result<()> {
    writeln!(
        text,
        "\n## {INSTANCES} instances at once\n\nEach with a request that sleeps. Memory of the process's \
         own that each adds, which is the pages that it wrote, its stack and its connection; and the time \
         from the first request until all instances were there.\n\n| | KiB each | pages | process before, \
         MiB | with all, MiB | all there after, ms |\n| --- | --- | --- | --- | --- | --- |"
    )?;
    for (name, script) in SCRIPTS {
        let server = peer(root, work, script, "")?.start()?;
        Client::new(server.port)?.ask("/?0")?;
        let before = server.anonymous()?;
        let begin = Instant::now();
        let mut connections = Vec::new();
        for _ in 0..INSTANCES {
            let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port))?;
            let request =
                format!("GET /?{SLEEP} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n");
            connection.write_all(request.as_bytes())?;
            connections.push(connection);
        }
        let (all, there) = settled(&server, begin)?;
        for mut connection in connections {
            let mut answer = String::new();
            connection.read_to_string(&mut answer)?;
            ensure!(answer.ends_with("awake\n"), "{name}: {answer}");
        }
        let each = all.saturating_sub(before) / u64::from(INSTANCES);
        let (kibibytes, pages) = (each >> 10, each / PAGE);
        let (before, all) = (before >> 20, all >> 20);
        writeln!(text, "| {name} | {kibibytes} | {pages} | {before} | {all} | {there:.0} |")?;
    }
    Ok(())
}

/// The memory once it grows no more, and after how many milliseconds that began.
fn settled(server: &crate::peer::Running, begin: Instant) -> Result<(u64, f64)> {
    let (mut most, mut since) = (server.anonymous()?, begin.elapsed());
    while begin.elapsed() < Duration::from_secs(SLEEP - 1) {
        std::thread::sleep(Duration::from_millis(20));
        let now = server.anonymous()?;
        // What a thousand instances have in common is little beside one of them.
        if now > most + (64 << 10) {
            (most, since) = (now, begin.elapsed());
        }
    }
    Ok((most, since.as_secs_f64() * 1e3))
}
