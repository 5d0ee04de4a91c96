//! The files that a component sees, as far as they go into a package: what lies in the app's folder, and
//! neither state nor secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use dayfly_model::{Component, FileGrant};

use super::{MAX_FILES, PackageError};

/// What is in no package, wherever a granted folder has it: state, histories and secrets.
const NEVER: [&str; 5] = [".dayfly", ".spin", ".git", ".env", "runtime-config.toml"];

/// A folder that a component is granted.
#[derive(Debug, Clone)]
pub struct Granted {
    /// Where it is.
    pub host: PathBuf,
    /// Where the guest sees it.
    pub guest: String,
    /// Whether the guest may write to it. What it has written stays here: it is packed empty.
    pub writable: bool,
}

/// The files that a component sees, by their path below the guest's root; what of it is `left_out` goes
/// by its guest's path.
pub(super) fn seen(
    root: &Path,
    folders: &[Granted],
    left_out: &mut BTreeSet<String>,
) -> Result<BTreeMap<String, PathBuf>, PackageError> {
    let app = root.canonicalize().map_err(PackageError::io(root))?;
    let mut files = BTreeMap::new();
    let mut written = Vec::new();
    for folder in folders.iter().filter(|folder| folder.writable) {
        let host = folder.host.canonicalize().map_err(PackageError::io(&folder.host))?;
        if host.read_dir().is_ok_and(|entries| entries.count() > 0) {
            left_out.insert(folder.guest.clone());
        }
        written.push((host, folder.guest.trim_matches('/')));
    }
    // A guest sees of two folders the one whose path is longer.
    let mut ordered: Vec<_> = folders.iter().filter(|folder| !folder.writable).collect();
    ordered.sort_by_key(|folder| folder.guest.trim_matches('/').len());
    for folder in ordered {
        let host = folder.host.canonicalize().map_err(PackageError::io(&folder.host))?;
        let mut walk = Walk { app: &app, written: &written, left_out, files: &mut files };
        walk.folder(&host, folder.guest.trim_matches('/'))?;
    }
    Ok(files)
}

/// Refuses what lies outside the app's folder.
pub(super) fn stay_inside(component: &Component) -> Result<(), PackageError> {
    let mounts = component.files.iter().filter_map(|grant| match grant {
        FileGrant::Mount { source, .. } => Some(source),
        FileGrant::Glob(_) => None,
    });
    let is_outside = |path: &&PathBuf| path.is_absolute() || path.iter().any(|part| part == "..");
    match mounts.into_iter().find(is_outside) {
        None => Ok(()),
        Some(path) => {
            let (component, path) = (component.id.0.clone(), path.clone());
            Err(PackageError::Outside { component, path })
        }
    }
}

/// A walk through a granted folder.
struct Walk<'w> {
    app: &'w Path,
    /// The folders that guests write to, and where they see them.
    written: &'w [(PathBuf, &'w str)],
    left_out: &'w mut BTreeSet<String>,
    files: &'w mut BTreeMap<String, PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, guest: &str) -> Result<(), PackageError> {
        for entry in folder.read_dir().map_err(PackageError::io(folder))? {
            let entry = entry.map_err(PackageError::io(folder))?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| PackageError::Name { path: path.clone() })?;
            let kind = entry.file_type().map_err(PackageError::io(&path))?;
            let guest = if guest.is_empty() { name.to_owned() } else { format!("{guest}/{name}") };
            // As where it is served, a link leads to what lies in the app's folder, or nowhere.
            let target = path.canonicalize().ok().filter(|it| {
                !kind.is_symlink() || (it.starts_with(self.app) && it.is_file() && !is_never(it))
            });
            match target {
                Some(_) if is_never(Path::new(name)) => self.leave_out(&guest),
                Some(_) if self.written.iter().any(|it| it.0 == path || it.1 == guest) => {
                    self.leave_out(&guest);
                }
                Some(_) if kind.is_dir() => self.folder(&path, &guest)?,
                Some(target) if target.is_file() => drop(self.files.insert(guest, target)),
                _ => self.leave_out(&guest),
            }
            if self.files.len() > MAX_FILES {
                return Err(PackageError::TooLarge(format!("{} files", MAX_FILES)));
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, guest: &str) {
        self.left_out.insert(format!("/{guest}"));
    }
}

/// Whether a part of a path is one of what is in no package.
fn is_never(path: &Path) -> bool {
    path.iter().any(|part| NEVER.iter().any(|never| part == *never))
}
