//! The first answer by a script that was changed: it is loaded by its interpreter, frozen, and asked.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::peer::Peer;
use crate::start::{Client, cache_flag};
use crate::stats::median;

const SAVES: usize = 7;

/// How long its component is left alone, so that it leaves memory.
const IDLE: Duration = Duration::from_millis(300);

/// Milliseconds from the request to the answer. What the script says is what changes.
pub(super) fn to_answered(root: &Path, work: &Path, script: &str) -> Result<f64> {
    let source = std::fs::read_to_string(root.join("bench/scripts").join(script))?;
    let folder = tempfile::tempdir_in(work)?;
    let file = folder.path().join(script);
    std::fs::write(&file, &source)?;
    let place = file.strip_prefix(root).context("it lies elsewhere")?;
    let cache = cache_flag(&work.join("cache"));
    let flags = format!("{cache} --engine aot --evict-after 50ms");
    let server = Peer::dayfly(root, "dayfly", &place.to_string_lossy(), &flags)?.start()?;
    let client = Client::new(server.port)?;
    let mut times = Vec::new();
    for save in 0..SAVES {
        let word = format!("saved{save}");
        let changed = source.replace("hello world", &word).replace("item <", &format!("{word} <"));
        ensure!(changed != source, "`{script}` says nothing that can be changed");
        std::fs::write(&file, changed)?;
        std::thread::sleep(IDLE);
        let begin = Instant::now();
        let answer = client.text("/")?;
        ensure!(answer.contains(&word), "what was saved does not come: {answer}");
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(times))
}
