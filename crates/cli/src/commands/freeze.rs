//! `dayfly freeze`: one file in, a component out whose instances begin where its initialiser ended.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use dayfly_forge::{FreezeTerms, Freezer, FrozenFolder};
use dayfly_model::manifest::parse_size;
use serde_json::json;

use crate::engine::EngineArgs;
use crate::oneshot::folder;
use crate::output::{self, Size};
use crate::{logging, oneshot, report};

/// Run a component's start-up work once, and keep what it became
///
/// The initialiser runs with the folders that are named, to read, and nothing else: no network, no
/// environment, the same clocks and randomness each time. What comes out is a component like any
/// other, for any host; each of its instances begins where the initialiser ended.
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly freeze app.wasm -o frozen.wasm\n  dayfly freeze app.wasm -o frozen.wasm --init load-model --dir models::/models"
)]
pub(crate) struct Freeze {
    /// A component or core module, `.wasm` or `.wat`
    file: PathBuf,

    /// Where the frozen component goes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// The exported function that initialises [default: `wizer-initialize`, `wizer-init` or
    /// `initialize`]
    #[arg(long = "init", value_name = "NAME")]
    initialiser: Option<String>,

    /// Let the initialiser read the folder HOST, which it sees as GUEST (as HOST when left out)
    #[arg(long = "dir", value_name = "HOST[::GUEST]", value_parser = folder)]
    folders: Vec<(PathBuf, String)>,

    /// How much CPU time the initialiser may use, in seconds; it may take twice as long
    #[arg(long, value_name = "SECONDS", default_value_t = 120,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,

    /// The memory that the initialiser may have, such as `256MiB`
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = parse_size)]
    memory: u64,

    #[command(flatten)]
    engine: EngineArgs,

    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

impl Freeze {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let folders = self.folders.iter();
        let time = Duration::from_secs(self.timeout);
        let terms = FreezeTerms {
            initialiser: self.initialiser.clone(),
            folders: folders
                .map(|(host, guest)| FrozenFolder { host: host.clone(), guest: guest.clone() })
                .collect(),
            memory_bytes: self.memory,
            cpu: time,
            time: time * 2,
            ..FreezeTerms::default()
        };
        let engine = self.engine.build(oneshot::INSTANCES, 0, [])?;
        let start = Instant::now();
        let scratch = tempfile::tempdir()?;
        let freezer = Freezer { engine: &engine, terms: &terms, scratch: scratch.path() };
        let frozen = oneshot::prepare_with(&self.file, Some(freezer))?;
        let took = start.elapsed();
        let source_bytes = frozen.phases.first().map_or(0, |phase| phase.bytes) as u64;
        output::file(&self.output, &frozen.wasm)?;
        let bytes = frozen.wasm.len() as u64;
        if self.json {
            output::json(&json!({
                "file": self.file.display().to_string(),
                "source_bytes": source_bytes,
                "output": self.output.display().to_string(),
                "frozen_bytes": bytes,
                "freeze_ms": took.as_secs_f64() * 1000.0,
            }))?;
        } else {
            let (from, to) = (self.file.display(), self.output.display());
            let (before, after) = (Size(source_bytes), Size(bytes));
            report::note("Froze", format!("`{from}` ({before}) to `{to}` ({after}) in {took:.1?}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}
