//! `dayfly resolve`: what a manifest names in, one file of binary WebAssembly out.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;
use dayfly_forge::fetch::described;
use dayfly_model::{App, Component, Executor};
use serde_json::json;

use crate::app::AppSource;
use crate::output::{self, Size};
use crate::{logging, report, source};

/// Fetch what a component's `source` names, check its digest, and write it as binary WebAssembly
///
/// The first of the phases that `dayfly build` runs. A file is copied, text translated, what is elsewhere
/// fetched once and held against its digest. Of a script it is the component of its interpreter.
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly resolve examples/hello -o hello.wasm\n  dayfly resolve shop --component cart -o cart.wasm"
)]
pub(crate) struct Resolve {
    #[command(flatten)]
    source: AppSource,

    /// Which component, where the app has several
    #[arg(short, long, value_name = "NAME")]
    component: Option<String>,

    /// Where the WebAssembly goes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Print no progress
    #[arg(short, long)]
    quiet: bool,

    /// Print what was resolved as JSON
    #[arg(long)]
    json: bool,
}

impl Resolve {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let app = self.source.read_stated()?.app;
        let component = chosen(&app, self.component.as_deref())?;
        let fetched = self.source.fetch(&app, self.quiet || self.json)?;
        let job = source::job(&app, component, &Executor::Detected, &[], &fetched);
        let wasm = dayfly_forge::source(&job).map_err(|error| {
            let hint = error.hint();
            report::hint(error, hint)
        })?;
        output::file(&self.output, &wasm)?;
        let (to, bytes) = (self.output.display(), wasm.len() as u64);
        if self.json {
            output::json(&json!({
                "component": component.id.0,
                "output": to.to_string(),
                "bytes": bytes,
            }))?;
        } else if !self.quiet {
            let size = Size(bytes);
            let from = described(&component.source);
            report::note("Resolved", format_args!("{from} to `{to}` ({size})"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The component of that name, or the only one.
fn chosen<'a>(app: &'a App, name: Option<&str>) -> Result<&'a Component> {
    let names = || app.components.keys().map(|id| &*id.0).collect::<Vec<_>>().join("`, `");
    let mut components = app.components.values().map(Box::as_ref);
    match name {
        Some(name) => components
            .find(|it| it.id.0 == name)
            .ok_or_else(|| anyhow!("the app has no component `{name}`: it has `{}`", names())),
        None => match (components.next(), components.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(anyhow!("the app has no component")),
            (Some(_), Some(_)) => {
                let error = anyhow!("the app has several components: `{}`", names());
                Err(report::hint(error, Some("name one by `--component`")))
            }
        },
    }
}
