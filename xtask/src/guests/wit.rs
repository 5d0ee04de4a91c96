//! Lays out a guest's WIT with the definitions of WASI 0.2 beside it, as compilers expect them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Job;
use crate::tree::{copy_folder, create_folder};

/// WASI's definitions, from the root.
pub const WASI: &str = "guests/wit/wasi-0.2";

/// The version that those definitions state.
const STATED: &str = "0.2.12";

/// The folder with the guest's world and, as its dependencies, WASI at `version`. The
/// interfaces that guests use are the same in all patch versions.
pub fn lay_out(job: &Job, version: &str) -> Result<PathBuf> {
    let folder = job.scratch.join("wit");
    copy_folder(&job.source.join("wit"), &folder)?;
    let dependencies = folder.join("deps");
    create_folder(&dependencies)?;
    let wasi = job.tree.root().join(WASI);
    let entries =
        fs::read_dir(&wasi).with_context(|| format!("failed to read `{}`", wasi.display()))?;
    for entry in entries {
        let entry = entry?;
        let text = fs::read_to_string(entry.path())?.replace(STATED, version);
        fs::write(dependencies.join(entry.file_name()), text)?;
    }
    Ok(folder)
}

/// The interface by which guests send to WebSockets, from the root.
pub const WEBSOCKET: &str = "crates/capabilities/wit/deps/websocket@0.1.0";

/// Adds [`WEBSOCKET`] to the dependencies of a folder that was laid out.
pub fn add_websocket(job: &Job, folder: &Path) -> Result<()> {
    copy_folder(&job.tree.root().join(WEBSOCKET), &folder.join("deps/websocket"))
}
