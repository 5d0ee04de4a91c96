//! Python environments under `target/tools`, one for each set of packages that exclude another:
//! `componentize-py` takes up whatever Spin SDK it finds beside it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::progress;
use crate::process::run_quietly;
use crate::tree::{Tree, read_or_empty, write_atomically};

/// Each environment's folder, and its list of pinned packages.
const ENVIRONMENTS: &[(&str, &str)] = &[
    ("venv", "base.txt"),
    ("venv-spin-3", "spin-3.txt"),
    ("venv-spin-5", "spin-5.txt"),
    // What tests of OpenTelemetry tell.
    ("venv-collector", "collector.txt"),
];

pub fn install(tree: &Tree) -> Result<()> {
    for (venv, pins) in ENVIRONMENTS {
        environment(tree, venv, pins)?;
    }
    make_runnable(&tree.tools().join("venv"))
}

/// Makes the environment `venv` hold exactly what `pins` lists.
pub fn environment(tree: &Tree, venv: &str, pins: &str) -> Result<()> {
    let folder = tree.tools().join(venv);
    let list = tree.tool_pins().join("python").join(pins);
    let stamp = folder.join("installed.txt");
    let wanted = read_or_empty(&list);
    if read_or_empty(&stamp) == wanted {
        return Ok(());
    }
    progress(&format!("installing Python packages of {pins}"));
    // Debian's own Python, since it is the one that python3-venv belongs to.
    run_quietly(Command::new("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let pip = tree.python_program(venv, "pip");
    run_quietly(Command::new(pip).args(["install", "--quiet", "--requirement"]).arg(&list))?;
    write_atomically(&stamp, wanted)
}

/// The packaged `wasmtime` lacks the permission to run.
fn make_runnable(venv: &Path) -> Result<()> {
    let find = ["lib", "-path", "*/wasmtime_cli/wasmtime", "-exec", "chmod", "+x", "{}", "+"];
    run_quietly(Command::new("find").current_dir(venv).args(find))
        .context("failed to make `wasmtime` runnable")
}
