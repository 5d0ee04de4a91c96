//! `dayfly rollback`: a former release becomes active again.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use dayfly_api::{AppName, Rollback as To};
use dayfly_model::manifest::parse_duration;

use crate::logging;
use crate::platform::{PlatformArgs, failed, rollout, shares};

/// Activate the release of an app that was active before, and wait until it is served
///
/// Nothing is sent or compiled, so this takes a moment. An app's settings stay as they are.
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly rollback shop\n  dayfly rollback shop --to b5bb9d8014a0"
)]
pub(crate) struct Rollback {
    /// The app
    app: AppName,

    /// The release, by its digest or the first digits of that [default: the one that was active
    /// before]
    #[arg(long, value_name = "RELEASE")]
    to: Option<String>,

    /// How long it may take until it is served
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_duration)]
    timeout: Duration,

    #[command(flatten)]
    platform: PlatformArgs,
}

impl Rollback {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let session = self.platform.open()?;
        let (app, name) = (session.app(&self.app), &self.app);
        let doing = || format!("roll `{name}` back");
        let seen = session.client.activation(&app);
        let seen = seen.map_err(|error| failed(error, doing()))?;
        let to = self.to.as_deref().map(|to| session.release(&app, to)).transpose()?;
        let active =
            session.client.roll_back(&app, &To { to, failed: false }, Some(seen.generation));
        let active = active.map_err(|error| failed(error, doing()))?;
        let active = rollout::take_effect(&session, &app, active, &seen, self.timeout)?;
        let text = format!("`{name}` to release {}", shares(&active));
        self.platform.tell(&active, "Rolled back", text)?;
        Ok(ExitCode::SUCCESS)
    }
}
