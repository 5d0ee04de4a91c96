//! `dayfly login`: the user's credentials for a registry.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use dayfly_forge::fetch::{self, Login as Accepted};

use crate::{fetching, report};

/// The longest password, or token, in bytes.
const MAX_PASSWORD_BYTES: u64 = 64 << 10;

/// Keep credentials for a registry, once it has accepted them
///
/// They are kept where `docker login` keeps them and every tool of registries looks: in
/// `config.json` of `$DOCKER_CONFIG` or `~/.docker`, readable by the user alone.
#[derive(Args)]
#[command(after_help = "Example:\n  dayfly login ghcr.io -u me --password-stdin < token.txt")]
pub(crate) struct Login {
    /// The registry's host, with a port if it is not the usual one
    registry: String,

    /// The user's name there
    #[arg(short, long, value_name = "NAME")]
    user: String,

    /// Read the password, or a token, from standard input: on a command line others could see it
    #[arg(long, required = true)]
    password_stdin: bool,
}

impl Login {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let Self { registry, user, .. } = self;
        if user.contains(':') {
            bail!("a user's name has no `:`");
        }
        let mut password = String::new();
        let mut stdin = std::io::stdin().lock().take(MAX_PASSWORD_BYTES);
        stdin.read_to_string(&mut password).context("failed to read the password")?;
        let password = password.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            bail!("there is no password on standard input");
        }
        let config = fetching::config(PathBuf::new())?;
        if fetch::login(&registry, &user, password, &config)? == Accepted::NotAsked {
            report::warn(format_args!(
                "registry `{registry}` asks nobody for credentials, so these could not be tried"
            ));
        }
        report::note("Logged in", format_args!("to `{registry}` as `{user}`"));
        Ok(ExitCode::SUCCESS)
    }
}
