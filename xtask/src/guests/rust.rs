//! Rust guests, by Debian's `rustc-web`: it builds the standard library for WebAssembly from
//! source, and so needs no target that rustup would have to fetch.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Job, Recipe, wit};
use crate::process::{answer, path_with, run_quietly};

const INPUTS: &[&str] = &["guests/.cargo/config.toml"];

/// A component, by the target wasm32-wasip2.
pub const COMPONENT: Recipe =
    Recipe { language: "Rust", version: 1, inputs: INPUTS, build: component };

/// A component that shares sources with `rust-spin-3`.
pub const SPIN_5: Recipe = Recipe {
    language: "Rust",
    version: 1,
    inputs: &[INPUTS[0], "guests/rust-spin-3/src"],
    build: component,
};

/// A component that shares sources with `rust-spin-7` too.
pub const SPIN_6: Recipe = Recipe {
    language: "Rust",
    version: 1,
    inputs: &[INPUTS[0], "guests/rust-spin-3/src", "guests/rust-spin-7/src"],
    build: component,
};

/// A program as a component: it brings a `_start`, which a library does not.
pub const PROGRAM: Recipe = Recipe { language: "Rust", version: 1, inputs: INPUTS, build: program };

/// A program that sends to WebSockets.
pub const WEBSOCKET: Recipe =
    Recipe { language: "Rust", version: 1, inputs: &[INPUTS[0], wit::WEBSOCKET], build: program };

/// A core module that says which component it becomes, by wasm32-wasip1.
pub const MODULE: Recipe = Recipe { language: "Rust", version: 1, inputs: INPUTS, build: module };

/// A core module with a `_start`, by wasm32-wasip1.
pub const COMMAND: Recipe = Recipe { language: "Rust", version: 1, inputs: INPUTS, build: command };

/// The program of `rust-command` as a component.
pub const COMMAND_COMPONENT: Recipe = Recipe {
    language: "Rust",
    version: 1,
    inputs: &[INPUTS[0], "guests/rust-command/src"],
    build: program,
};

/// A component that is composed with `rust-library`, and shares code with it.
pub const COMPOSED: Recipe = Recipe {
    language: "Rust",
    version: 1,
    inputs: &[INPUTS[0], "guests/rust-library", "guests/rust-p3-echo/src/answer.rs"],
    build: component,
};

/// Small, and the same wherever it is built: no backtraces, and no paths of this machine. The standard library
/// is built once more for it.
const FOR_OTHERS: [&str; 4] = [
    "-Zbuild-std-features=optimize_for_size",
    "-Ztrim-paths",
    "--config",
    "profile.release.trim-paths=\"all\"",
];

/// A component that is checked in, for those who have no compiler.
pub fn component_for_others(job: &Job) -> Result<()> {
    compile(job, &WASIP2, &FOR_OTHERS)
}

/// The version of the compiler, as what it compiles names it.
pub fn compiler() -> Option<String> {
    let told = answer(Command::new("/usr/bin/rustc").arg("-vV"))?;
    told.lines().find_map(|line| line.strip_prefix("commit-hash: ")).map(str::to_owned)
}

/// Links a program's entry, which the compiler looks for among files that Debian does not pack.
const START_FILE: [&str; 3] = ["--", "-C", "link-arg=/usr/lib/wasm32-wasi/crt1-command.o"];

/// A target, and the flags by which it links with Debian's linker and C library.
struct Target {
    name: &'static str,
    flags_variable: &'static str,
    flags: &'static str,
}

const WASIP1: Target = Target {
    name: "wasm32-wasip1",
    flags_variable: "CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS",
    flags: "-C linker=/usr/bin/wasm-ld-22 -C link-self-contained=no -L/usr/lib/wasm32-wasi",
};

const WASIP2: Target = Target {
    name: "wasm32-wasip2",
    flags_variable: "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
    flags: "-C link-self-contained=no -L/usr/lib/wasm32-wasi \
            -C link-arg=--wasm-ld-path=/usr/bin/wasm-ld-22",
};

fn component(job: &Job) -> Result<()> {
    compile(job, &WASIP2, &[])
}

fn program(job: &Job) -> Result<()> {
    compile(job, &WASIP2, &START_FILE)
}

fn module(job: &Job) -> Result<()> {
    compile(job, &WASIP1, &[])
}

fn command(job: &Job) -> Result<()> {
    compile(job, &WASIP1, &START_FILE)
}

/// What follows `--` in `more` goes to the guest's own crate alone: other flags for dependencies would have the
/// standard library built once more.
fn compile(job: &Job, target: &Target, more: &[&str]) -> Result<()> {
    let mut cargo = Command::new("/usr/bin/cargo");
    cargo
        .args(["rustc", "--release", "--locked", "-Zbuild-std=std,panic_abort"])
        .args(["--target", target.name])
        .args(more)
        .current_dir(&job.source)
        .env("PATH", path_with("/usr/bin".as_ref()))
        .env("RUSTC", "/usr/bin/rustc")
        // The packaged compiler is a stable one, and build-std is not.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", job.tree.guest_scratch())
        .env(target.flags_variable, target.flags);
    for ours in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(ours);
    }
    run_quietly(&mut cargo)?;
    let built = built(job, target);
    fs::copy(&built, &job.output)
        .with_context(|| format!("cargo left no `{}`", built.display()))?;
    Ok(())
}

/// Cargo names a library's file with underscores, a program's as it is.
fn built(job: &Job, target: &Target) -> PathBuf {
    let folder = job.tree.guest_scratch().join(target.name).join("release");
    let library = folder.join(job.name.replace('-', "_")).with_extension("wasm");
    let program = folder.join(job.name).with_extension("wasm");
    if program.is_file() { program } else { library }
}
