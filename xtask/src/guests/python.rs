//! Python guests, by componentize-py, in the environment of the SDK that they use.

use std::process::Command;

use anyhow::Result;

use super::{Job, Recipe, wit};
use crate::process::run_quietly;

/// Plain wasi:http, in an environment that holds no Spin SDK.
pub const PLAIN: Recipe = Recipe {
    language: "Python",
    version: 1,
    inputs: &["xtask/tools/python/base.txt", wit::WASI, PAGE],
    build: plain,
};

/// Spin's SDK 3, for WASI 0.2. Its module `sqlite` expects bindings of that name, which the
/// compiler gives to neither of the two interfaces that claim it.
pub const SPIN_3: Recipe = Recipe {
    language: "Python",
    version: 2,
    inputs: &["xtask/tools/python/spin-3.txt"],
    build: |job| {
        let name = ["--import-interface-name", "fermyon:spin/sqlite@2.0.0=sqlite"];
        let world = [&["-w", "spin-http"][..], &name].concat();
        compile(job, "venv-spin-3", &world, &["-p", ".", "-p", "shared"])
    },
};

/// Spin's SDK 5, for WASI 0.3; it shares sources with the guest of SDK 3.
pub const SPIN_5: Recipe = Recipe {
    language: "Python",
    version: 2,
    inputs: &["xtask/tools/python/spin-5.txt", SHARED],
    build: |job| {
        let shared = job.tree.root().join(SHARED);
        let paths = ["-p", ".", "-p", &shared.to_string_lossy()];
        compile(job, "venv-spin-5", &["-w", "spin:up/http-trigger@4.1.0"], &paths)
    },
};

/// What the guests of both SDKs run scripts with.
const SHARED: &str = "guests/python-spin-3/shared";

/// The page that is measured, as a script and as a component.
const PAGE: &str = "bench/scripts/page.py";

fn plain(job: &Job) -> Result<()> {
    let world = wit::lay_out(job, "0.2.12")?;
    let page = job.tree.root().join(PAGE);
    let scripts = page.parent().unwrap_or(&page).to_string_lossy();
    let paths = ["-p", ".", "-p", &scripts];
    compile(job, "venv", &["-d", &world.to_string_lossy(), "-w", "handler"], &paths)
}

/// Compiles `app.py` for the world that the words choose, with modules from where `paths` say.
fn compile(job: &Job, venv: &str, world: &[&str], paths: &[&str]) -> Result<()> {
    let mut tool = Command::new(job.python_program(venv, "componentize-py"));
    tool.args(world)
        .args(["componentize", "app"])
        .args(paths)
        .arg("--output")
        .arg(&job.output)
        .current_dir(&job.source)
        .env("VIRTUAL_ENV", job.tree.tools().join(venv))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    run_quietly(&mut tool)
}
