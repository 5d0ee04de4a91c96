//! The components that componentize-js and componentize-py make of the same handler, under
//! `wasmtime serve` and under Dayfly.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use super::resident;
use crate::peer::Peer;
use crate::start::cache_flag;
use crate::stats::{median, percentile};

/// A component, and which of its pages is asked for.
const GUESTS: [(&str, &str, &str); 4] = [
    ("componentize-js, hello", "js-componentize", "/"),
    ("componentize-js, a page and JSON", "js-componentize", "/page"),
    ("componentize-py, hello", "python-http", "/"),
    ("componentize-py, a page and JSON", "python-http", "/page"),
];

pub(super) fn run(root: &Path, work: &Path, text: &mut String) -> Result<()> {
    *text += "\n## Components of other tools\n\nThe same handlers (`page.js`, `page.py`), made components by \
              those tools and asked the same way, in a fresh instance each. Milliseconds.\n\n| | `wasmtime \
              serve`: p50 | p99 | dayfly: p50 | p99 |\n| --- | --- | --- | --- | --- |\n";
    for (name, guest, path) in GUESTS {
        let guest = format!("target/guests/{guest}.wasm");
        let flags = format!("{} --engine aot", cache_flag(&work.join("cache")));
        let theirs = resident(&Peer::wasmtime(root, &guest, "")?, path)?;
        let ours = resident(&Peer::dayfly(root, "dayfly", &guest, &flags)?, path)?;
        let figures = |times: Vec<f64>| {
            format!("{:.2} | {:.2}", median(times.iter().copied()), percentile(times, 99.0))
        };
        writeln!(text, "| {name} | {} | {} |", figures(theirs), figures(ours))?;
    }
    Ok(())
}
