//! The npm packages under `target/tools`, and a Node.js where the machine has none that
//! is new enough: Debian 12's is not.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{progress, python};
use crate::process::{answer, find, path_with, run_quietly};
use crate::tree::{Tree, create_folder, read_or_empty, write_atomically};

const OLDEST_NODE: u32 = 20;

/// What guests and tests need.
pub fn install(tree: &Tree) -> Result<()> {
    install_pinned(tree, "npm")
}

/// What only benchmarks need: the peers that Dayfly is measured beside.
pub fn install_peers(tree: &Tree) -> Result<()> {
    install_pinned(tree, "npm-bench")
}

fn install_pinned(tree: &Tree, name: &str) -> Result<()> {
    if installed_node().is_none() {
        python::environment(tree, "venv-node", "node.txt")?;
    }
    let folder = tree.tools().join(name);
    let stamp = folder.join("installed.json");
    let pins = tree.tool_pins().join(name);
    let wanted = read_or_empty(&pins.join("package-lock.json"));
    if read_or_empty(&stamp) == wanted {
        return Ok(());
    }
    progress(&format!("installing npm packages ({name})"));
    create_folder(&folder)?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(pins.join(name), folder.join(name))
            .with_context(|| format!("failed to copy `{name}`"))?;
    }
    let node = node_folder(tree)?;
    // Not `ci`, which insists on optional packages of other platforms.
    run_quietly(
        Command::new(node.join("npm"))
            .args(["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"])
            .arg("--omit-lockfile-registry-resolved")
            .env("PATH", path_with(&node))
            .current_dir(&folder),
    )?;
    write_atomically(&stamp, wanted)
}

/// The folder of the `node` and `npm` that guests are built with.
pub fn node_folder(tree: &Tree) -> Result<PathBuf> {
    match installed_node() {
        Some(folder) => Ok(folder),
        None => packaged_node(tree).context("no Node.js is installed: `cargo xtask setup` does it"),
    }
}

fn installed_node() -> Option<PathBuf> {
    let version = answer(Command::new("node").arg("--version"))?;
    let major: u32 = version.trim().trim_start_matches('v').split('.').next()?.parse().ok()?;
    let folder = find("node")?.parent()?.to_path_buf();
    (major >= OLDEST_NODE && find("npm").is_some()).then_some(folder)
}

fn packaged_node(tree: &Tree) -> Option<PathBuf> {
    let node = tree.python_program("venv-node", "node");
    node.is_file().then(|| node.parent().map(PathBuf::from)).flatten()
}
