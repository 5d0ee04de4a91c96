//! `dayfly compose`: a component, what satisfies its imports, and what stands before it in; one out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use dayfly_capabilities::opened_by;
use dayfly_forge::Job;
use dayfly_forge::fetch::Fetched;
use dayfly_model::{Dependency, DependencySource, Executor, Inherit, Middleware, Source};
use serde_json::json;

use crate::app::pair;
use crate::output::{self, Size};
use crate::{logging, oneshot, report};

/// Make one component of several
///
/// Each dependency satisfies an import of the component; each middleware stands before it, the first
/// outermost. What comes out may use all that its parts import: in an app, a manifest's `dependencies`
/// and `middleware` say what each part may inherit.
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly compose shop.wasm --dependency acme:prices=prices.wasm -o whole.wasm\n  dayfly compose shop.wasm --middleware auth.wasm -o guarded.wasm"
)]
pub(crate) struct Compose {
    /// The component or core module, `.wasm` or `.wat`
    file: PathBuf,

    /// Where the composed component goes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Satisfy an import by a component, as a manifest's `dependencies` names imports:
    /// `namespace:package`, with `/interface` and `@version` if need be
    #[arg(long = "dependency", value_name = "IMPORT=FILE", value_parser = pair)]
    dependencies: Vec<(String, String)>,

    /// Put a component before it that gets its requests, and passes on what it likes
    #[arg(long = "middleware", value_name = "FILE")]
    middleware: Vec<PathBuf>,

    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

impl Compose {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let mut app = oneshot::app_of(&self.file)?;
        let mut component = app.components.values().next().cloned().context("no component")?;
        component.dependencies = self.dependencies()?;
        let middleware = self.middleware()?;
        app.components.insert(component.id.clone(), component.clone());
        let fetched = Fetched::default();
        let job = Job::new(&app, &component, &Executor::Detected, &middleware, opened_by);
        let job = Job { fetched: Some(&fetched), ..job };
        let composed = dayfly_forge::prepare_unshaped(&job).map_err(|error| {
            let hint = error.hint();
            report::hint(error, hint)
        })?;
        output::file(&self.output, &composed.wasm)?;
        let parts = component.dependencies.len() + middleware.len();
        let imports: Vec<_> = composed.world.imports.iter().map(|it| it.raw.clone()).collect();
        let (from, to) = (self.file.display(), self.output.display());
        let bytes = composed.wasm.len() as u64;
        if self.json {
            output::json(&json!({
                "file": from.to_string(),
                "source_bytes": composed.phases.first().map(|phase| phase.bytes),
                "parts": parts,
                "output": to.to_string(),
                "composed_bytes": bytes,
                "imports": imports,
            }))?;
        } else {
            let parts = if parts == 1 { "1 part".to_owned() } else { format!("{parts} parts") };
            report::note("Composed", format!("`{from}` and {parts} to `{to}` ({})", Size(bytes)));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn dependencies(&self) -> Result<Vec<Dependency>> {
        let dependency = |(import, file): &(String, String)| {
            Ok(Dependency {
                import: import.clone(),
                source: source(Path::new(file))?,
                export: None,
                inherit: Inherit::All,
                environment: BTreeMap::new(),
            })
        };
        self.dependencies.iter().map(dependency).collect()
    }

    fn middleware(&self) -> Result<Vec<Middleware>> {
        let middleware = |file: &PathBuf| {
            Ok(Middleware {
                source: source(file)?,
                inherit: Inherit::All,
                environment: BTreeMap::new(),
            })
        };
        self.middleware.iter().map(middleware).collect()
    }
}

/// A part's file, which is relative to where the command runs, not to the component.
fn source(file: &Path) -> Result<DependencySource> {
    let file = std::path::absolute(file)
        .with_context(|| format!("failed to find `{}`", file.display()))?;
    Ok(DependencySource::Source(Source::File(file)))
}
