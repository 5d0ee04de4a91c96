//! `dayfly apps`: what a tenant has on a platform.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use dayfly_api::{App, AppName};
use serde_json::json;

use crate::platform::{PlatformArgs, failed, shares, state};
use crate::{logging, report};

/// List apps of a platform, make and remove them
#[derive(Args)]
#[command(after_help = "Example:\n  dayfly apps\n  dayfly apps remove shop --yes")]
pub(crate) struct Apps {
    #[command(subcommand)]
    verb: Option<Verb>,

    #[command(flatten)]
    platform: PlatformArgs,
}

#[derive(Subcommand)]
enum Verb {
    /// List them: name, what is active, whether that is served, URL
    List,
    /// Make one without a release, so that it can be told something before it is deployed
    Make {
        /// What it is called
        name: AppName,
    },
    /// Remove one with its releases, settings, domains, and everything that it keeps
    Remove {
        /// What it is called
        name: AppName,
        /// Nothing of it comes back
        #[arg(long, required = true)]
        yes: bool,
    },
}

impl Apps {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let session = self.platform.open()?;
        match self.verb.unwrap_or(Verb::List) {
            Verb::List => {
                let apps = session.client.apps(&session.tenant);
                let apps = apps.map_err(|error| failed(error, "list apps"))?;
                self.platform.list(&apps, ["APP", "RELEASE", "STATE", "URL"], row)?;
                if !self.platform.json {
                    apps.iter().for_each(warn);
                }
            }
            Verb::Make { name } => {
                let made = session.client.make_app(&session.app(&name));
                let made = made.map_err(|error| failed(error, format!("make app `{name}`")))?;
                self.platform.tell(&made, "Made", format_args!("app `{name}`"))?;
            }
            Verb::Remove { name, .. } => {
                let removed = session.client.remove_app(&session.app(&name));
                removed.map_err(|error| failed(error, format!("remove app `{name}`")))?;
                let told = json!({ "removed": name });
                self.platform.tell(&told, "Removed", format_args!("app `{name}`"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(app: &App) -> [String; 4] {
    let url = app.url.clone().unwrap_or_else(|| app.host.clone());
    [app.name.to_string(), shares(&app.active), state(&app.active).to_owned(), url]
}

/// Says why an app is not served as it should be.
fn warn(app: &App) {
    if let Some(error) = &app.active.error {
        let error = report::harmless(error);
        report::warn(format_args!("`{}` is not served as it should be: {error}", app.name));
    }
}
