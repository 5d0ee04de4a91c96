//! `dayfly restore`: a platform from a copy.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;

use crate::serve::StoreArgs;
use crate::{logging, output, report};

/// Make a platform on this machine from a copy of `dayfly backup`
///
/// Its folder must not be there, or be empty. Every package is checked by its digest. Serve it with the
/// key of the platform that was copied: `--secrets-key-file`, or `secrets.key` in the folder.
#[derive(Args)]
#[command(after_help = "Example:\n  dayfly restore /mnt/backup/monday --state-dir /var/lib/dayfly")]
pub(crate) struct Restore {
    /// The copy
    #[arg(value_name = "FOLDER")]
    from: PathBuf,

    /// Print what was copied as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

impl Restore {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let (from, to) = (self.from.display(), self.store.folder()?);
        let copied = dayfly_store::restore(&self.from, &to);
        let copied = copied.with_context(|| format!("failed to restore `{from}`"))?;
        if self.json {
            let told = json!({ "folder": to, "blobs": copied.blobs, "files": copied.files });
            output::json(&told)?;
        } else {
            let (blobs, files, to) = (copied.blobs, copied.files, to.display());
            report::note("Restored", format_args!("{blobs} blobs and {files} files to `{to}`"));
        }
        Ok(ExitCode::SUCCESS)
    }
}
