//! `dayfly logout`: forgets the user's credentials for a registry.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use dayfly_forge::fetch;

use crate::{fetching, report};

/// Forget the credentials for a registry
#[derive(Args)]
#[command(after_help = "Example:\n  dayfly logout ghcr.io")]
pub(crate) struct Logout {
    /// The registry's host, with a port if it is not the usual one
    registry: String,
}

impl Logout {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let Self { registry } = self;
        match fetch::logout(&registry, &fetching::config(PathBuf::new())?)? {
            true => report::note("Logged out", format_args!("of `{registry}`")),
            false => report::warn(format_args!("there were no credentials for `{registry}`")),
        }
        Ok(ExitCode::SUCCESS)
    }
}
