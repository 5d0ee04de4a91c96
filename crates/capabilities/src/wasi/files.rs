//! The folders that a guest may see. A granted folder is opened once and shared by all instances;
//! files granted by globs, or with some of them excluded, are copied to a folder of their own, so
//! that the guest sees exactly those and nothing beside them.

use std::io;
use std::path::{Component as PathPart, Path, PathBuf};
use std::time::UNIX_EPOCH;

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
        /// The path.
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

/// Opens everything that the component's `files` grant.
pub(super) fn open(
    component: &Component,
    root: &Path,
    state: &Path,
) -> Result<WasiFilesystemCtx, FilesError> {
    let excluded = globs(&component.exclude_files)?;
    let mut copied = Vec::new();
    let mut folders = Vec::new();
    for grant in &component.files {
        match grant {
            FileGrant::Glob(glob) => matches(glob, root, &excluded, &mut copied)?,
            FileGrant::Mount { source, destination, writable } => {
                let host = root.join(source);
                if host.is_file() {
                    let guest = relative(destination, &host);
                    copied.push((host, guest));
                } else if excluded.is_empty() {
                    let guest = destination.clone();
                    folders.push(Folder { host, guest, writable: *writable });
                } else if *writable {
                    return Err(FilesError::WritableWithExcluded { path: host });
                } else {
                    let guest = Path::new(destination.trim_start_matches('/'));
                    tree(&host, root, guest, &excluded, &mut copied)?;
                }
            }
        }
    }
    if !copied.is_empty() {
        let host = copy_all(&mut copied, state)?;
        folders.push(Folder { host, guest: "/".to_owned(), writable: false });
    }
    open_folders(&folders)
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
    found: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<(), FilesError> {
    let path = root.join(pattern);
    if !path.starts_with(root) {
        return Err(FilesError::Outside { path });
    }
    if path.is_dir() {
        return tree(&path, root, Path::new(pattern), excluded, found);
    }
    if !path.exists() && !pattern.contains(['*', '?', '[']) {
        return Err(FilesError::Missing { path });
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
    found: &mut Vec<(PathBuf, PathBuf)>,
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
    found: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<(), FilesError> {
    if host.is_file() && !excluded.is_match(relative) {
        found.push((host, guest));
    }
    if found.len() > MAX_COPIED_FILES { Err(FilesError::TooMany) } else { Ok(()) }
}

/// Copies files to a folder named by what they are (path, size, time of change), so that a start
/// which finds the folder has nothing to copy. The folder appears whole or not at all.
fn copy_all(files: &mut Vec<(PathBuf, PathBuf)>, state: &Path) -> Result<PathBuf, FilesError> {
    files.sort();
    files.dedup();
    let target = state.join("files").join(fingerprint(files)?);
    if target.is_dir() {
        return Ok(target);
    }
    let parent = state.join("files");
    let failed = |path: &Path, source| FilesError::Copy { path: path.to_owned(), source };
    std::fs::create_dir_all(&parent).map_err(|e| failed(&parent, e))?;
    let staging = tempfile::tempdir_in(&parent).map_err(|e| failed(&parent, e))?;
    for (host, guest) in files.iter() {
        let copy = staging.path().join(guest);
        if let Some(folder) = copy.parent() {
            std::fs::create_dir_all(folder).map_err(|e| failed(host, e))?;
        }
        std::fs::copy(host, &copy).map_err(|e| failed(host, e))?;
    }
    match std::fs::rename(staging.path(), &target) {
        Ok(()) => {
            let _ = staging.keep();
            Ok(target)
        }
        // Another process of the same app was faster; its copy is the same.
        Err(_) if target.is_dir() => Ok(target),
        Err(source) => Err(failed(&target, source)),
    }
}

fn fingerprint(files: &[(PathBuf, PathBuf)]) -> Result<String, FilesError> {
    let mut hash = blake3::Hasher::new();
    for (host, guest) in files {
        let failed = |source| FilesError::Copy { path: host.clone(), source };
        let metadata = host.metadata().map_err(failed)?;
        let changed = metadata.modified().map_err(failed)?;
        let nanos = changed.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos());
        for part in [host.as_os_str(), guest.as_os_str()] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_encoded_bytes());
        }
        hash.update(&metadata.len().to_le_bytes());
        hash.update(&nanos.to_le_bytes());
    }
    Ok(hash.finalize().to_hex()[..32].to_owned())
}
