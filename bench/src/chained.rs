//! What a request between two components costs its caller: in process, and over the loopback
//! interface to the same server.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::peer::Peer;
use crate::stats::median;

const ROUNDS: usize = 5;

/// The caller is a guest of Spin 1's interface, which asks until it may not any more.
const CALLS: u32 = 5_000;

const MANIFEST: &str = r#"
dayfly = 1
[application]
name = "chained"
[[trigger.http]]
route = "/..."
component = "front"
[[trigger.http]]
route = "/back"
component = "back"
[component.front]
source = "FRONT"
allowed_outbound_hosts = ["http://self", "http://back.spin.internal", "http://127.0.0.1:*"]
limits = { cpu = "120s", time = "120s", outbound = CALLS }
[component.back]
source = "BACK"
"#;

/// Measures each way and writes `chained.md`.
pub(crate) fn run(root: &Path, folder: &Path, _: u64) -> Result<()> {
    let place = root.join("target/bench/chained");
    std::fs::create_dir_all(&place)?;
    let manifest = place.join("dayfly.toml");
    let guest = |name: &str| root.join("target/guests").join(name).display().to_string();
    let text = MANIFEST
        .replace("FRONT", &guest("rust-spin-1.wasm"))
        .replace("BACK", &guest("rust-hello.wasm"))
        .replace("CALLS", &CALLS.to_string());
    std::fs::write(&manifest, text)?;
    let peer = Peer::dayfly(root, "dayfly", &manifest.display().to_string(), " --engine aot")?;
    let server = peer.start()?;
    let ways = [
        ("in process, by name", "http://back.spin.internal/".to_owned()),
        ("in process, by the app's route", "http://self/back".to_owned()),
        ("over loopback", format!("http://127.0.0.1:{}/back", server.port)),
    ];
    let mut found = vec![Vec::new(); ways.len()];
    for _ in 0..ROUNDS {
        for ((_, url), found) in ways.iter().zip(&mut found) {
            found.push(microseconds(server.port, url)?);
        }
    }
    server.stop()?;
    let mut text = format!(
        "# Calls between components\n\nMicroseconds a call, seen by the caller, which makes {CALLS} \
         one after the other; the callee is `rust-hello` in a fresh instance each. One thread; the \
         median of {ROUNDS} alternating rounds.\n\n| way | µs | of loopback |\n| --- | --- | --- |\n"
    );
    let medians: Vec<f64> = found.into_iter().map(median).collect();
    let loopback = medians.last().copied().context("a way")?;
    for ((way, _), took) in ways.iter().zip(&medians) {
        writeln!(text, "| {way} | {took:.1} | {:.2} |", took / loopback)?;
    }
    std::fs::write(folder.join("chained.md"), &text)?;
    print!("{text}");
    Ok(())
}

/// What one of many calls takes.
fn microseconds(port: u16, url: &str) -> Result<f64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(150)))?;
    let began = Instant::now();
    write!(
        stream,
        "GET /times?url={url} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let took = began.elapsed();
    let all = answer.contains(&format!("\n{CALLS} ")) && answer.contains("too-many-requests");
    ensure!(all, "{url}: {answer}");
    Ok(took.as_secs_f64() * 1e6 / f64::from(CALLS))
}
