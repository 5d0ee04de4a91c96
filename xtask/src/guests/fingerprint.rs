//! A hash of everything in the repository that decides what a guest becomes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Guest;
use crate::tree::Tree;

/// What may lie in a source folder after a build by hand.
const NOT_SOURCE: &[&str] = &["target", "node_modules", "__pycache__"];

pub fn of(tree: &Tree, guest: &Guest) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&guest.recipe.version.to_le_bytes());
    let inputs = guest.recipe.inputs.iter().map(|input| tree.root().join(input));
    for place in std::iter::once(tree.guest_sources().join(guest.name)).chain(inputs) {
        for file in files(&place)? {
            add(&mut hasher, tree, &file)?;
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Adds a file's path and contents, each behind its length, so that no two trees hash alike.
fn add(hasher: &mut blake3::Hasher, tree: &Tree, file: &Path) -> Result<()> {
    let name = file.strip_prefix(tree.root()).unwrap_or(file).to_string_lossy();
    let contents =
        fs::read(file).with_context(|| format!("failed to read `{}`", file.display()))?;
    for part in [name.as_bytes(), &contents] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Ok(())
}

/// The files at or under a place, in a fixed order.
fn files(place: &Path) -> Result<Vec<PathBuf>> {
    if place.is_file() {
        return Ok(vec![place.to_path_buf()]);
    }
    let entries =
        fs::read_dir(place).with_context(|| format!("failed to read `{}`", place.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if !NOT_SOURCE.iter().any(|name| entry.file_name() == *name) {
            found.extend(files(&entry.path())?);
        }
    }
    found.sort();
    Ok(found)
}
