//! `dayfly login`: the user's credentials for a registry, or a token for a platform.

mod platform;

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use clap::error::ErrorKind;
use dayfly_api::TenantId;
use dayfly_forge::fetch::{self, Login as Accepted};

use crate::{fetching, report};

/// The longest password, or token, in bytes.
const MAX_PASSWORD_BYTES: u64 = 64 << 10;

/// Keep credentials for a registry, or a token for a platform, once it has accepted them
///
/// Those for a registry are kept where `docker login` keeps them and every tool of registries looks:
/// in `config.json` of `$DOCKER_CONFIG` or `~/.docker`. Tokens for platforms (`dayfly serve`) are in
/// `dayfly/platforms.json` of the user's configuration folder. Either is readable by the user alone.
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly login ghcr.io -u me --password-stdin < token.txt\n  dayfly login https://admin.apps.example.com"
)]
pub(crate) struct Login {
    /// The registry's host, with a port if it is not the usual one; or the URL of a platform's admin
    /// API
    #[arg(value_name = "REGISTRY|URL")]
    place: String,

    /// The user's name at the registry
    #[arg(short, long, value_name = "NAME")]
    user: Option<String>,

    /// Read the password, or a token, from standard input: on a command line others could see it
    #[arg(long)]
    password_stdin: bool,

    /// Read the platform's token from standard input [default: DAYFLY_TOKEN, or what is entered]
    #[arg(long, conflicts_with_all = ["user", "password_stdin"])]
    token_stdin: bool,

    /// Whose apps commands mean that do not say so [default: those of the token's tenant, or of
    /// `default`]
    #[arg(long, env = "DAYFLY_TENANT", value_name = "NAME")]
    tenant: Option<TenantId>,
}

/// Whether a place to log in to is a platform and no registry.
pub(super) fn is_platform(place: &str) -> bool {
    place.contains("://")
}

impl Login {
    pub(crate) fn run(self) -> Result<ExitCode> {
        if is_platform(&self.place) {
            if self.user.is_some() || self.password_stdin {
                misused("a platform has no users: give it a token, by `--token-stdin`");
            }
            return platform::log_in(&self.place, self.tenant, self.token_stdin);
        }
        match (&self.user, self.password_stdin, self.token_stdin) {
            (Some(user), true, false) => self.registry(user),
            (_, _, true) => misused("a platform is named by its URL, such as `https://…`"),
            _ => misused("a registry needs `--user NAME` and `--password-stdin`"),
        }
    }

    fn registry(&self, user: &str) -> Result<ExitCode> {
        let registry = &self.place;
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
        if fetch::login(registry, user, password, &config)? == Accepted::NotAsked {
            report::warn(format_args!(
                "registry `{registry}` asks nobody for credentials, so these could not be tried"
            ));
        }
        report::note("Logged in", format_args!("to `{registry}` as `{user}`"));
        Ok(ExitCode::SUCCESS)
    }
}

/// Ends the process as a misuse does that clap finds.
fn misused(text: &str) -> ! {
    let mut command = Login::augment_args(clap::Command::new("dayfly login"));
    command.error(ErrorKind::MissingRequiredArgument, text).exit()
}
