//! C guests, by Debian's clang and wasi-libc.

use std::process::Command;

use anyhow::Result;

use super::{Job, Recipe};
use crate::process::run_quietly;

/// A core module with a `_start`.
pub const COMMAND: Recipe = Recipe { language: "C", version: 1, inputs: &[], build: command };

// Debian's wasi-libc lies under the target's former name, of which clang warns.
const FLAGS: &[&str] =
    &["--target=wasm32-wasi", "--sysroot=/usr", "-O2", "-s", "-Wall", "-Wextra", "-Wno-deprecated"];

fn command(job: &Job) -> Result<()> {
    let mut clang = Command::new("clang-22");
    clang.args(FLAGS).arg(job.source.join("main.c")).arg("-o").arg(&job.output);
    run_quietly(&mut clang)
}
