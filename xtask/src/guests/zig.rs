//! Zig guests, by the compiler that PyPI packages.

use std::process::Command;

use anyhow::Result;

use super::{Job, Recipe};
use crate::process::run_quietly;

/// A core module with a `_start`.
pub const COMMAND: Recipe = Recipe {
    language: "Zig",
    version: 1,
    inputs: &["xtask/tools/python/base.txt"],
    build: command,
};

fn command(job: &Job) -> Result<()> {
    let mut zig = Command::new(job.python_program("venv", "python"));
    zig.args(["-m", "ziglang", "build-exe", "-target", "wasm32-wasi", "-O", "ReleaseSmall"])
        .arg(job.source.join("main.zig"))
        .arg(format!("-femit-bin={}", job.output.display()))
        .env("ZIG_GLOBAL_CACHE_DIR", job.scratch.join("cache"))
        .env("ZIG_LOCAL_CACHE_DIR", job.scratch.join("cache"));
    run_quietly(&mut zig)
}
