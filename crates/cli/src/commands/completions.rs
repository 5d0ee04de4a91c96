//! `dayfly completions`: what a shell needs to complete Dayfly's commands and flags.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{Cli, output};

/// Print a script that completes commands and flags in a shell
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly completions bash > ~/.local/share/bash-completion/completions/dayfly"
)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "dayfly", &mut script);
        output::bytes(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
