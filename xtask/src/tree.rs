//! Where things lie in the repository and under `target`.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The work tree that this program was compiled in.
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    pub fn find() -> Self {
        let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = xtask.parent().expect("xtask lies in the repository's root").to_path_buf();
        Self { root }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Sources of guests: `guests/NAME`.
    pub fn guest_sources(&self) -> PathBuf {
        self.root.join("guests")
    }

    /// Built guests: `target/guests/NAME.wasm`.
    pub fn built_guests(&self) -> PathBuf {
        self.root.join("target/guests")
    }

    /// Scratch space of guests' compilers, kept between builds.
    pub fn guest_scratch(&self) -> PathBuf {
        self.root.join("target/guest-build")
    }

    /// Pinned versions of what `setup` installs for guests.
    pub fn tool_pins(&self) -> PathBuf {
        self.root.join("xtask/tools")
    }

    /// What `setup` installs for guests.
    pub fn tools(&self) -> PathBuf {
        self.root.join("target/tools")
    }

    /// Keeps other processes from installing tools and building guests until it is dropped.
    pub fn lock(&self) -> Result<File> {
        create_folder(&self.tools())?;
        let path = self.tools().join(".lock");
        let file =
            File::create(&path).with_context(|| format!("failed to open `{}`", path.display()))?;
        file.lock().with_context(|| format!("failed to lock `{}`", path.display()))?;
        Ok(file)
    }

    /// A program of the Python environment `venv`.
    pub fn python_program(&self, venv: &str, name: &str) -> PathBuf {
        self.tools().join(venv).join("bin").join(name)
    }

    /// Where cargo installs programs of this repository's own.
    pub fn cargo_programs(&self) -> PathBuf {
        self.tools().join("cargo")
    }

    /// Where cargo compiles them; removed when all are installed.
    pub fn cargo_scratch(&self) -> PathBuf {
        self.tools().join("cargo-build")
    }

    /// A program that cargo installed there.
    pub fn cargo_program(&self, name: &str) -> PathBuf {
        self.cargo_programs().join("bin").join(name)
    }

    /// A program of the npm packages.
    pub fn npm_program(&self, name: &str) -> PathBuf {
        self.tools().join("npm/node_modules/.bin").join(name)
    }
}

/// Writes a file whole or not at all: beside its place first, then renamed.
pub fn write_atomically(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, contents)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("failed to write `{}`", path.display()))
}

/// What a file says, or nothing where it cannot be read.
pub fn read_or_empty(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

pub fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("failed to create `{}`", path.display()))
}

/// Removes a folder with all that is in it, if it is there.
pub fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

/// Copies a folder's files and folders into another, which is created.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    create_folder(to)?;
    let entries =
        fs::read_dir(from).with_context(|| format!("failed to read `{}`", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("failed to copy `{}`", entry.path().display()))?;
        }
    }
    Ok(())
}
