//! The command line of Dayfly, and its composition root: everything is put together here, one
//! file a command.
#![deny(missing_docs)]

mod app;
mod building;
mod clients;
mod commands;
mod databases;
mod descriptors;
mod engine;
mod fetching;
mod harden;
mod key_value;
mod logging;
mod node;
mod oneshot;
mod output;
mod packing;
mod platform;
mod rehearsal;
mod report;
mod residency;
mod serve;
mod serving;
mod source;
mod state;
mod telemetry;
mod templates;
mod variables;

#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzz {
    //! What fuzz targets reach and nobody else.
    pub use crate::commands::arguments;
}

use std::process::ExitCode;

use clap::Parser;

use commands::Command;

/// A serverless cloud in one binary: each request in a fresh WebAssembly instance.
#[derive(Parser)]
#[command(name = "dayfly", version, max_term_width = 100, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Runs the command line of this process: 0 is done, 1 failed, 2 misused; a command that runs a
/// guest's command ends with the guest's status.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.run() {
        Ok(code) => code,
        Err(error) => {
            report::print(&error);
            ExitCode::FAILURE
        }
    }
}
