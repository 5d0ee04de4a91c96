//! Python guests, by componentize-py, in the environment of the SDK that they use.

use std::process::Command;

use anyhow::Result;

use super::{Job, Recipe, wit};
use crate::process::run_quietly;

/// Plain wasi:http, in an environment that holds no Spin SDK.
pub const PLAIN: Recipe = Recipe {
    language: "Python",
    version: 1,
    inputs: &["xtask/tools/python/base.txt", wit::WASI],
    build: plain,
};

/// Spin's SDK 3, for WASI 0.2.
pub const SPIN_3: Recipe = Recipe {
    language: "Python",
    version: 1,
    inputs: &["xtask/tools/python/spin-3.txt"],
    build: |job| compile(job, "venv-spin-3", &["-w", "spin-http"]),
};

/// Spin's SDK 5, for WASI 0.3.
pub const SPIN_5: Recipe = Recipe {
    language: "Python",
    version: 1,
    inputs: &["xtask/tools/python/spin-5.txt"],
    build: |job| compile(job, "venv-spin-5", &["-w", "spin:up/http-trigger@4.1.0"]),
};

fn plain(job: &Job) -> Result<()> {
    let world = wit::lay_out(job, "0.2.12")?;
    compile(job, "venv", &["-d", &world.to_string_lossy(), "-w", "handler"])
}

/// Compiles `app.py` for the world that the words choose.
fn compile(job: &Job, venv: &str, world: &[&str]) -> Result<()> {
    let mut tool = Command::new(job.python_program(venv, "componentize-py"));
    tool.args(world)
        .args(["componentize", "app", "--output"])
        .arg(&job.output)
        .current_dir(&job.source)
        .env("VIRTUAL_ENV", job.tree.tools().join(venv))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    run_quietly(&mut tool)
}
