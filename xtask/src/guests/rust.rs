//! Rust guests, by Debian's `rustc-web`: it builds the standard library for WebAssembly from
//! source, and so needs no target that rustup would have to fetch.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Job, Recipe, wit};
use crate::process::{answer, path_with, run_quietly};

const INPUTS: &[&str] = &["guests/.cargo/config.toml", "guests/wasm-ld"];

/// A component, by the target wasm32-wasip2: of a library, or of a program, which brings a `_start`.
pub const COMPONENT: Recipe =
    Recipe { language: "Rust", version: 1, inputs: INPUTS, build: component };

/// A component that shares sources with `rust-spin-3`.
pub const SPIN_5: Recipe = Recipe {
    language: "Rust",
    version: 1,
    inputs: &[INPUTS[0], INPUTS[1], "guests/rust-spin-3/src"],
    build: component,
};

/// A component that shares sources with `rust-spin-7` too.
pub const SPIN_6: Recipe = Recipe {
    language: "Rust",
    version: 1,
    inputs: &[INPUTS[0], INPUTS[1], "guests/rust-spin-3/src", "guests/rust-spin-7/src"],
    build: component,
};

/// A program that sends to WebSockets.
pub const WEBSOCKET: Recipe = Recipe {
    language: "Rust",
    version: 1,
    inputs: &[INPUTS[0], INPUTS[1], wit::WEBSOCKET],
    build: component,
};

/// A core module, by wasm32-wasip1: a library that says which component it becomes, or a program.
pub const MODULE: Recipe = Recipe { language: "Rust", version: 1, inputs: INPUTS, build: module };

/// The program of `rust-command` as a component.
pub const COMMAND_COMPONENT: Recipe = Recipe {
    language: "Rust",
    version: 1,
    inputs: &[INPUTS[0], INPUTS[1], "guests/rust-command/src"],
    build: component,
};

/// A component that is composed with `rust-library`, and shares code with it.
pub const COMPOSED: Recipe = Recipe {
    language: "Rust",
    version: 1,
    inputs: &[INPUTS[0], INPUTS[1], "guests/rust-library", "guests/rust-p3-echo/src/answer.rs"],
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

/// A component that is checked in, for those who have no compiler. Flags are part of what it becomes.
pub fn component_for_others(job: &Job) -> Result<()> {
    compile(job, &WASIP2, "/usr/bin/wasm-ld-22".as_ref(), &FOR_OTHERS)
}

/// The version of the compiler, as what it compiles names it.
pub fn compiler() -> Option<String> {
    let told = answer(Command::new("/usr/bin/rustc").arg("-vV"))?;
    told.lines().find_map(|line| line.strip_prefix("commit-hash: ")).map(str::to_owned)
}

/// A target, the variable of the flags for it, and those by which it links with Debian's C library and a linker.
struct Target {
    name: &'static str,
    flags_variable: &'static str,
    flags: &'static str,
    /// The flag that the linker's path follows.
    linker: &'static str,
}

const WASIP1: Target = Target {
    name: "wasm32-wasip1",
    flags_variable: "CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS",
    flags: "-C link-self-contained=no -L/usr/lib/wasm32-wasi",
    linker: "-C linker=",
};

const WASIP2: Target = Target {
    name: "wasm32-wasip2",
    flags_variable: "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
    flags: "-C link-self-contained=no -L/usr/lib/wasm32-wasi",
    linker: "-C link-arg=--wasm-ld-path=",
};

fn component(job: &Job) -> Result<()> {
    compile(job, &WASIP2, &our_linker(job), &[])
}

fn module(job: &Job) -> Result<()> {
    compile(job, &WASIP1, &our_linker(job), &[])
}

/// One for libraries and programs.
fn our_linker(job: &Job) -> PathBuf {
    job.tree.guest_sources().join("wasm-ld")
}

fn compile(job: &Job, target: &Target, linker: &Path, more: &[&str]) -> Result<()> {
    let flags = format!("{} {}{}", target.flags, target.linker, linker.display());
    let mut cargo = Command::new("/usr/bin/cargo");
    cargo
        .args(["build", "--release", "--locked", "-Zbuild-std=std,panic_abort"])
        .args(["--target", target.name])
        .args(more)
        .current_dir(&job.source)
        .env("PATH", path_with("/usr/bin".as_ref()))
        .env("RUSTC", "/usr/bin/rustc")
        // The packaged compiler is a stable one, and build-std is not.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", job.tree.guest_scratch())
        .env(target.flags_variable, flags);
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
