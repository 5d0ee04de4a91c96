//! Programs that cargo installs: the test runner, the judge of dependencies, the driver of fuzz
//! targets, what makes the bindings of guests in C, and an S3 server.
//! They are compiled, which takes minutes, and only where they are missing.

use std::process::Command;

use anyhow::Result;

use super::progress;
use crate::process::{answer, cargo, run_quietly};
use crate::tree::Tree;

/// Each cargo command, and the package that brings it.
const PROGRAMS: &[(&str, &str)] =
    &[("nextest", "cargo-nextest"), ("deny", "cargo-deny"), ("fuzz", "cargo-fuzz")];

/// It decides what guests become, so its version is fixed.
const WIT_BINDGEN: &str = "0.63.0";

/// The S3 server of the end-to-end tests, which checks signatures.
const S3_SERVER: (&str, &str) = ("s3s-fs", "0.14.1");

pub fn install(tree: &Tree) -> Result<()> {
    for (verb, package) in PROGRAMS {
        if answer(cargo().args([verb, "--version"])).is_some() {
            continue;
        }
        progress(&format!("compiling {package}, which takes some minutes"));
        run_quietly(cargo().args(["install", "--locked", package]))?;
    }
    install_wit_bindgen(tree)?;
    install_s3_server(tree)
}

fn install_s3_server(tree: &Tree) -> Result<()> {
    let (name, version) = S3_SERVER;
    let found = answer(Command::new(tree.cargo_program(name)).arg("--version"));
    if found.is_some_and(|found| found.contains(version)) {
        return Ok(());
    }
    progress("compiling s3s-fs, which takes two minutes");
    let mut install = cargo();
    install
        .args(["install", "--locked", name, "--version", version])
        .args(["--features", "binary", "--root"])
        .arg(tree.cargo_programs())
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    run_quietly(&mut install)
}

fn install_wit_bindgen(tree: &Tree) -> Result<()> {
    let found = answer(Command::new(tree.cargo_program("wit-bindgen")).arg("--version"));
    if found.is_some_and(|version| version.contains(WIT_BINDGEN)) {
        return Ok(());
    }
    progress("compiling wit-bindgen, which takes two minutes");
    let mut install = cargo();
    install
        .args(["install", "--locked", "wit-bindgen-cli", "--version", WIT_BINDGEN])
        .args(["--no-default-features", "--features", "c", "--root"])
        .arg(tree.cargo_programs())
        // It runs for milliseconds: making it fast would take longer than it ever runs.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    run_quietly(&mut install)
}
