//! JavaScript guests, by the packages of npm.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Job, Recipe, wit};
use crate::process::{path_with, run_quietly};
use crate::setup::node_folder;
use crate::tree::copy_folder;

const PINS: &str = "xtask/tools/npm/package-lock.json";

/// componentize-js without any framework.
pub const COMPONENTIZE: Recipe =
    Recipe { language: "JavaScript", version: 1, inputs: &[PINS, wit::WASI], build: componentize };

/// The same with the interface of WebSockets.
pub const WEBSOCKET: Recipe = Recipe {
    language: "JavaScript",
    version: 1,
    inputs: &[PINS, wit::WASI, wit::WEBSOCKET],
    build: websocket,
};

/// Spin's build tools.
pub const SPIN: Recipe =
    Recipe { language: "JavaScript", version: 2, inputs: &[PINS], build: spin };

/// The version of wasi:http that the engine in componentize-js was built for.
const ENGINE_WASI: &str = "0.2.10";

fn componentize(job: &Job) -> Result<()> {
    let world = wit::lay_out(job, ENGINE_WASI)?;
    componentize_world(job, &world)
}

fn websocket(job: &Job) -> Result<()> {
    let world = wit::lay_out(job, ENGINE_WASI)?;
    wit::add_websocket(job, &world)?;
    componentize_world(job, &world)
}

fn componentize_world(job: &Job, world: &Path) -> Result<()> {
    let mut tool = npm_program(job, "componentize-js")?;
    tool.arg("handler.js")
        .arg("--wit")
        .arg(world)
        .args(["--world-name", "handler", "--out"])
        .arg(&job.output)
        .current_dir(&job.source);
    run_quietly(&mut tool)
}

/// The tools read the packages beside the source, so both are brought together first.
fn spin(job: &Job) -> Result<()> {
    let project = job.scratch.join("project");
    copy_folder(&job.source, &project)?;
    link(&job.tree.tools().join("npm/node_modules"), &project.join("node_modules"))?;
    let mut bundler = Command::new(node_folder(job.tree)?.join("node"));
    run_quietly(bundler.arg("build.mjs").current_dir(&project))?;
    let mut tool = npm_program(job, "j2w")?;
    tool.args(["--input", "bundle.js", "--output"]).arg(&job.output).current_dir(&project);
    run_quietly(&mut tool)
}

fn npm_program(job: &Job, name: &str) -> Result<Command> {
    let mut command = Command::new(job.tree.npm_program(name));
    command.env("PATH", path_with(&node_folder(job.tree)?));
    Ok(command)
}

fn link(target: &Path, place: &Path) -> Result<()> {
    if place.is_symlink() {
        fs::remove_file(place)?;
    }
    std::os::unix::fs::symlink(target, place)
        .with_context(|| format!("failed to link `{}`", place.display()))
}
