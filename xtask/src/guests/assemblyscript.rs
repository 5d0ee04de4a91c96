//! AssemblyScript guests, with its WASI shim.

use std::process::Command;

use anyhow::Result;

use super::{Job, Recipe};
use crate::process::{path_with, run_quietly};
use crate::setup::node_folder;

/// A core module with a `_start`.
pub const COMMAND: Recipe = Recipe {
    language: "AssemblyScript",
    version: 1,
    inputs: &["xtask/tools/npm/package-lock.json"],
    build: command,
};

/// The compiler looks for its configuration and libraries from the folder of the packages.
fn command(job: &Job) -> Result<()> {
    let mut tool = Command::new(job.tree.npm_program("asc"));
    tool.arg(job.source.join("main.ts"))
        .args(["--config", "node_modules/@assemblyscript/wasi-shim/asconfig.json"])
        .args(["--optimize", "--outFile"])
        .arg(&job.output)
        .current_dir(job.tree.tools().join("npm"))
        .env("PATH", path_with(&node_folder(job.tree)?));
    run_quietly(&mut tool)
}
