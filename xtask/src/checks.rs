//! What a change must pass besides the tests. Cheap checks come first.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process::{self, cargo};
use crate::tree::Tree;

/// One check: what it judges, and how it is run.
type Check = (&'static str, fn(&Tree) -> Result<()>);

const CHECKS: &[Check] = &[
    ("formatting", formatting),
    ("spelling", spelling),
    ("dependencies", dependencies),
    ("lints", lints),
];

pub fn run(tree: &Tree) -> Result<()> {
    for (what, check) in CHECKS {
        eprintln!("check: {what}");
        check(tree).with_context(|| format!("the check of {what} failed"))?;
    }
    Ok(())
}

fn formatting(tree: &Tree) -> Result<()> {
    process::run(cargo().args(["fmt", "--all", "--check"]).current_dir(tree.root()))
}

fn spelling(tree: &Tree) -> Result<()> {
    let config = tree.root().join("xtask/typos.toml");
    let mut typos = Command::new(tree.python_program("venv", "typos"));
    process::run(typos.arg("--config").arg(config).current_dir(tree.root()))
}

/// Licences, bans and sources. Advisories are left out: they need a database that is fetched
/// from a git host, and a check that fails without a network would be switched off.
fn dependencies(tree: &Tree) -> Result<()> {
    let deny = ["deny", "--workspace", "check", "bans", "licenses", "sources"];
    process::run(cargo().args(deny).current_dir(tree.root()))
}

/// Of the release profile, since that is what the tests build: they share build scripts and macros.
fn lints(tree: &Tree) -> Result<()> {
    let clippy = ["clippy", "--release", "--workspace", "--all-targets", "--locked"];
    process::run(cargo().args(clippy).args(["--", "-D", "warnings"]).current_dir(tree.root()))
}
