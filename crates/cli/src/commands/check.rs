//! `dayfly check`: is an app valid, what does each component import, what is it granted, what is
//! missing? Nothing is compiled unless asked for, and nothing is run.

mod facts;
mod graph;
mod inspect;
mod render;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::app::AppSource;
use crate::engine::EngineArgs;
use crate::{logging, output};
use facts::Facts;

/// Say whether an app is valid, and what each component imports, is granted, and lacks
///
/// An import that is `denied` or `refused` does not keep a component from running: what it calls
/// there answers with an error.
#[derive(Args)]
#[command(
    mut_arg("path", |path| path.value_name("PATH|REF").help(
        "A folder with a `dayfly.toml` or `spin.toml`, a manifest, one `.wasm` or `.wat` file or a script, \
         or a package of a registry (`REGISTRY/NAME:TAG`)"
    )),
    after_help = EXAMPLES
)]
pub(crate) struct Check {
    #[command(flatten)]
    source: AppSource,

    /// Compile and link each component, too
    #[arg(long)]
    compile: bool,

    /// Print what was found as JSON
    #[arg(long, conflicts_with = "graph")]
    json: bool,

    /// Draw which events wake which component, and where the answers go: a flowchart of Mermaid
    #[arg(long)]
    graph: bool,

    #[command(flatten)]
    engine: EngineArgs,
}

const EXAMPLES: &str = "\
Exit status:
  0 when everything can run, 1 when something cannot

Examples:
  dayfly check examples/hello
  dayfly check handler.wasm --compile
  dayfly check ghcr.io/me/hello:1.0.0
  dayfly check --graph > topology.mmd
  dayfly check --json | jq '.components[].imports'";

impl Check {
    pub(crate) fn run(mut self) -> Result<ExitCode> {
        logging::start_quietly();
        self.source.bring(None, self.json)?;
        let mut facts = Facts::of(&self.source)?;
        if self.compile {
            facts.compile(&self.engine.build(crate::oneshot::INSTANCES, 0, [])?);
        }
        if self.graph {
            render::problems(&facts);
            output::line(facts.graph.mermaid().trim_end())?;
        } else if self.json {
            output::json(&facts.json())?;
        } else {
            render::print(&facts)?;
        }
        Ok(if facts.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
