//! `dayfly optimize`: one file in, one out whose code is smaller or faster.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use dayfly_forge::optimise::{self, OPTIMISER};
use dayfly_forge::{Debug, OptimiseTerms, Optimiser};
use dayfly_model::Goal;
use dayfly_model::manifest::parse_size;
use serde_json::json;

use crate::engine::EngineArgs;
use crate::output::{self, Size};
use crate::{fetching, logging, oneshot, report};

/// Make the code of a component smaller or faster
///
/// Binaryen's `wasm-opt` goes over each core module in it; it runs in a sandbox, and is fetched once. It
/// uses no proposal of WebAssembly that the module does not use. What comes out is validated, and is what
/// came in where the result is not better: for `size` has not fewer bytes, for `speed` has not less
/// machine code.
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly optimize app.wasm -o small.wasm --level size\n  dayfly optimize app.wasm -o fast.wasm --strip"
)]
pub(crate) struct Optimize {
    /// A component or core module, `.wasm` or `.wat`
    file: PathBuf,

    /// Where the optimised one goes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// What for
    #[arg(long, value_name = "GOAL", default_value = "speed", value_parser = goal_parser())]
    level: Goal,

    /// Drop the names of functions, and what else serves only people; `size` does
    #[arg(long, conflicts_with = "keep_names")]
    strip: bool,

    /// Keep the names of functions, which errors show; `speed` does
    #[arg(long)]
    keep_names: bool,

    /// How much CPU time it may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 900,
          value_parser = clap::value_parser!(u64).range(1..=36_000))]
    timeout: u64,

    /// The memory that it may have, such as `1GiB`
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = parse_size)]
    memory: u64,

    /// Folder that keeps what was fetched [default: in the user's cache folder]
    #[arg(long, env = "DAYFLY_SOURCE_CACHE_DIR", value_name = "DIR")]
    source_cache_dir: Option<PathBuf>,

    #[command(flatten)]
    engine: EngineArgs,

    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

fn goal_parser() -> impl TypedValueParser<Value = Goal> {
    PossibleValuesParser::new(Goal::ALL.map(Goal::as_str))
        .try_map(|text| Goal::of(&text).ok_or("not a goal"))
}

impl Optimize {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let wasm = oneshot::read(&self.file)?;
        let folder = fetching::folder(self.source_cache_dir.clone())?;
        let tool = fetching::tool(&OPTIMISER, folder, self.json)?;
        let engine = self.engine.build(oneshot::INSTANCES, 0, [])?;
        let terms = self.terms();
        let optimiser = Optimiser { engine: &engine, tool: Some(&tool), terms: &terms };
        let start = Instant::now();
        let optimised = optimise::optimise(&optimiser, wasm).map_err(|error| {
            let hint = error.hint();
            let error = anyhow::Error::from(error);
            let error = error.context(format!("failed to optimise `{}`", self.file.display()));
            report::hint(error, hint)
        })?;
        let took = start.elapsed();
        output::file(&self.output, &optimised.wasm)?;
        let measured = optimised.measured;
        let [before, after] = measured.bytes;
        let written = optimised.wasm.len() as u64;
        let (from, to) = (self.file.display(), self.output.display());
        if self.json {
            output::json(&json!({
                "file": from.to_string(),
                "source_bytes": before,
                "output": to.to_string(),
                "output_bytes": written,
                "optimised_bytes": after,
                "source_code_bytes": measured.code_bytes.map(|[before, _]| before),
                "optimised_code_bytes": measured.code_bytes.map(|[_, after]| after),
                "better": measured.is_better(),
                "goal": self.level.as_str(),
                "optimise_ms": took.as_secs_f64() * 1000.0,
            }))?;
        } else if measured.is_better() {
            let (before, after) = (Size(before), Size(after));
            report::note(
                "Optimised",
                format!("`{from}` ({before}) to `{to}` ({after}) in {took:.1?}"),
            );
        } else {
            report::note(
                "Kept",
                format!("`{from}` as it was in `{to}`: the result was {measured}"),
            );
        }
        Ok(ExitCode::SUCCESS)
    }

    fn terms(&self) -> OptimiseTerms {
        let mut terms = OptimiseTerms::new(self.level);
        if self.strip {
            terms.debug = Debug::Stripped;
        }
        if self.keep_names {
            terms.debug = Debug::Kept;
        }
        OptimiseTerms { cpu: Duration::from_secs(self.timeout), memory_bytes: self.memory, ..terms }
    }
}
