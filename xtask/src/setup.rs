//! Installs what guests, tests and checks need. Each part looks first, so a second run takes no
//! time. What is compiled is compiled while the rest is fetched.

mod cargo;
mod node;
mod packages;
mod python;

use std::time::Instant;

use anyhow::Result;

use crate::tree::Tree;

pub use node::{install_peers, node_folder};

pub fn run(tree: &Tree) -> Result<()> {
    let started = Instant::now();
    let _one_at_a_time = tree.lock()?;
    std::thread::scope(|scope| {
        let compiled = scope.spawn(|| cargo::install(tree));
        fetched(tree)?;
        compiled.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    progress(&format!("everything is in place ({:.1} s)", started.elapsed().as_secs_f32()));
    Ok(())
}

/// In the order in which they need one another.
fn fetched(tree: &Tree) -> Result<()> {
    packages::install()?;
    python::install(tree)?;
    node::install(tree)
}

fn progress(line: &str) {
    eprintln!("setup: {line}");
}
