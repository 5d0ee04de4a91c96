//! What is checked in of `examples/whiskers`, so that it starts without any toolchain: its components in Rust,
//! and the glue by which browsers load one of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::guests::{Job, rust};
use crate::process::{path_with, run_quietly};
use crate::setup::node_folder;
use crate::tree::{Tree, create_folder};

/// The sources of each component, and where it is checked in, from the example's folder.
const COMPONENTS: &[(&str, &str, &str)] =
    &[("whiskers-rules", "rules", "page/rules.wasm"), ("whiskers-judge", "judge", "judge.wasm")];

/// The component that browsers load, and the glue.
const RULES: &str = "page/rules.wasm";
const GLUE: &str = "page/rules.js";

/// What names the compiler that a component was built by: the paths of its standard library.
const NAMES_COMPILER: &str = "judge.wasm";

/// Builds all of it into its place, or beside it and compares. With another compiler than the one that made what
/// is checked in, other bytes are no fault.
pub fn run(tree: &Tree, check: bool) -> Result<()> {
    let _one_at_a_time = tree.lock()?;
    let place = tree.root().join("examples/whiskers");
    let built = tree.guest_scratch().join("whiskers");
    create_folder(&built.join("page"))?;
    for (name, source, file) in COMPONENTS {
        component(tree, name, place.join(source), built.join(file))?;
    }
    glue(tree, &built)?;
    let files = COMPONENTS.iter().map(|(_, _, file)| *file).chain([GLUE]);
    if check { compare(&place, &built, files) } else { put(&place, &built, files) }
}

fn component(tree: &Tree, name: &'static str, source: PathBuf, output: PathBuf) -> Result<()> {
    let scratch = tree.guest_scratch().to_owned();
    rust::component_for_others(&Job { tree, name, source, scratch, output })
}

/// What jco makes of the component, without what nothing of it uses.
fn glue(tree: &Tree, built: &Path) -> Result<()> {
    let node = node_folder(tree)?;
    let scratch = built.join("transpiled");
    let mut jco = Command::new(tree.npm_program("jco"));
    jco.arg("transpile").arg(built.join(RULES)).arg("--out-dir").arg(&scratch);
    jco.args(["--name", "rules", "--instantiation", "async", "--no-nodejs-compat", "--quiet"]);
    run_quietly(jco.arg("--no-typescript").env("PATH", path_with(&node)))?;
    let mut esbuild = Command::new(tree.npm_program("esbuild"));
    esbuild.args(["rules.js", "--bundle", "--minify", "--format=esm", "--log-level=warning"]);
    // Else its path would have a part in names.
    esbuild.current_dir(&scratch).env("PATH", path_with(&node));
    run_quietly(esbuild.arg(format!("--outfile={}", built.join(GLUE).display())))
}

fn put<'a>(place: &Path, built: &Path, files: impl Iterator<Item = &'a str>) -> Result<()> {
    for file in files {
        let bytes = read(&built.join(file))?;
        fs::write(place.join(file), &bytes).with_context(|| format!("failed to write `{file}`"))?;
        eprintln!("whiskers: {file}: {:.1} kB", bytes.len() as f64 / 1000.0);
    }
    Ok(())
}

fn compare<'a>(place: &Path, built: &Path, files: impl Iterator<Item = &'a str>) -> Result<()> {
    let named = rust::compiler().context("no compiler: `cargo xtask setup` installs it")?;
    let checked_in = read(&place.join(NAMES_COMPILER))?;
    let by_another = !checked_in.windows(named.len()).any(|part| part == named.as_bytes());
    let mut others = Vec::new();
    for file in files {
        if read(&place.join(file))? != read(&built.join(file))? {
            others.push(file);
        }
    }
    match others[..] {
        [] => eprintln!("whiskers: what is checked in is what its sources make"),
        _ if by_another => eprintln!("whiskers: not compared: another compiler made it"),
        _ => bail!(
            "examples/whiskers: {} are not what their sources make: run `cargo xtask whiskers`",
            others.join(", ")
        ),
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))
}
