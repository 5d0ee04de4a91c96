//! `dayfly dead-letters`: events that their handlers could not be brought to handle.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use dayfly_capabilities::queue::{DeadLetter, Table};
use dayfly_host::printable;

use crate::state::{self, StateArgs};
use crate::{logging, output, report};

/// List events that were given up, and let them be delivered again
#[derive(Args)]
#[command(after_help = "Example:\n  dayfly dead-letters list\n  dayfly dead-letters replay 3 4")]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List them: number, time, trigger, component, attempts, the last error
    List {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: StateArgs,
    },
    /// Print the data of one
    Show {
        /// Its number
        id: i64,
        #[command(flatten)]
        state: StateArgs,
    },
    /// Deliver some again: by the app that runs, or by the next that does
    Replay {
        /// Their numbers
        #[arg(required_unless_present = "all")]
        ids: Vec<i64>,
        /// All of them
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        #[command(flatten)]
        state: StateArgs,
    },
    /// Forget some
    Drop {
        /// Their numbers
        #[arg(required_unless_present = "all")]
        ids: Vec<i64>,
        /// All of them
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        #[command(flatten)]
        state: StateArgs,
    },
}

impl DeadLetters {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        match self.verb {
            Verb::List { json, state } => list(&state.queues(false)?, json)?,
            Verb::Show { id, state } => match state.queues(false)?.dead_letters(&[id])?.first() {
                Some(letter) => output::bytes(&letter.content.data)?,
                None => bail!("there is no dead letter {id}"),
            },
            Verb::Replay { ids, all, state } => {
                let table = state.queues(false)?;
                let ids = wanted(&table, ids, all)?;
                let count = table.replay(&ids)?;
                report::note("Asked", format!("for {count} dead letters to be delivered again"));
            }
            Verb::Drop { ids, all, state } => {
                let table = state.queues(false)?;
                let ids = wanted(&table, ids, all)?;
                let count = table.forget(&ids)?;
                report::note("Forgot", format!("{count} dead letters"));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Numbers of dead letters, each of which is there.
fn wanted(table: &Table, ids: Vec<i64>, all: bool) -> Result<Vec<i64>> {
    let there: Vec<i64> = table.dead_letters(&[])?.iter().map(|letter| letter.id).collect();
    if all {
        return Ok(there);
    }
    match ids.iter().find(|id| !there.contains(id)) {
        Some(missing) => bail!("there is no dead letter {missing}"),
        None => Ok(ids),
    }
}

fn list(table: &Table, json: bool) -> Result<()> {
    let letters = table.dead_letters(&[])?;
    if json {
        let letter = |letter: &DeadLetter| {
            let mut shown = state::json_of(&letter.content);
            shown["id"] = letter.id.into();
            shown["at"] = state::time(letter.at).into();
            shown["trigger"] = letter.trigger.clone().into();
            shown["component"] = letter.component.clone().into();
            shown["attempts"] = letter.attempts.into();
            shown["error"] = letter.error.clone().into();
            shown
        };
        return output::json(&letters.iter().map(letter).collect());
    }
    if letters.is_empty() {
        report::note("Empty", "there is no dead letter");
    }
    for DeadLetter { id, at, trigger, component, attempts, error, .. } in letters {
        output::line(format_args!(
            "{id:>6}  {}  {trigger}  {component}  {attempts} attempts  {}",
            state::time(at),
            printable(&error)
        ))?;
    }
    Ok(())
}
