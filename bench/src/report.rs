//! Medians and their spread, as Markdown and JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::Serve;
use crate::graph;
use crate::load::Sample;
use crate::stats::{median, percentile};

pub(crate) fn write(
    folder: &Path,
    names: &[&str],
    samples: &[Vec<Sample>],
    options: &Serve,
) -> Result<()> {
    let table = table(names, samples, options)?;
    let json: Vec<_> = names
        .iter()
        .zip(samples)
        .map(|(name, samples)| {
            let values = |get: fn(&Sample) -> f64| samples.iter().map(get).collect::<Vec<_>>();
            serde_json::json!({
                "server": name,
                "requests_per_second": values(|s| s.rate),
                "cpu_us_per_request": values(|s| s.cpu_us),
                "p99_ms": values(|s| s.p99_ms),
                "memory_mib": values(|s| s.memory_mib),
            })
        })
        .collect();
    fs::create_dir_all(folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
    fs::write(folder.join("serve.md"), &table)?;
    fs::write(folder.join("serve.json"), serde_json::to_string_pretty(&json)? + "\n")?;
    let rates: Vec<(&str, f64)> = names
        .iter()
        .zip(samples)
        .map(|(name, samples)| (*name, median(samples.iter().map(|sample| sample.rate))))
        .collect();
    let title = "Hello, one core, a fresh instance a request: requests a second";
    graph::bars(&folder.join("serve.svg"), title, &rates)?;
    print!("{table}");
    Ok(())
}

fn table(names: &[&str], samples: &[Vec<Sample>], options: &Serve) -> Result<String> {
    let mut text = format!(
        "# Hello, one core\n\n\
         `wrk -t1 -c{} -d{}s`, the server on one core and `wrk` on another, {} alternating rounds;\n\
         medians (lowest to highest). Dayfly and `wasmtime serve` start a fresh instance a request.\n\n\
         | server | requests/s | of native | CPU a request | p99 | memory |\n\
         | --- | --- | --- | --- | --- | --- |\n",
        options.connections, options.seconds, options.rounds,
    );
    let native = median(samples[0].iter().map(|s| s.rate));
    for (name, samples) in names.iter().zip(samples) {
        let rate = median(samples.iter().map(|s| s.rate));
        let [low, high] = [0.0, 100.0].map(|at| percentile(samples.iter().map(|s| s.rate), at));
        writeln!(
            text,
            "| {name} | {rate:.0} ({low:.0} to {high:.0}) | {:.3} | {:.0} µs | {:.1} ms | {:.0} MiB |",
            rate / native,
            median(samples.iter().map(|s| s.cpu_us)),
            median(samples.iter().map(|s| s.p99_ms)),
            median(samples.iter().map(|s| s.memory_mib)),
        )?;
    }
    Ok(text)
}
