//! `dayfly previews`: releases of an app at hosts of their own.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use dayfly_api::{AppName, Preview, PreviewName};
use serde_json::json;

use crate::logging;
use crate::platform::{PlatformArgs, failed, shares, state, time};

/// List and remove the previews of an app on a platform
///
/// `dayfly deploy --preview NAME` makes one.
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly previews shop list\n  dayfly previews shop remove pr-12"
)]
pub(crate) struct Previews {
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
    /// Remove one, and what it keeps
    Remove {
        /// The preview
        preview: PreviewName,
    },
}

impl Previews {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let session = self.platform.open()?;
        let (app, name, client) = (session.app(&self.app), &self.app, &session.client);
        match self.verb {
            Verb::List => {
                let found = client.previews(&app);
                let doing = |error| failed(error, format!("list previews of `{name}`"));
                let head = ["PREVIEW", "RELEASE", "STATE", "EXPIRES", "URL"];
                self.platform.list(&found.map_err(doing)?, head, row)?;
            }
            Verb::Remove { preview } => {
                let removed = client.remove_preview(&app, &preview);
                removed.map_err(|error| failed(error, format!("remove preview `{preview}`")))?;
                let told = json!({ "removed": preview });
                let text = format_args!("preview `{preview}` of `{name}`");
                self.platform.tell(&told, "Removed", text)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(preview: &Preview) -> [String; 5] {
    let url = preview.url.clone().unwrap_or_else(|| preview.host.clone());
    [
        preview.name.to_string(),
        shares(&preview.active),
        state(&preview.active).to_owned(),
        time(&preview.expires_at),
        url,
    ]
}
