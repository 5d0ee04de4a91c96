//! Requests a second of other handlers than a hello, and over other protocols.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::load::{CLIENT_CORE, Load, Sample};
use crate::output;
use crate::peer::{Peer, Running};
use crate::stats::median;

const ROUNDS: usize = 3;
const CONNECTIONS: u32 = 32;

/// A kind of handler, and what asks it.
struct Kind {
    name: &'static str,
    guest: &'static str,
    path: &'static str,
    client: Client,
    /// The flags by which `wasmtime serve` serves it, if it does; they begin with a space.
    wasmtime: Option<&'static str>,
    /// Whether its instances serve many requests.
    reused: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Client {
    Wrk,
    Tls,
    Http2,
}

const KINDS: [Kind; 10] = [
    Kind::new("hello", "rust-hello", "/", Client::Wrk, Some("")),
    Kind::new("hello over TLS", "rust-hello", "/", Client::Tls, None),
    Kind::new("hello over HTTP/2", "rust-hello", "/", Client::Http2, None),
    Kind::new(
        "WASI 0.3",
        "rust-p3-echo",
        "/hello",
        Client::Wrk,
        Some(" -W component-model-async -S p3 --max-instance-reuse-count 1"),
    ),
    Kind::new("a command by CGI", "rust-command", "/", Client::Wrk, None),
    Kind::new("1 MiB streamed", "rust-http", "/large?bytes=1048576", Client::Wrk, None),
    Kind::new("JavaScript, 12 MB", "js-componentize", "/", Client::Wrk, Some("")),
    Kind::new("Python, 18 MB", "python-http", "/", Client::Wrk, Some("")),
    Kind::new("hello, reused", "rust-hello", "/", Client::Wrk, None).reused(),
    Kind::new("Python, reused", "python-http", "/", Client::Wrk, None).reused(),
];

const REUSED: &str = r#"
dayfly = 1
[application]
name = "reused"
[[trigger.http]]
route = "/..."
component = "guest"
[component.guest]
source = "GUEST"
reuse = { requests = 1000 }
"#;

impl Kind {
    const fn new(
        name: &'static str,
        guest: &'static str,
        path: &'static str,
        client: Client,
        wasmtime: Option<&'static str>,
    ) -> Self {
        Self { name, guest, path, client, wasmtime, reused: false }
    }

    const fn reused(self) -> Self {
        Self { reused: true, ..self }
    }

    fn guest(&self) -> String {
        format!("target/guests/{}.wasm", self.guest)
    }

    /// What Dayfly serves: the guest, or an app of it in `folder`.
    fn app(&self, root: &Path, folder: &Path) -> Result<String> {
        if !self.reused {
            return Ok(self.guest());
        }
        let manifest = folder.join(format!("{}.toml", self.guest));
        let source = root.join(self.guest());
        std::fs::write(&manifest, REUSED.replace("GUEST", &source.display().to_string()))?;
        Ok(manifest.display().to_string())
    }
}

/// Measures each kind, Dayfly and `wasmtime serve` in turn, and writes `kinds.md`.
pub(crate) fn run(root: &Path, folder: &Path, seconds: u64) -> Result<()> {
    let seconds = seconds.div_ceil(2);
    let place = root.join("target/bench/kinds");
    std::fs::create_dir_all(&place)?;
    self_sign(&place)?;
    let mut text = format!(
        "# Other handlers, one core\n\nA fresh instance a request, but where instances are reused for 1000; {CONNECTIONS} connections, \
         {ROUNDS} alternating rounds of {seconds} s; medians.\n\n\
         | | requests/s | CPU a request | `wasmtime serve` | times |\n| --- | --- | --- | --- | --- |\n"
    );
    for kind in &KINDS {
        let tls = match kind.client {
            Client::Tls => {
                format!(" --tls-cert {0}/cert.pem --tls-key {0}/key.pem", place.display())
            }
            _ => String::new(),
        };
        let flags = format!("{tls} --engine aot");
        let dayfly = Peer::dayfly(root, "dayfly", &kind.app(root, &place)?, &flags)?;
        let wasmtime =
            kind.wasmtime.map(|flags| Peer::wasmtime(root, &kind.guest(), flags)).transpose()?;
        let (mut own, mut other) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            own.push(kind.ask(&dayfly.start()?, seconds)?);
            if let Some(peer) = &wasmtime {
                other.push(kind.ask(&peer.start()?, seconds)?);
            }
        }
        let rate = median(own.iter().map(|sample| sample.rate));
        let cpu_us = median(own.iter().map(|sample| sample.cpu_us));
        write!(text, "| {} | {rate:.0} | {cpu_us:.0} µs |", kind.name)?;
        if other.is_empty() {
            text += " | |\n";
        } else {
            let other = median(other.iter().map(|sample| sample.rate));
            writeln!(text, " {other:.0} | {:.2} |", rate / other)?;
        }
        eprintln!("{}: {rate:.0} requests/s", kind.name);
    }
    std::fs::write(folder.join("kinds.md"), &text)?;
    print!("{text}");
    Ok(())
}

impl Kind {
    fn ask(&self, server: &Running, seconds: u64) -> Result<Sample> {
        let scheme = if self.client == Client::Tls { "https" } else { "http" };
        if self.client == Client::Http2 {
            return h2load(server, seconds);
        }
        Load { path: self.path, scheme, ..Load::new(seconds, CONNECTIONS) }.run(server)
    }
}

/// HTTP/2 without TLS, eight connections with four streams each.
fn h2load(server: &Running, seconds: u64) -> Result<Sample> {
    let ask = |seconds: u64| {
        output(
            Command::new("taskset")
                .args(["-c", CLIENT_CORE, "h2load", "-c8", "-m4"])
                .args([format!("-D{seconds}"), format!("http://127.0.0.1:{}/", server.port)]),
        )
    };
    ask(1)?;
    let before = server.cpu()?;
    let report = ask(seconds)?;
    let cpu = server.cpu()? - before;
    let found =
        |line: &str| line.split_once("finished in ")?.1.split(", ").nth(1).map(str::to_owned);
    let rate = report.lines().find_map(found).context("h2load tells no rate")?;
    let rate: f64 = rate.trim_end_matches(" req/s").parse()?;
    Ok(Sample {
        rate,
        cpu_us: cpu.as_secs_f64() * 1e6 / (rate * seconds as f64),
        p99_ms: f64::NAN,
        memory_mib: server.memory()? as f64 / f64::from(1 << 20),
    })
}

/// A certificate for this benchmark alone.
fn self_sign(folder: &Path) -> Result<()> {
    let (key, certificate) = (folder.join("key.pem"), folder.join("cert.pem"));
    output(
        Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .arg("-keyout")
            .arg(key)
            .arg("-out")
            .arg(certificate),
    )?;
    Ok(())
}
