//! `dayfly componentize`: a core module in, a component out.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use dayfly_forge::componentise::componentise;
use serde_json::json;

use crate::output::{self, Size};
use crate::{logging, oneshot, report};

/// Make a component of a core module
///
/// A command (`_start`, or what `--entrypoint` names) becomes one that exports `wasi:cli/run`; a module
/// that embeds a world, as wit-bindgen and SDKs embed it, exports that. What comes out is a component
/// like any other, for any host. A component stays as it is.
#[derive(Args)]
#[command(after_help = "Example:\n  dayfly componentize tool.wasm -o tool.component.wasm")]
pub(crate) struct Componentize {
    /// A core module, `.wasm` or `.wat`
    file: PathBuf,

    /// Where the component goes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// The exported function that is run [default: `_start`]
    #[arg(long, value_name = "NAME")]
    entrypoint: Option<String>,

    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

impl Componentize {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let wasm = oneshot::read(&self.file)?;
        let source_bytes = wasm.len() as u64;
        let made = componentise(wasm, self.entrypoint.as_deref(), None).map_err(|error| {
            let hint = error.hint();
            report::hint(error, hint)
        });
        let (from, to) = (self.file.display(), self.output.display());
        let (component, changed) =
            made.with_context(|| format!("failed to make a component of `{from}`"))?;
        output::file(&self.output, &component)?;
        let bytes = component.len() as u64;
        if self.json {
            output::json(&json!({
                "file": from.to_string(),
                "source_bytes": source_bytes,
                "output": to.to_string(),
                "component_bytes": bytes,
                "changed": changed,
            }))?;
        } else if changed {
            let (before, after) = (Size(source_bytes), Size(bytes));
            report::note("Made", format!("`{to}` ({after}), a component of `{from}` ({before})"));
        } else {
            report::note("Copied", format!("`{from}`, which is a component already, to `{to}`"));
        }
        Ok(ExitCode::SUCCESS)
    }
}
