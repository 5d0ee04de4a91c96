//! Apps: a temporary folder with a manifest and files.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Guest;

/// An app in a folder of its own, which goes when this is dropped.
pub struct App {
    folder: TempDir,
    manifest: PathBuf,
}

impl App {
    /// An app with this `dayfly.toml`, in which `guest:NAME` stands for the path of a built guest.
    pub fn new(manifest: &str) -> Self {
        Self::with_manifest("dayfly.toml", manifest)
    }

    /// An app with this `spin.toml`, in which `guest:NAME` stands for the path of a built guest.
    pub fn spin(manifest: &str) -> Self {
        Self::with_manifest("spin.toml", manifest)
    }

    /// One guest on every path, as component `guest`.
    pub fn of(guest: &str) -> Self {
        Self::granted(guest, "")
    }

    /// One guest on every path, as component `guest` with these further lines in its table.
    pub fn granted(guest: &str, lines: &str) -> Self {
        Self::new(&format!(
            "dayfly = 1\n[application]\nname = \"test\"\n\
             [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
             [component.guest]\nsource = \"guest:{guest}\"\n{lines}\n"
        ))
    }

    fn with_manifest(name: &str, text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let manifest = folder.path().join(name);
        Self { folder, manifest: manifest.clone() }.file(name, resolve(text))
    }

    /// The same with a file at `path`, its folders included.
    #[must_use]
    pub fn file(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        let file = self.path(path);
        std::fs::create_dir_all(file.parent().expect("a file lies in a folder")).expect("a folder");
        std::fs::write(&file, contents).expect("a new file");
        self
    }

    /// The same with a symbolic link at `path`.
    #[must_use]
    pub fn link(self, path: &str, target: impl AsRef<Path>) -> Self {
        std::os::unix::fs::symlink(target, self.path(path)).expect("a new link");
        self
    }

    /// The app's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The app's manifest.
    pub fn manifest(&self) -> &Path {
        &self.manifest
    }

    /// A path in the app's folder.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder().join(path)
    }

    /// The text of a file in the app's folder.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn text(&self, path: &str) -> String {
        let path = self.path(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

/// Replaces each `"guest:NAME"` by the guest's path.
fn resolve(manifest: &str) -> String {
    let mut pieces = manifest.split("\"guest:");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once('"').expect("a quoted guest ends in a quote");
        text.push_str(&format!("{:?}{rest}", Guest::path(name)));
    }
    text
}
