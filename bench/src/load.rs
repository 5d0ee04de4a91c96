//! The load: wrk on a core of its own, after a short warm-up.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::output;
use crate::peer::Running;

pub(crate) const CLIENT_CORE: &str = "1";
const WARM_UP_SECONDS: u64 = 1;

#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) seconds: u64,
    pub(crate) connections: u32,
    pub(crate) path: &'static str,
    pub(crate) scheme: &'static str,
    pub(crate) cores: &'static str,
}

/// What one run of one server gave.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// Requests a second.
    pub(crate) rate: f64,
    /// CPU time of the server a request, in microseconds.
    pub(crate) cpu_us: f64,
    /// The 99th percentile of the latency, in milliseconds.
    pub(crate) p99_ms: f64,
    /// Resident memory after the load, in MiB.
    pub(crate) memory_mib: f64,
}

impl Load {
    /// So many connections that ask for `/`.
    pub(crate) const fn new(seconds: u64, connections: u32) -> Self {
        Self { seconds, connections, path: "/", scheme: "http", cores: CLIENT_CORE }
    }

    /// The same from other cores.
    pub(crate) const fn on(self, cores: &'static str) -> Self {
        Self { cores, ..self }
    }

    pub(crate) fn run(&self, server: &Running) -> Result<Sample> {
        self.report(server, WARM_UP_SECONDS)?;
        let before = server.cpu()?;
        let report = self.report(server, self.seconds)?;
        let cpu = server.cpu()? - before;
        ensure!(!report.contains("Non-2xx"), "the server answered errors:\n{report}");
        let requests: f64 = field(&report, |line| line.split_once(" requests in "))?.parse()?;
        Ok(Sample {
            rate: field_after(&report, "Requests/sec:")?.parse()?,
            cpu_us: cpu.as_secs_f64() * 1e6 / requests,
            p99_ms: milliseconds(&field_after(&report, "99%")?)?,
            memory_mib: server.memory()? as f64 / f64::from(1 << 20),
        })
    }

    /// What wrk tells of so many seconds.
    pub(crate) fn report(&self, server: &Running, seconds: u64) -> Result<String> {
        output(
            Command::new("taskset")
                .args(["-c", self.cores, "wrk", "-t1", "--latency"])
                .arg(format!("-c{}", self.connections))
                .arg(format!("-d{seconds}s"))
                .arg(format!("{}://127.0.0.1:{}{}", self.scheme, server.port, self.path)),
        )
    }
}

fn field(report: &str, split: impl Fn(&str) -> Option<(&str, &str)>) -> Result<String> {
    let found = report.lines().find_map(split).map(|(text, _)| text.trim().to_owned());
    found.with_context(|| format!("wrk's report lacks a line:\n{report}"))
}

/// What follows a name at the beginning of a line.
pub(crate) fn field_after(report: &str, name: &str) -> Result<String> {
    let rest = report.lines().find_map(|line| line.trim().strip_prefix(name));
    let rest = rest.with_context(|| format!("wrk's report has no `{name}`:\n{report}"))?;
    Ok(rest.trim().to_owned())
}

/// How many answers were none that a client wants.
pub(crate) fn refused(report: &str) -> f64 {
    let told =
        report.lines().find_map(|line| line.trim().strip_prefix("Non-2xx or 3xx responses:"));
    told.and_then(|number| number.trim().parse().ok()).unwrap_or(0.0)
}

/// A duration as wrk writes it: `812.00us`, `1.20ms`, `2.01s`.
pub(crate) fn milliseconds(text: &str) -> Result<f64> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text[..text.len() - unit.len()].parse()?;
    Ok(match unit {
        "us" => number / 1e3,
        "ms" => number,
        "s" => number * 1e3,
        "m" => number * 6e4,
        _ => anyhow::bail!("`{text}` is no duration of wrk's"),
    })
}
