//! `dayfly build`: runs the manifest's build commands, takes each component through the pipeline, and
//! says what each phase did to it.

pub(super) mod commands;
mod measure;
mod render;
mod summary;
mod touch;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use dayfly_model::{App, ComponentId};

use crate::app::{self, AppSource};
use crate::engine::EngineArgs;
use crate::{logging, output};
use commands::Ran;
use summary::Summary;

/// Build an app: run its commands, then make of each component what will serve
///
/// The commands of `[component.NAME.build]` run in parallel, each component's apart; what one writes is
/// shown if it fails. Then each component is frozen, optimised, composed and compiled as the manifest
/// says, and kept, so that `up` finds it done. A command is the manifest author's: it may do what you may.
#[derive(Args)]
#[command(
    after_help = "Exit status:\n  0 when all was built, 1 when something failed, 130 when interrupted\n\nExamples:\n  dayfly build\n  dayfly build examples/shop --component cart --component prices\n  dayfly build --json | jq '.components[].phases'"
)]
pub(crate) struct Build {
    #[command(flatten)]
    source: AppSource,

    /// Build only this component; may be given several times
    #[arg(short, long = "component", value_name = "ID")]
    components: Vec<String>,

    /// How many components' commands may run at once [default: one a core]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Show what the commands write, as they write it
    #[arg(short, long)]
    verbose: bool,

    /// Run no command: the sources are there
    #[arg(long)]
    no_commands: bool,

    /// Measure no start times
    #[arg(long)]
    quick: bool,

    /// Print what was done as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    engine: EngineArgs,
}

impl Build {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let app = app::read(self.source.path(), self.source.profile())?;
        app::refuse_unserved(&app)?;
        self.knows_all(&app)?;
        let ran = match self.no_commands {
            true => Ran::default(),
            false => commands::run(&app, |id| self.wants(id), self.jobs, self.verbose)?,
        };
        if ran.interrupted {
            return Ok(ExitCode::from(commands::INTERRUPTED));
        }
        let mut summary = Summary::new(&app, ran);
        if summary.has_failed() {
            summary.refuse();
        } else {
            let fetched = self.source.fetch(&app, self.json)?;
            let limits = app.components.values().map(|component| &component.limits);
            let engine = self.engine.build(crate::oneshot::INSTANCES, 0, limits)?;
            let forge = summary::Forge { app: &app, fetched: &fetched, engine: &engine };
            forge.all(&mut summary, |id| self.wants(id), !self.quick)?;
        }
        if self.json {
            output::json(&summary.json())?;
        } else {
            render::print(&summary)?;
        }
        Ok(if summary.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn wants(&self, id: &ComponentId) -> bool {
        self.components.is_empty() || self.components.contains(&id.0)
    }

    fn knows_all(&self, app: &App) -> Result<()> {
        let known = |id: &&String| app.components.contains_key(&ComponentId((*id).clone()));
        if let Some(unknown) = self.components.iter().find(|id| !known(id)) {
            let names: Vec<_> = app.components.keys().map(|id| format!("`{id}`")).collect();
            bail!("there is no component `{unknown}`, but {}", names.join(", "));
        }
        app.components.keys().next().context("the app has no component").map(drop)
    }
}
