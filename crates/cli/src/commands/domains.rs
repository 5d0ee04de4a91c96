//! `dayfly domains`: hosts that an app on a platform answers on beside its own.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use dayfly_api::{AppName, Domain, DomainName};
use serde_json::json;

use crate::logging;
use crate::platform::{PlatformArgs, failed, time};

/// List, add and remove the domains of an app on a platform
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly domains shop add www.example.com\n  dayfly domains shop list"
)]
pub(crate) struct Domains {
    /// The app
    app: AppName,

    #[command(subcommand)]
    verb: Verb,

    #[command(flatten)]
    platform: PlatformArgs,
}

#[derive(Subcommand)]
enum Verb {
    /// List them
    List,
    /// Have the app answer on one; its DNS leads to the platform
    Add {
        /// The host
        domain: DomainName,
    },
    /// Have the app answer on one no more
    Remove {
        /// The host
        domain: DomainName,
    },
}

impl Domains {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let session = self.platform.open()?;
        let (app, name, client) = (session.app(&self.app), &self.app, &session.client);
        match self.verb {
            Verb::List => {
                let found = client.domains(&app);
                let found =
                    found.map_err(|error| failed(error, format!("list domains of `{name}`")))?;
                self.platform.list(&found, ["DOMAIN", "SINCE"], |it: &Domain| {
                    [it.name.to_string(), time(&it.created_at)]
                })?;
            }
            Verb::Add { domain } => {
                let added = client.add_domain(&app, &domain);
                let added = added.map_err(|error| failed(error, format!("add `{domain}`")))?;
                let text = format!("`{domain}`, which `{name}` answers on");
                self.platform.tell(&added, "Added", text)?;
            }
            Verb::Remove { domain } => {
                let removed = client.remove_domain(&app, &domain);
                removed.map_err(|error| failed(error, format!("remove `{domain}`")))?;
                let told = json!({ "removed": domain });
                self.platform.tell(&told, "Removed", format_args!("`{domain}` from `{name}`"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
