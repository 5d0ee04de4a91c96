//! `dayfly doctor`: facts about this machine, for operators and for reports of bugs.

mod fact;
mod machine;
mod measure;
mod needed;
mod platform;
mod program;
mod tool;
mod toolchains;

use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::engine::EngineArgs;
use crate::serve::FolderArgs;
use crate::{logging, output, report};
use fact::{Fact, Health};

/// Say what this machine offers, and whether Dayfly runs well on it
///
/// It measures how long a tiny component takes to compile, load and start, in a folder of its own
/// that is removed again. Put its output into reports of bugs. It looks for the programs that build
/// the app at PATH, and where there is none, for those of every language; what is missing it says
/// how to install.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {
    /// The app's folder, or its manifest [default: the one of this folder, if there is one]
    path: Option<PathBuf>,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: FolderArgs,

    #[command(flatten)]
    engine: EngineArgs,
}

const EXAMPLES: &str = "\
Exit status:
  0 when Dayfly can run here, 1 when it cannot, or the app at PATH cannot be built

Example:
  dayfly doctor
  dayfly doctor examples/shop
  dayfly doctor --json | jq '.facts[] | select(.health != \"ok\")'";

impl Doctor {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let app = toolchains::app_at(self.path.as_deref())?;
        let mut facts = program::facts(&self.engine);
        facts.extend(machine::facts());
        facts.extend(platform::facts(&self.place));
        facts.extend(measure::facts());
        facts.extend(toolchains::facts(app.as_ref()));
        if self.json {
            let list: Vec<_> = facts.iter().map(Fact::json).collect();
            output::json(&json!({ "ok": !failed(&facts), "facts": list }))?;
        } else {
            print(&facts)?;
        }
        Ok(if failed(&facts) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn failed(facts: &[Fact]) -> bool {
    facts.iter().any(|fact| fact.health == Health::Fail)
}

fn print(facts: &[Fact]) -> Result<()> {
    let width = facts.iter().map(|fact| fact.name.len()).max().unwrap_or(0);
    for fact in facts {
        let (mark, style) = match fact.health {
            Health::Ok => ("ok  ", AnsiColor::Green.on_default()),
            Health::Missing => ("miss", AnsiColor::Yellow.on_default()),
            Health::Warn => ("warn", AnsiColor::Yellow.on_default()),
            Health::Fail => ("fail", AnsiColor::Red.on_default().bold()),
        };
        output::line(format_args!("{style}{mark}{style:#}  {:width$}  {}", fact.name, fact.value))?;
        if let Some(hint) = &fact.hint {
            let dim = Style::new().dimmed();
            output::line(format_args!("      {:width$}  {dim}{hint}{dim:#}", ""))?;
        }
    }
    let count = |health| facts.iter().filter(|fact| fact.health == health).count();
    let (warnings, failures) = (count(Health::Warn), count(Health::Fail));
    report::note(
        "Examined",
        format!("{} facts: {warnings} warnings, {failures} failures", facts.len()),
    );
    Ok(())
}
