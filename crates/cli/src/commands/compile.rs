//! `dayfly compile`: one file in, its artifact out.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use dayfly_engine::{Engine, EngineConfig, Flavour, Mode};
use serde_json::json;

use crate::engine::mode_parser;
use crate::output::{self, Size};
use crate::{logging, oneshot, report};

/// Compile a component or core module to an artifact
///
/// The artifact is for looking at, and for other embedders of Wasmtime. Dayfly itself never loads
/// it: it runs only native code that it compiled itself and authenticated in its own cache.
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly compile handler.wasm -o handler.cwasm\n  dayfly compile handler.wasm -o handler.pulley --engine interpreter"
)]
pub(crate) struct Compile {
    /// A component or core module, `.wasm` or `.wat`
    file: PathBuf,

    /// Where the artifact goes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// How code is made: `auto`, `jit` and `aot` (Cranelift), `baseline` (Winch), `interpreter`
    #[arg(long, env = "DAYFLY_ENGINE", default_value = "auto", value_name = "MODE",
          value_parser = mode_parser())]
    engine: Mode,

    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

impl Compile {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let prepared = oneshot::prepare(&self.file)?;
        let source_bytes = prepared.phases.first().map_or(0, |phase| phase.bytes) as u64;
        let config = EngineConfig {
            mode: self.engine,
            max_instances: oneshot::INSTANCES,
            ..EngineConfig::default()
        };
        let engine = Engine::new(config)?;
        let start = Instant::now();
        let artifact = engine.precompile(&prepared.wasm)?;
        let took = start.elapsed();
        output::file(&self.output, &artifact)?;
        let artifact_bytes = artifact.len() as u64;
        if self.json {
            output::json(&json!({
                "file": self.file.display().to_string(),
                "source_bytes": source_bytes,
                "component_bytes": prepared.wasm.len(),
                "output": self.output.display().to_string(),
                "artifact_bytes": artifact_bytes,
                "compile_ms": took.as_secs_f64() * 1000.0,
                "engine": self.engine.as_str(),
                "concurrent": Flavour::of(&prepared.wasm)?.is_concurrent(),
            }))?;
        } else {
            let (from, to) = (self.file.display(), self.output.display());
            let (before, after) = (Size(source_bytes), Size(artifact_bytes));
            report::note(
                "Compiled",
                format!("`{from}` ({before}) to `{to}` ({after}) in {took:.1?}"),
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}
