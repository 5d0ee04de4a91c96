//! `dayfly logout`: forgets the user's credentials for a registry, or the token for a platform.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use dayfly_api::Client;
use dayfly_forge::fetch;

use super::login::is_platform;
use crate::platform::{Kept, failed};
use crate::{fetching, report};

/// Forget the credentials for a registry, or the token for a platform
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly logout ghcr.io\n  dayfly logout https://admin.apps.example.com"
)]
pub(crate) struct Logout {
    /// The registry's host, with a port if it is not the usual one; or the URL of a platform's admin
    /// API, whose token stays valid (`dayfly tokens revoke`)
    #[arg(value_name = "REGISTRY|URL")]
    place: String,
}

impl Logout {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let Self { place } = self;
        let (had, was_there) = match is_platform(&place) {
            true => {
                let address = Client::new(&place, None);
                let address = address.map_err(|error| failed(error, "log out"))?;
                ("was no token", Kept::load()?.forget(address.url())?)
            }
            false => {
                let config = fetching::config(PathBuf::new())?;
                ("were no credentials", fetch::logout(&place, &config)?)
            }
        };
        match was_there {
            true => report::note("Logged out", format_args!("of `{place}`")),
            false => report::warn(format_args!("there {had} for `{place}`")),
        }
        Ok(ExitCode::SUCCESS)
    }
}
