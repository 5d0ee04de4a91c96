//! Fuzzing: every target for a while, two at once for each core.

use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Result, anyhow, bail};

use crate::process::{cargo, run as run_process, run_quietly};
use crate::tree::Tree;

/// The targets of `fuzz/Cargo.toml`.
const TARGETS: &[&str] = &[
    "http1",
    "manifest",
    "forge",
    "wave",
    "routes",
    "outbound_hosts",
    "cgi",
    "artifact",
    "runtime_config",
    "mysql",
    "nats",
    "trace_context",
    "package",
    "optimise",
];

/// Fuzzes the targets of these names, all unless told, for so many seconds each. They begin with
/// the corpora of `fuzz/corpus`; what they add lies in `target/fuzz/corpus`, and inputs that fail
/// in `target/fuzz/artifacts`.
pub fn run(tree: &Tree, names: &[String], seconds: u64) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| !TARGETS.contains(&name.as_str())) {
        bail!("there is no fuzz target `{unknown}`; there are {}", TARGETS.join(", "));
    }
    let chosen = |target: &&str| names.is_empty() || names.iter().any(|name| name == target);
    let waiting: Vec<&str> = TARGETS.iter().copied().filter(chosen).rev().collect();
    eprintln!("fuzz: building, which takes some minutes the first time");
    run_process(&mut fuzz(tree, "build"))?;
    let (waiting, failed) = (Mutex::new(waiting), Mutex::new(Vec::new()));
    let lanes = 2 * std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                while let Some(target) = pop(&waiting) {
                    eprintln!("fuzz: {target} for {seconds} s");
                    if let Err(error) = run_target(tree, target, seconds) {
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

fn pop<T>(list: &Mutex<Vec<T>>) -> Option<T> {
    list.lock().ok()?.pop()
}

fn push<T>(list: &Mutex<Vec<T>>, item: T) {
    if let Ok(mut list) = list.lock() {
        list.push(item);
    }
}

fn run_target(tree: &Tree, target: &str, seconds: u64) -> Result<()> {
    let found = folder(tree, "corpus").join(target);
    std::fs::create_dir_all(&found)?;
    let artifacts = folder(tree, "artifacts").join(target);
    std::fs::create_dir_all(&artifacts)?;
    let mut command = fuzz(tree, "run");
    command.arg(target).arg(&found).arg(tree.root().join("fuzz/corpus").join(target));
    command.arg("--").arg(format!("-max_total_time={seconds}"));
    command.args(["-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1"]);
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    run_quietly(&mut command)
}

/// `cargo fuzz`, without a sanitizer: those need a nightly compiler, and find what only `unsafe`
/// code does.
fn fuzz(tree: &Tree, verb: &str) -> std::process::Command {
    let mut command = cargo();
    command.args(["fuzz", verb, "--sanitizer", "none", "--fuzz-dir"]);
    command.arg(tree.root().join("fuzz")).arg("--target-dir").arg(folder(tree, "build"));
    command.current_dir(tree.root());
    command
}

fn folder(tree: &Tree, name: &str) -> PathBuf {
    tree.root().join("target/fuzz").join(name)
}
