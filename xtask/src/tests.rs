//! Tests and benchmarks, with all that they need set up and built first.

use std::process::Command;

use anyhow::Result;

use crate::process::{cargo, run as run_process};
use crate::tree::Tree;
use crate::{guests, setup};

/// Tests of what is released: the same build that `cargo run --release` starts and benchmarks
/// measure, so Wasmtime is compiled once. Documentation tests come first, so that nextest's summary is
/// the last thing printed. Most tests wait for programs that wait in their turn, so two run for each core.
pub fn run(tree: &Tree, nextest: &[String]) -> Result<()> {
    setup::run(tree)?;
    guests::build(tree, &[], false)?;
    let doc = ["test", "--release", "--workspace", "--doc", "--locked", "--quiet"];
    run_process(cargo().args(doc).current_dir(tree.root()))?;
    let all = ["nextest", "run", "--release", "--workspace", "--locked", "--no-fail-fast"];
    let threads = (2 * std::thread::available_parallelism().map_or(1, usize::from)).to_string();
    let mut tests = cargo();
    tests.args(all).env("NEXTEST_TEST_THREADS", threads);
    run_process(tests.args(nextest).current_dir(tree.root()))
}

/// Only the tests of the command line's package, which start the built program.
pub fn end_to_end(tree: &Tree) -> Result<()> {
    run(tree, &["--filterset".to_owned(), "package(dayfly)".to_owned()])
}

/// The benchmarks measure the released program, so it is built first.
pub fn bench(tree: &Tree, arguments: &[String]) -> Result<()> {
    setup::run(tree)?;
    // To count instructions, as CI does, takes no peer.
    if arguments.first().is_none_or(|word| word != "instructions") {
        setup::install_peers(tree)?;
    }
    guests::build(tree, &[], false)?;
    let programs = ["build", "--release", "--locked", "--workspace", "--bins"];
    run_process(cargo().args(programs).current_dir(tree.root()))?;
    let bench = Command::new(tree.root().join("target/release/dayfly-bench"));
    run_process({ bench }.args(arguments).current_dir(tree.root()))
}
