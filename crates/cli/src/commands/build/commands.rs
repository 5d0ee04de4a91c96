//! The build commands, as a user sees them run.

use std::num::NonZeroUsize;

use anyhow::{Context as _, Result};
use dayfly_model::{App, ComponentId};
use tokio::signal::unix::{SignalKind, signal};

use crate::building::{self, Built, Outcome, Word, Work};
use crate::report;

/// The exit status of what a user interrupted, as a shell has it.
pub(crate) const INTERRUPTED: u8 = 130;

/// What a shell ends with if it finds no program of a name.
const NOT_FOUND: i32 = 127;

/// What came of an app's commands.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    pub(crate) works: Vec<(Work, Built)>,
    /// Whether the user ended it before they did.
    pub(crate) interrupted: bool,
}

/// Runs the commands of those components that are wanted. What is wrong is told; that something failed
/// is no error here.
///
/// # Errors
/// If the system denies what is needed to run anything.
pub(crate) fn run(
    app: &App,
    wanted: impl Fn(&ComponentId) -> bool,
    jobs: Option<NonZeroUsize>,
    verbose: bool,
) -> Result<Ran> {
    let works = Work::of(app, wanted);
    if works.is_empty() {
        return Ok(Ran::default());
    }
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let at_once = jobs.map_or_else(cores, NonZeroUsize::get);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the asynchronous runtime")?;
    let built = runtime.block_on(async {
        let mut ends = signal(SignalKind::terminate())?;
        let mut interrupts = signal(SignalKind::interrupt())?;
        tokio::select! {
            built = building::run(&works, at_once, |word| tell(word, verbose)) => Ok(Some(built)),
            // What runs is killed, since nobody waits for it any more.
            _ = interrupts.recv() => Ok(None),
            _ = ends.recv() => Ok::<_, std::io::Error>(None),
        }
    });
    Ok(match built.context("failed to listen for signals")? {
        Some(built) => Ran { works: works.into_iter().zip(built).collect(), interrupted: false },
        None => Ran { works: Vec::new(), interrupted: true },
    })
}

fn tell(word: Word<'_>, verbose: bool) {
    match word {
        Word::Starts(work) => {
            report::note(
                "Building",
                format_args!("{}: {}", work.name(), work.commands.join(" && ")),
            );
        }
        Word::Says(work, line) if verbose => anstream::eprintln!("{} | {line}", work.name()),
        Word::Says(..) => {}
        Word::Ends(work, built) if built.is_done() => {
            report::note("Built", format_args!("{} in {:.1?}", work.name(), built.took));
        }
        Word::Ends(work, built) => failed(work, built, verbose),
    }
}

fn failed(work: &Work, built: &Built, verbose: bool) {
    if !verbose && !built.output.is_empty() {
        anstream::eprintln!("{}", built.output.trim_end());
    }
    let outcome = &built.outcome;
    let error = anyhow::anyhow!("failed to build `{}`: {outcome}", work.name());
    let missing =
        matches!(outcome, Outcome::Failed { status, .. } if status.code() == Some(NOT_FOUND));
    let hint = missing.then_some("a program is missing: `dayfly doctor` says what is installed");
    report::print(&report::hint(error, hint));
}
