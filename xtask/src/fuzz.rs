//! Fuzzing: every target for a while, two at once for each core.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::process::{cargo, run as run_process, run_quietly};
use crate::tree::Tree;

/// Fuzzes the targets of these names, all unless told, for so many seconds each. They begin with
/// the corpora of `fuzz/corpus`; what they add lies in `target/fuzz/corpus`, and inputs that fail
/// in `target/fuzz/artifacts`. With a seed, a target does the same in the same order each time, so
/// that what fails at one change was not failing by chance before it.
pub fn run(tree: &Tree, names: &[String], seconds: u64, seed: Option<u32>) -> Result<()> {
    let targets = targets(tree)?;
    if let Some(unknown) = names.iter().find(|name| !targets.contains(name)) {
        bail!("there is no fuzz target `{unknown}`; there are {}", targets.join(", "));
    }
    let chosen = |target: &String| names.is_empty() || names.contains(target);
    let waiting: Vec<String> = targets.into_iter().filter(chosen).rev().collect();
    eprintln!("fuzz: building, which takes some minutes the first time");
    build(tree, &waiting)?;
    let (waiting, failed) = (Mutex::new(waiting), Mutex::new(Vec::new()));
    let lanes = 2 * std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                while let Some(target) = pop(&waiting) {
                    eprintln!("fuzz: {target} for {seconds} s");
                    if let Err(error) = run_target(tree, &target, seconds, seed) {
                        push(&failed, error.context(format!("fuzz target `{target}` failed")));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    match failed.len() {
        0 => Ok(()),
        _ => {
            let texts: Vec<String> = failed.iter().map(|error| format!("{error:#}")).collect();
            Err(anyhow!(texts.join("\n\n")))
        }
    }
}

/// The files of `fuzz/targets`, in order.
fn targets(tree: &Tree) -> Result<Vec<String>> {
    let folder = tree.root().join("fuzz/targets");
    let entries = folder.read_dir().with_context(|| format!("failed to list {folder:?}"))?;
    let stem = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path();
        Some(path.file_stem()?.to_str()?.to_owned())
    };
    let mut names: Vec<String> = entries.filter_map(stem).collect();
    names.sort();
    Ok(names)
}

/// Only our own packages are instrumented: what is fuzzed is ours, and all others are compiled
/// already, for the program and its tests.
/// The workspace is selected whole for the sake of features, which would be others without.
fn build(tree: &Tree, targets: &[String]) -> Result<()> {
    let mut command = cargo();
    command.args(["build", "--release", "--locked", "--workspace"]).current_dir(tree.root());
    command.args(["--features", "dayfly-fuzz/fuzzing"]);
    for target in targets {
        command.args(["--bin", &format!("fuzz-{target}")]);
    }
    command.env("RUSTC_WORKSPACE_WRAPPER", tree.root().join("fuzz/instrumented-rustc"));
    run_process(&mut command)
}

fn pop<T>(list: &Mutex<Vec<T>>) -> Option<T> {
    list.lock().ok()?.pop()
}

fn push<T>(list: &Mutex<Vec<T>>, item: T) {
    if let Ok(mut list) = list.lock() {
        list.push(item);
    }
}

fn run_target(tree: &Tree, target: &str, seconds: u64, seed: Option<u32>) -> Result<()> {
    let found = folder(tree, "corpus").join(target);
    std::fs::create_dir_all(&found)?;
    let artifacts = folder(tree, "artifacts").join(target);
    std::fs::create_dir_all(&artifacts)?;
    let program = tree.root().join("target/release").join(format!("fuzz-{target}"));
    let mut command = Command::new(program);
    command.arg(&found).arg(tree.root().join("fuzz/corpus").join(target));
    command.arg(format!("-max_total_time={seconds}"));
    command.args(["-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1"]);
    command.args(seed.map(|seed| format!("-seed={seed}")));
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    run_quietly(&mut command)
}

fn folder(tree: &Tree, name: &str) -> PathBuf {
    tree.root().join("target/fuzz").join(name)
}
