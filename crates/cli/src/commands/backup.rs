//! `dayfly backup`: a copy of a platform that runs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;

use crate::serve::StoreArgs;
use crate::{logging, output, report};

/// Copy a platform on this machine into a folder, while it runs
///
/// The copy has the records as they were at one moment, every package, and what apps keep; not the key
/// that secrets are encrypted with, which belongs elsewhere.
#[derive(Args)]
#[command(after_help = "Example:\n  dayfly backup /mnt/backup/monday --state-dir /var/lib/dayfly")]
pub(crate) struct Backup {
    /// A folder that is not there, or is empty
    #[arg(value_name = "FOLDER")]
    to: PathBuf,

    /// Print what was copied as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

impl Backup {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let to = self.to.display();
        // A store that is not there would be made.
        self.store.exists()?;
        let copied = self.store.open()?.backup(&self.to);
        let copied = copied.with_context(|| format!("failed to back up to `{to}`"))?;
        if self.json {
            let told = json!({ "folder": self.to, "blobs": copied.blobs, "files": copied.files });
            output::json(&told)?;
        } else {
            let (blobs, files) = (copied.blobs, copied.files);
            report::note("Copied", format_args!("{blobs} blobs and {files} files to `{to}`"));
        }
        Ok(ExitCode::SUCCESS)
    }
}
