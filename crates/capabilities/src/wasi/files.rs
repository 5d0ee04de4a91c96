//! The folders that a guest may see. A granted folder is opened once and shared by all instances;
//! files granted by globs, or with some of them excluded, are copied to a folder of their own, so
//! that the guest sees exactly those and nothing beside them. What is granted may not lead elsewhere
//! by symbolic links: whoever writes into the app's folder is not who writes its manifest.

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
    /// A granted path leads out of where it lies by a symbolic link.
    #[error(
        "the granted path `{}` leads by a symbolic link to `{}`, outside `{}`: name the link in \
         `exclude_files`, or grant what it leads to by a `source` that is absolute",
        path.display(), target.display(), within.display()
    )]
    LinkedOutside {
        /// The path.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
        /// Where it has to stay: in the app's folder, or in a `source` that is absolute or begins
        /// with `..`.
        within: PathBuf,
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

/// The folders that a component sees, in the order in which it is told of them.
pub struct Folders {
    /// The folders.
    pub folders: Vec<Folder>,
    /// Keeps the folder of copies from being removed.
    copies: Option<File>,
}

impl Folders {
    /// Finds what the component's `files` grant; copies what has to be.
    ///
    /// # Errors
    /// If something is not there, or may not be granted.
    pub fn of(component: &Component, root: &Path, state: &Path) -> Result<Self, FilesError> {
        let Plan { mounts, copied } = Plan::new(component, root)?;
        let mut folders: Vec<Folder> = mounts.into_iter().map(|mount| mount.folder).collect();
        let mut copies = None;
        if !copied.is_empty() {
            let (host, lock) = copies::make(&copied, &state.join("files"))?;
            folders.push(Folder { host, guest: "/".to_owned(), writable: false });
            copies = Some(lock);
        }
        Ok(Self { folders, copies })
    }
}

/// Opens everything that the component's `files` grant.
pub(super) fn open(component: &Component, root: &Path, state: &Path) -> Result<Opened, FilesError> {
    let Folders { folders, copies } = Folders::of(component, root, state)?;
    Ok(Opened { context: open_folders(&folders)?, copies })
}

/// Whether everything that the component's `files` grant is there; nothing is copied or opened.
///
/// # Errors
/// As when it is opened.
pub fn check(component: &Component, root: &Path) -> Result<(), FilesError> {
    let plan = Plan::new(component, root)?;
    for mount in plan.mounts {
        let path = mount.folder.host;
        path.read_dir().map_err(|source| FilesError::Open { path, source })?;
    }
    Ok(())
}

/// What a component's `files` come to.
struct Plan {
    mounts: Vec<Mount>,
    copied: Copied,
}

/// A folder to open, or to copy where that will not do.
struct Mount {
    folder: Folder,
    /// Where its links have to stay, all links resolved.
    within: PathBuf,
}

/// What is copied of a folder.
struct Rules<'a> {
    /// The app's folder, as it is named.
    root: &'a Path,
    /// Where links have to stay, all links resolved.
    within: &'a Path,
    excluded: &'a GlobSet,
}

impl Plan {
    fn new(component: &Component, root: &Path) -> Result<Self, FilesError> {
        let root = &std::path::absolute(root)
            .map_err(|source| FilesError::Open { path: root.to_owned(), source })?;
        let app = real(root)?;
        let excluded = globs(&component.exclude_files)?;
        let rules = Rules { root, within: &app, excluded: &excluded };
        let mut plan = Self { mounts: Vec::new(), copied: Copied::new() };
        for grant in &component.files {
            match grant {
                FileGrant::Glob(glob) => matches(glob, &rules, &mut plan.copied)?,
                FileGrant::Mount { source, destination, writable } => {
                    let host = root.join(source);
                    if !host.exists() {
                        return Err(FilesError::Missing { path: source.into() });
                    }
                    let folder = Folder { host, guest: destination.clone(), writable: *writable };
                    plan.mount(folder, Path::new(source), &rules)?;
                }
            }
        }
        plan.merge(root)?;
        Ok(plan)
    }

    /// Adds a folder or a file; a part of a folder, where some of its files are excluded.
    fn mount(
        &mut self,
        folder: Folder,
        source: &Path,
        rules: &Rules<'_>,
    ) -> Result<(), FilesError> {
        let elsewhere = source.is_absolute() || source.starts_with("..");
        let within = if elsewhere { real(&folder.host)? } else { rules.within.to_owned() };
        let whole = Rules { within: &within, excluded: &GlobSet::empty(), ..*rules };
        if folder.host.is_file() {
            let guest = relative(&folder.guest, &folder.host);
            return add_file(folder.host, guest, source, &whole, &mut self.copied);
        }
        inside(&folder.host, &within)?;
        let part = Rules { excluded: rules.excluded, ..whole };
        if !rules.excluded.is_empty() {
            if !folder.writable {
                return tree(&folder.host, folder.below(), &part, &mut self.copied);
            }
            let (mut all, mut rest) = (Copied::new(), Copied::new());
            tree(&folder.host, Path::new(""), &part, &mut rest)?;
            tree(&folder.host, Path::new(""), &whole, &mut all)?;
            if all != rest {
                return Err(FilesError::WritableWithExcluded { path: folder.host });
            }
        }
        self.mounts.push(Mount { folder, within });
        Ok(())
    }

    /// Makes one tree of what lies at the same place or inside of what is copied: a guest sees only
    /// one of the folders that are opened at a path.
    fn merge(&mut self, root: &Path) -> Result<(), FilesError> {
        while let Some(index) = self.overlapping() {
            let Mount { folder, within } = self.mounts.remove(index);
            if folder.writable {
                let Folder { host: path, guest, .. } = folder;
                return Err(FilesError::WritableAmongOthers { path, guest });
            }
            let rules = Rules { root, within: &within, excluded: &GlobSet::empty() };
            tree(&folder.host, folder.below(), &rules, &mut self.copied)?;
        }
        Ok(())
    }

    /// A folder that others would hide, or that would hide others; one that is writable last.
    fn overlapping(&self) -> Option<usize> {
        let folders = || self.mounts.iter().map(|mount| &mount.folder).enumerate();
        let overlaps = |(index, folder): &(usize, &Folder)| {
            let same =
                |(other, it): (usize, &Folder)| other != *index && it.below() == folder.below();
            folders().any(same) || self.copied.keys().any(|file| file.starts_with(folder.below()))
        };
        let all: Vec<_> = folders().filter(overlaps).collect();
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
fn matches(pattern: &str, rules: &Rules<'_>, found: &mut Copied) -> Result<(), FilesError> {
    let root = rules.root;
    let path = root.join(pattern);
    if !path.starts_with(root) {
        return Err(FilesError::Outside { path });
    }
    if path.is_dir() {
        return tree(&path, Path::new(pattern), rules, found);
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
        add_file(path, relative.clone(), &relative, rules, found)?;
    }
    Ok(())
}

/// Adds the files of a folder, at their path below `guest`.
fn tree(
    folder: &Path,
    guest: &Path,
    rules: &Rules<'_>,
    found: &mut Copied,
) -> Result<(), FilesError> {
    inside(folder, rules.within)?;
    let open = |source| FilesError::Open { path: folder.to_owned(), source };
    for entry in folder.read_dir().map_err(open)? {
        let entry = entry.map_err(open)?;
        let path = entry.path();
        let guest = guest.join(entry.file_name());
        if entry.file_type().map_err(open)?.is_dir() {
            tree(&path, &guest, rules, found)?;
        } else {
            let relative = path.strip_prefix(rules.root).unwrap_or(&path).to_owned();
            add_file(path, guest, &relative, rules, found)?;
        }
    }
    Ok(())
}

fn add_file(
    host: PathBuf,
    guest: PathBuf,
    relative: &Path,
    rules: &Rules<'_>,
    found: &mut Copied,
) -> Result<(), FilesError> {
    if host.is_file() && !rules.excluded.is_match(relative) {
        // What is copied is what was looked at, though a link may lead elsewhere by then.
        found.insert(guest, inside(&host, rules.within)?);
    }
    if found.len() > MAX_COPIED_FILES { Err(FilesError::TooMany) } else { Ok(()) }
}

/// A path with all links resolved.
fn real(path: &Path) -> Result<PathBuf, FilesError> {
    path.canonicalize().map_err(|source| FilesError::Open { path: path.to_owned(), source })
}

/// The same, if it lies within a folder.
fn inside(path: &Path, within: &Path) -> Result<PathBuf, FilesError> {
    let target = real(path)?;
    if target.starts_with(within) {
        return Ok(target);
    }
    Err(FilesError::LinkedOutside { path: path.to_owned(), target, within: within.to_owned() })
}
