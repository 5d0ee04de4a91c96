//! Installs what guests, tests and checks need, in the order in which the parts need one
//! another. Each part looks first, so a second run takes no time.

mod cargo;
mod node;
mod packages;
mod python;

use std::time::Instant;

use anyhow::Result;

use crate::tree::Tree;

pub use node::node_folder;

pub fn run(tree: &Tree) -> Result<()> {
    let started = Instant::now();
    let _one_at_a_time = tree.lock()?;
    packages::install()?;
    python::install(tree)?;
    node::install(tree)?;
    cargo::install(tree)?;
    progress(&format!("everything is in place ({:.1} s)", started.elapsed().as_secs_f32()));
    Ok(())
}

fn progress(line: &str) {
    eprintln!("setup: {line}");
}
