//! The integration tests of the model: golden manifests, generated pages, random input.

mod generated;
mod golden;
mod module;
mod mutation;
mod runtime_config;
mod test_file;

use std::path::{Path, PathBuf};

/// Compares `actual` with the file, or writes the file if `UPDATE_GOLDEN` is set.
fn compare(file: &Path, actual: &str) -> Result<(), String> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, actual).unwrap();
        return Ok(());
    }
    match std::fs::read_to_string(file) {
        Ok(expected) if expected == actual => Ok(()),
        Ok(expected) => Err(format!(
            "{} differs.\n--- expected\n{expected}\n--- actual\n{actual}",
            file.display()
        )),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The manifests in a folder of golden files, in the order of their names.
fn manifests(folder: &str) -> Vec<PathBuf> {
    let folder = here().join("tests/golden").join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut manifests: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|e| e == "toml")).collect();
    manifests.sort();
    manifests
}
