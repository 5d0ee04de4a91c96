//! The load: wrk on a core of its own, after a short warm-up.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::output;
use crate::peer::Running;

pub(crate) const CLIENT_CORE: &str = "1";
const WARM_UP_SECONDS: u64 = 1;

pub(crate) struct Load {
    pub(crate) seconds: u64,
    pub(crate) connections: u32,
    pub(crate) path: &'static str,
    pub(crate) scheme: &'static str,
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
    pub(crate) fn run(&self, server: &Running) -> Result<Sample> {
        self.wrk(server, WARM_UP_SECONDS)?;
        let before = server.cpu()?;
        let report = self.wrk(server, self.seconds)?;
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

    fn wrk(&self, server: &Running, seconds: u64) -> Result<String> {
        output(
            Command::new("taskset")
                .args(["-c", CLIENT_CORE, "wrk", "-t1", "--latency"])
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

fn field_after(report: &str, name: &str) -> Result<String> {
    let rest = report.lines().find_map(|line| line.trim().strip_prefix(name));
    let rest = rest.with_context(|| format!("wrk's report has no `{name}`:\n{report}"))?;
    Ok(rest.trim().to_owned())
}

/// A duration as wrk writes it: `812.00us`, `1.20ms`, `2.01s`.
fn milliseconds(text: &str) -> Result<f64> {
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
