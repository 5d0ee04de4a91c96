//! Programs that cargo installs: the test runner and the judge of dependencies.
//! They are compiled, which takes minutes, and only where they are missing.

use anyhow::Result;

use super::progress;
use crate::process::{answer, cargo, run_quietly};

/// Each cargo command, and the package that brings it.
const PROGRAMS: &[(&str, &str)] = &[("nextest", "cargo-nextest"), ("deny", "cargo-deny")];

pub fn install() -> Result<()> {
    for (verb, package) in PROGRAMS {
        if answer(cargo().args([verb, "--version"])).is_some() {
            continue;
        }
        progress(&format!("compiling {package}, which takes some minutes"));
        run_quietly(cargo().args(["install", "--locked", package]))?;
    }
    Ok(())
}
