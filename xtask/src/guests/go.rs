//! Go guests, by the compiler that PyPI packages.

use std::process::Command;

use anyhow::Result;

use super::{Job, Recipe};
use crate::process::run_quietly;

/// A core module with a `_start`.
pub const COMMAND: Recipe =
    Recipe { language: "Go", version: 1, inputs: &["xtask/tools/python/base.txt"], build: command };

fn command(job: &Job) -> Result<()> {
    let mut go = Command::new(job.python_program("venv", "go"));
    go.args(["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"])
        .arg(&job.output)
        .arg(".")
        .current_dir(&job.source)
        .env("GOOS", "wasip1")
        .env("GOARCH", "wasm")
        .env("GOCACHE", job.scratch.join("cache"))
        // The standard library is all that these guests need.
        .env("GOFLAGS", "-mod=mod")
        .env("GOPROXY", "off")
        .env("GOTOOLCHAIN", "local");
    run_quietly(&mut go)
}
