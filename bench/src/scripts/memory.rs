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

/// How long after one request the next is sent.
const APART: Duration = Duration::from_millis(3);

pub(super) fn run(root: &Path, work: &Path, text: &mut String) -> Result<()> {
    writeln!(
        text,
        "\n## {INSTANCES} instances at once\n\nEach with a request that sleeps. Memory of the process's \
         own that each adds, which is the pages that it wrote, its stack and its connection.\n\n| | KiB each | pages | process \
         before, MiB | with all, MiB |\n| --- | --- | --- | --- | --- |"
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
            // All at once would be an overload, which is refused in part.
            std::thread::sleep(APART);
        }
        std::thread::sleep(Duration::from_secs(1));
        let all = server.anonymous()?;
        ensure!(begin.elapsed() < Duration::from_secs(SLEEP), "{name}: the first are awake again");
        for mut connection in connections {
            let mut answer = String::new();
            connection.read_to_string(&mut answer)?;
            ensure!(answer.ends_with("awake\n"), "{name}: {answer}");
        }
        let each = all.saturating_sub(before) / u64::from(INSTANCES);
        let (kibibytes, pages) = (each >> 10, each / PAGE);
        let (before, all) = (before >> 20, all >> 20);
        writeln!(text, "| {name} | {kibibytes} | {pages} | {before} | {all} |")?;
    }
    Ok(())
}
