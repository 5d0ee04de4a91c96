//! C guests, by Debian's clang and wasi-libc.

use std::process::Command;

use anyhow::Result;

use super::{Job, Recipe, wit};
use crate::process::run_quietly;

/// A core module with a `_start`.
pub const COMMAND: Recipe = Recipe { language: "C", version: 1, inputs: &[], build: command };

/// A core module that says which component it becomes, with the bindings of wit-bindgen.
pub const MODULE: Recipe =
    Recipe { language: "C", version: 1, inputs: &[wit::WASI], build: module };

// Debian's wasi-libc lies under the target's former name, of which clang warns.
const FLAGS: &[&str] =
    &["--target=wasm32-wasi", "--sysroot=/usr", "-O2", "-s", "-Wall", "-Wextra", "-Wno-deprecated"];

/// What the bindings call the interfaces that guests use.
const NAMES: &[&str] = &[
    "wasi:http/types@0.2.12=http",
    "wasi:http/incoming-handler@0.2.12=serve",
    "wasi:http/outgoing-handler@0.2.12=client",
    "wasi:io/streams@0.2.12=io",
    "wasi:io/poll@0.2.12=poll",
];

fn command(job: &Job) -> Result<()> {
    let mut clang = Command::new("clang-22");
    clang.args(FLAGS).arg(job.source.join("main.c")).arg("-o").arg(&job.output);
    run_quietly(&mut clang)
}

fn module(job: &Job) -> Result<()> {
    let world = wit::lay_out(job, "0.2.12")?;
    let bindings = job.scratch.join("bindings");
    let mut bindgen = Command::new(job.tree.cargo_program("wit-bindgen"));
    bindgen.arg("c").arg(world).args(["--world", "handler", "--out-dir"]).arg(&bindings);
    for name in NAMES {
        bindgen.args(["--rename", name]);
    }
    run_quietly(&mut bindgen)?;
    let mut clang = Command::new("clang-22");
    clang
        .args(FLAGS)
        .args(["-mexec-model=reactor", "-I"])
        .arg(&bindings)
        .arg(job.source.join("main.c"))
        .args(["handler.c", "handler_component_type.o"].map(|file| bindings.join(file)))
        .arg("-o")
        .arg(&job.output);
    run_quietly(&mut clang)
}
