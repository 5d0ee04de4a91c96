//! The folders that a guest may see. A granted folder is opened once and shared by all instances;
//! files granted by globs, or with some of them excluded, are copied to a folder of their own, so
//! that the guest sees exactly those and nothing beside them.

mod copies;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Component as PathPart, Path, PathBuf};

use dayfly_model::{Component, FileGrant};
use globset::{Glob, GlobSet, GlobSetBuilder};
use thiserror::Error;
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// How many files one component's globs may match: a bound against a stray `/**`.
const MAX_COPIED_FILES: usize = 100_000;

/// Why a component's files could not be granted.
#[derive(Debug, Error)]
pub enum FilesError {
    /// A granted folder is not there or may not be read.
    #[error("failed to open the granted folder `{}`", path.display())]
    Open {
        /// The folder on the host.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be copied to the component's own folder.
    #[error("failed to copy the granted file `{}`", path.display())]
    Copy {
        /// The file on the host.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A glob is malformed.
    #[error("the glob `{glob}` is malformed: {reason}")]
    Glob {
        /// The glob as written.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What is granted is neither there nor a glob.
    #[error("the granted file `{}` does not exist", path.display())]
    Missing {
        /// The path, as granted.
        path: PathBuf,
    },
    /// A granted path leads out of the app's folder.
    #[error("the granted file `{}` lies outside the app's folder", path.display())]
    Outside {
        /// The path.
        path: PathBuf,
    },
    /// Globs match more files than one component may be granted.
    #[error("the granted globs match more than {MAX_COPIED_FILES} files")]
    TooMany,
    /// A writable folder has excluded files.
    #[error("the granted folder `{}` cannot be both writable and have excluded files", path.display())]
    WritableWithExcluded {
        /// The folder.
        path: PathBuf,
    },
    /// A writable folder is granted where other files are, too.
    #[error(
        "the granted folder `{}` is writable, but other files are granted at `{guest}` as well",
        path.display()
    )]
    WritableAmongOthers {
        /// The folder.
        path: PathBuf,
        /// Where the guest would see both.
        guest: String,
    },
}

/// A folder of the host's at a path of the guest's.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The folder on the host.
    pub host: PathBuf,
    /// The guest's path, absolute.
    pub guest: String,
    /// Whether the guest may write.
    pub writable: bool,
}

/// Files to copy: from the guest's path, relative to its root, to the host's. Where two grants have
/// a file at one path, the later one counts.
type Copied = BTreeMap<PathBuf, PathBuf>;

/// What a component may see, opened.
pub(super) struct Opened {
    pub(super) context: WasiFilesystemCtx,
    /// Keeps the folder of its copies from being removed.
    pub(super) copies: Option<File>,
}

/// Opens everything that the component's `files` grant.
pub(super) fn open(component: &Component, root: &Path, state: &Path) -> Result<Opened, FilesError> {
    let Plan { mut folders, copied } = Plan::new(component, root)?;
    let mut copies = None;
    if !copied.is_empty() {
        let (host, lock) = copies::make(&copied, &state.join("files"))?;
        folders.push(Folder { host, guest: "/".to_owned(), writable: false });
        copies = Some(lock);
    }
    Ok(Opened { context: open_folders(&folders)?, copies })
}

/// Whether everything that the component's `files` grant is there; nothing is copied or opened.
///
/// # Errors
/// As when it is opened.
pub fn check(component: &Component, root: &Path) -> Result<(), FilesError> {
    let plan = Plan::new(component, root)?;
    for folder in plan.folders {
        let path = folder.host;
        path.read_dir().map_err(|source| FilesError::Open { path, source })?;
    }
    Ok(())
}

/// What a component's `files` come to.
struct Plan {
    folders: Vec<Folder>,
    copied: Copied,
}

impl Plan {
    fn new(component: &Component, root: &Path) -> Result<Self, FilesError> {
        let root = &std::path::absolute(root)
            .map_err(|source| FilesError::Open { path: root.to_owned(), source })?;
        let excluded = globs(&component.exclude_files)?;
        let mut plan = Self { folders: Vec::new(), copied: Copied::new() };
        for grant in &component.files {
            match grant {
                FileGrant::Glob(glob) => matches(glob, root, &excluded, &mut plan.copied)?,
                FileGrant::Mount { source, destination, writable } => {
                    let host = root.join(source);
                    if host.is_file() {
                        let guest = relative(destination, &host);
                        add_file(
                            host,
                            guest,
                            Path::new(source),
                            &GlobSet::empty(),
                            &mut plan.copied,
                        )?;
                        continue;
                    }
                    if !host.exists() {
                        return Err(FilesError::Missing { path: source.into() });
                    }
                    let folder = Folder { host, guest: destination.clone(), writable: *writable };
                    plan.mount(folder, root, &excluded)?;
                }
            }
        }
        plan.merge(root)?;
        Ok(plan)
    }

    /// Adds a folder; a part of it, where some of its files are excluded.
    fn mount(&mut self, folder: Folder, root: &Path, excluded: &GlobSet) -> Result<(), FilesError> {
        if excluded.is_empty() {
            self.folders.push(folder);
            return Ok(());
        }
        if !folder.writable {
            return tree(&folder.host, root, folder.below(), excluded, &mut self.copied);
        }
        let (mut all, mut part) = (Copied::new(), Copied::new());
        tree(&folder.host, root, Path::new(""), &GlobSet::empty(), &mut all)?;
        tree(&folder.host, root, Path::new(""), excluded, &mut part)?;
        if all != part {
            return Err(FilesError::WritableWithExcluded { path: folder.host });
        }
        self.folders.push(folder);
        Ok(())
    }

    /// Makes one tree of what lies at the same place or inside of what is copied: a guest sees only
    /// one of the folders that are opened at a path.
    fn merge(&mut self, root: &Path) -> Result<(), FilesError> {
        while let Some(index) = self.overlapping() {
            let folder = self.folders.remove(index);
            if folder.writable {
                let Folder { host: path, guest, .. } = folder;
                return Err(FilesError::WritableAmongOthers { path, guest });
            }
            tree(&folder.host, root, folder.below(), &GlobSet::empty(), &mut self.copied)?;
        }
        Ok(())
    }

    /// A folder that others would hide, or that would hide others; one that is writable last.
    fn overlapping(&self) -> Option<usize> {
        let overlaps = |(index, folder): &(usize, &Folder)| {
            let same =
                |(other, it): (usize, &Folder)| other != *index && it.below() == folder.below();
            self.folders.iter().enumerate().any(same)
                || self.copied.keys().any(|file| file.starts_with(folder.below()))
        };
        let all: Vec<_> = self.folders.iter().enumerate().filter(overlaps).collect();
        let first = all.iter().find(|(_, folder)| !folder.writable).or(all.first());
        first.map(|(index, _)| *index)
    }
}

impl Folder {
    /// The guest's path, relative to its root.
    fn below(&self) -> &Path {
        Path::new(self.guest.trim_matches('/'))
    }
}

/// Opens folders, each once.
pub(super) fn open_folders(folders: &[Folder]) -> Result<WasiFilesystemCtx, FilesError> {
    let mut builder = WasiCtxBuilder::new();
    for folder in folders {
        let permissions = if folder.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        builder.preopened_dir(&folder.host, &folder.guest, permissions).map_err(|error| {
            let path = folder.host.clone();
            FilesError::Open { path, source: io::Error::other(error.to_string()) }
        })?;
    }
    Ok(builder.build().filesystem().clone())
}

/// A file granted at a guest path: the path itself, or inside it where it names a folder.
fn relative(destination: &str, host: &Path) -> PathBuf {
    let guest = Path::new(destination.trim_start_matches('/'));
    match host.file_name() {
        Some(name) if destination.ends_with('/') => guest.join(name),
        _ => guest.to_owned(),
    }
}

fn globs(patterns: &[String]) -> Result<GlobSet, FilesError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = Glob::new(pattern).map_err(|e| FilesError::Glob {
            glob: pattern.clone(),
            reason: e.kind().to_string(),
        })?;
        set.add(glob);
    }
    set.build().map_err(|e| FilesError::Glob { glob: patterns.join(", "), reason: e.to_string() })
}

/// Adds the files under `root` that a glob matches, at their own relative path. One that is just a
/// folder's path stands for all that is in it, and so does a `**` at the end.
fn matches(
    pattern: &str,
    root: &Path,
    excluded: &GlobSet,
    found: &mut Copied,
) -> Result<(), FilesError> {
    let path = root.join(pattern);
    if !path.starts_with(root) {
        return Err(FilesError::Outside { path });
    }
    if path.is_dir() {
        return tree(&path, root, Path::new(pattern), excluded, found);
    }
    if !path.exists() && !pattern.contains(['*', '?', '[']) {
        return Err(FilesError::Missing { path: pattern.into() });
    }
    let pattern =
        &if pattern.ends_with("**") { format!("{pattern}/*") } else { pattern.to_owned() };
    let absolute = Path::new(&glob::Pattern::escape(&root.to_string_lossy())).join(pattern);
    let paths = glob::glob(&absolute.to_string_lossy())
        .map_err(|e| FilesError::Glob { glob: pattern.to_owned(), reason: e.msg.to_owned() })?;
    for path in paths {
        let path =
            path.map_err(|e| FilesError::Copy { path: e.path().into(), source: e.into() })?;
        let Ok(relative) = path.strip_prefix(root).map(Path::to_owned) else {
            return Err(FilesError::Outside { path });
        };
        if relative.components().any(|part| matches!(part, PathPart::ParentDir)) {
            return Err(FilesError::Outside { path });
        }
        add_file(path, relative.clone(), &relative, excluded, found)?;
    }
    Ok(())
}

/// Adds the files of a folder, at their path below `guest`.
fn tree(
    folder: &Path,
    root: &Path,
    guest: &Path,
    excluded: &GlobSet,
    found: &mut Copied,
) -> Result<(), FilesError> {
    let open = |source| FilesError::Open { path: folder.to_owned(), source };
    for entry in folder.read_dir().map_err(open)? {
        let entry = entry.map_err(open)?;
        let path = entry.path();
        let guest = guest.join(entry.file_name());
        if entry.file_type().map_err(open)?.is_dir() {
            tree(&path, root, &guest, excluded, found)?;
        } else {
            let relative = path.strip_prefix(root).unwrap_or(&path).to_owned();
            add_file(path, guest, &relative, excluded, found)?;
        }
    }
    Ok(())
}

fn add_file(
    host: PathBuf,
    guest: PathBuf,
    relative: &Path,
    excluded: &GlobSet,
    found: &mut Copied,
) -> Result<(), FilesError> {
    if host.is_file() && !excluded.is_match(relative) {
        found.insert(guest, host);
    }
    if found.len() > MAX_COPIED_FILES { Err(FilesError::TooMany) } else { Ok(()) }
}
