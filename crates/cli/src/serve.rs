//! The processes of a platform: a supervisor, the node that serves guests, the control plane that takes
//! releases, and a worker for each of these. They meet in the store only.

mod accounts;
pub(crate) mod acme;
mod certificates;
pub(crate) mod control;
mod disk;
mod ear;
mod handing;
pub(crate) mod imprints;
mod log;
pub(crate) mod node;
mod notify;
pub(crate) mod own;
mod reconciler;
mod release;
pub(crate) mod sockets;
pub(crate) mod supervisor;
mod usage;
pub(crate) mod worker;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use dayfly_store::{Key, Store, StoreError};
use directories::ProjectDirs;

use crate::report;

/// What a process says when it is ready, a line on standard output.
const READY: &str = "ready";

/// Where a platform keeps everything.
#[derive(Args, Clone)]
pub(crate) struct FolderArgs {
    /// The platform's folder: records, packages, what apps keep [default: `platform` in the user's
    /// data folder]
    #[arg(long, env = "DAYFLY_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// Where a platform keeps everything, and what its secrets are encrypted with.
#[derive(Args, Clone)]
pub(crate) struct StoreArgs {
    #[command(flatten)]
    place: FolderArgs,

    /// The file of the key that secrets are encrypted with, 64 hexadecimal digits; made if it is not
    /// there [default: `secrets.key` in the platform's folder]
    #[arg(
        long,
        env = "DAYFLY_SECRETS_KEY_FILE",
        value_name = "FILE",
        conflicts_with = "secrets_key_command"
    )]
    secrets_key_file: Option<PathBuf>,

    /// A shell command that prints the key, for one that lies in a vault
    #[arg(long, env = "DAYFLY_SECRETS_KEY_COMMAND", value_name = "COMMAND")]
    secrets_key_command: Option<String>,
}

impl FolderArgs {
    /// The platform's folder.
    ///
    /// # Errors
    /// If none is named, and the user has no folder for data.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        let data = || Some(ProjectDirs::from("", "", "dayfly")?.data_local_dir().join("platform"));
        let folder = self.state_dir.clone().or_else(data);
        let folder = folder.context("this system has no folder for data: use `--state-dir`")?;
        std::path::absolute(&folder)
            .with_context(|| format!("failed to find `{}`", folder.display()))
    }
}

impl StoreArgs {
    /// The platform's folder.
    ///
    /// # Errors
    /// If none is named, and the user has no folder for data.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        self.place.folder()
    }

    /// Checks that there is a store, which opening would make.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn exists(&self) -> Result<()> {
        let folder = self.folder()?;
        if folder.join(dayfly_store::DATABASE).is_file() {
            return Ok(());
        }
        let error = anyhow!("there is no platform in `{}`", folder.display());
        Err(report::hint(error, Some("name its folder by `--state-dir`")))
    }

    /// Opens the store.
    ///
    /// # Errors
    /// If it cannot be opened, or the key is not its own.
    pub(crate) fn open(&self) -> Result<Store> {
        let folder = self.folder()?;
        let store = Store::open(&folder, self.key(&folder)?);
        store.map_err(|error| {
            let hint = match error {
                StoreError::Key => {
                    Some("name the right one by `--secrets-key-file` or `--secrets-key-command`")
                }
                StoreError::Full => Some("make room there, a few MiB"),
                _ => None,
            };
            let error = anyhow::Error::from(error);
            report::hint(error.context(format!("failed to open `{}`", folder.display())), hint)
        })
    }

    /// Whether a command of the operator's says the key.
    pub(crate) fn has_key_command(&self) -> bool {
        self.secrets_key_command.is_some()
    }

    /// The file of the key, if the operator names it.
    pub(crate) fn key_file(&self) -> Option<&Path> {
        self.secrets_key_file.as_deref()
    }

    fn key(&self, folder: &Path) -> Result<Key> {
        if let Some(command) = &self.secrets_key_command {
            return Ok(Key::of_command(command)?);
        }
        let own = || {
            make_private(folder)?;
            Ok::<_, anyhow::Error>(folder.join("secrets.key"))
        };
        let file = self.secrets_key_file.clone().map_or_else(own, Ok)?;
        Ok(Key::of_file(&file)?)
    }
}

/// Makes a folder that only this user reads, unless it is there.
pub(crate) fn make_private(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("failed to create `{}`", folder.display()))
}
