//! Builds one guest when its fingerprint changed, and puts it in its place in one step.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::{Guest, fingerprint};
use crate::tree::{Tree, create_folder, read_or_empty, write_atomically};

/// What a recipe is given.
pub struct Job<'a> {
    pub tree: &'a Tree,
    pub name: &'static str,
    /// The guest's sources.
    pub source: PathBuf,
    /// A folder of this guest's own for what comes up on the way; may hold an earlier build's.
    pub scratch: PathBuf,
    /// Where the recipe writes the guest.
    pub output: PathBuf,
}

impl Job<'_> {
    /// A program of the Python environment `venv`.
    pub fn python_program(&self, venv: &str, name: &str) -> PathBuf {
        self.tree.python_program(venv, name)
    }
}

/// Builds a guest unless it stands already; true if it was built.
pub fn refresh(tree: &Tree, guest: &Guest, force: bool) -> Result<bool> {
    let place = tree.built_guests().join(guest.name).with_extension("wasm");
    let stamp = place.with_extension("stamp");
    let fingerprint = fingerprint::of(tree, guest)?;
    if !force && place.is_file() && read_or_empty(&stamp) == fingerprint {
        return Ok(false);
    }
    let started = Instant::now();
    let output = make(tree, guest)?;
    fs::rename(&output, &place)
        .with_context(|| format!("the recipe left no `{}`", output.display()))?;
    write_atomically(&stamp, fingerprint)?;
    report(guest, &place, started);
    Ok(true)
}

fn make(tree: &Tree, guest: &Guest) -> Result<PathBuf> {
    create_folder(&tree.built_guests())?;
    let scratch = tree.guest_scratch().join("guests").join(guest.name);
    create_folder(&scratch)?;
    let job = Job {
        tree,
        name: guest.name,
        source: tree.guest_sources().join(guest.name),
        output: scratch.join("output.wasm"),
        scratch,
    };
    (guest.recipe.build)(&job)?;
    Ok(job.output)
}

fn report(guest: &Guest, place: &Path, started: Instant) {
    let kilobytes = fs::metadata(place).map_or(0, |found| found.len() / 1000);
    let seconds = started.elapsed().as_secs_f32();
    eprintln!("guest {}: built in {seconds:.1} s, {kilobytes} kB", guest.name);
}
