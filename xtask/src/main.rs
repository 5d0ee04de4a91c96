//! Dayfly's chores, the same for a developer and for CI: `cargo xtask --help` lists them.
//! What each needs beyond Rust is installed by `setup`.

mod checks;
mod fuzz;
mod guests;
mod process;
mod setup;
mod tests;
mod tree;
mod whiskers;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::tree::Tree;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Dayfly's own chores")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what checks, guests and tests need (Debian 12 or later; as root or through sudo)
    Setup,
    /// Build the guests that the tests run, into target/guests
    Guests {
        /// Only these; all unless told
        names: Vec<String>,
        /// List the guests instead, with their language and shape
        #[arg(long)]
        list: bool,
        /// Build even what has not changed
        #[arg(long)]
        force: bool,
    },
    /// Build what is checked in of examples/whiskers: its components in Rust, and what browsers load of them
    Whiskers {
        /// Build beside it, and fail if what is checked in is something else
        #[arg(long)]
        check: bool,
    },
    /// Formatting, spelling, licences, lints
    Check,
    /// Set up, build the guests, run every test; further words go to nextest
    Test {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        nextest: Vec<String>,
    },
    /// Only the end-to-end tests: those that start the built `dayfly` program
    E2e,
    /// Fuzz what parses hostile input, beginning with the corpora in fuzz/corpus
    Fuzz {
        /// Only these targets; all unless told
        targets: Vec<String>,
        /// How long each runs
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// What CI runs: check, fuzz, count instructions, then test
    Ci,
    /// Run the benchmarks; further words go to them
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    let tree = Tree::find();
    match verb {
        Verb::Setup => setup::run(&tree),
        Verb::Guests { list: true, .. } => {
            guests::list();
            Ok(())
        }
        Verb::Guests { names, force, .. } => guests::build(&tree, &names, force),
        Verb::Whiskers { check } => whiskers::run(&tree, check),
        Verb::Check => checks::run(&tree),
        Verb::Test { nextest } => tests::run(&tree, &nextest),
        Verb::E2e => tests::end_to_end(&tree),
        Verb::Fuzz { targets, seconds } => {
            setup::run(&tree)?;
            fuzz::run(&tree, &targets, seconds, None)
        }
        Verb::Ci => ci(&tree),
        Verb::Bench { arguments } => tests::bench(&tree, &arguments),
    }
}

/// Where fuzzing begins in CI, each time.
const FUZZ_SEED: u32 = 1;

/// The checks come first because they are quick, beside the guests, whose compilers leave a core idle;
/// the tests' summary is the last thing printed.
fn ci(tree: &Tree) -> Result<()> {
    timed("setup", || setup::run(tree))?;
    timed("checks and guests", || {
        std::thread::scope(|scope| {
            let guests = scope.spawn(|| guests::build(tree, &[], false));
            checks::run(tree)?;
            guests.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    timed("fuzz", || fuzz::run(tree, &[], 60, Some(FUZZ_SEED)))?;
    timed("instructions", || tests::bench(tree, &["instructions".to_owned()]))?;
    timed("tests", || tests::run(tree, &[]))
}

fn timed(what: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    step()?;
    eprintln!("ci: {what} took {} s", started.elapsed().as_secs());
    Ok(())
}
