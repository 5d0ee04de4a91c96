//! `dayfly releases`: what an app can be, and what it is.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use dayfly_api::{AppName, Release};

use crate::logging;
use crate::output::Size;
use crate::platform::{PlatformArgs, failed, short, time};

/// List the releases of an app, the latest first
#[derive(Args)]
#[command(after_help = "Example:\n  dayfly releases shop")]
pub(crate) struct Releases {
    /// The app
    app: AppName,

    /// How many at most
    #[arg(long, default_value_t = 20, value_name = "N")]
    most: usize,

    #[command(flatten)]
    platform: PlatformArgs,
}

impl Releases {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let session = self.platform.open()?;
        let found = session.client.releases(&session.app(&self.app), self.most);
        let doing = || format!("list releases of `{}`", self.app);
        let found = found.map_err(|error| failed(error, doing()))?;
        self.platform.list(&found, ["RELEASE", "TRAFFIC", "VERSION", "SIZE", "MADE", "BY"], row)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn row(release: &Release) -> [String; 6] {
    let percent =
        if release.percent == 0 { "-".to_owned() } else { format!("{}%", release.percent) };
    [
        short(&release.id).to_owned(),
        percent,
        release.version.clone(),
        Size(release.bytes).to_string(),
        time(&release.created_at),
        release.created_by.clone(),
    ]
}
