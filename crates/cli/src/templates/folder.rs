//! Writes new files into a folder: all of them or none, and none elsewhere.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use tempfile::TempDir;

use crate::report;

/// A file that is to be written, by its path below the folder.
pub(crate) struct NewFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// What is written to until all of it is there.
const STAGE: &str = ".dayfly-new-";

const NOT_EMPTY: &str = "`--output` names another folder, `--force` writes into this one";

/// Makes a folder that was not there.
///
/// # Errors
/// If something of that name is there, or the disk takes no more. Then nothing is left.
pub(crate) fn make(folder: &Path, files: &[NewFile]) -> Result<()> {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let what = || format!("failed to make `{}`", folder.display());
    fs::create_dir_all(parent).with_context(what)?;
    let stage = staged(parent, files).with_context(what)?;
    fs::rename(stage.path(), folder).with_context(what)?;
    // It is somewhere else now.
    let _ = stage.keep();
    Ok(())
}

/// Fills a folder that is there: an empty one, or with `force` another, where files of the same names
/// are replaced.
///
/// # Errors
/// If it is none, or something is in the way, or the disk takes no more. Then all is as it was.
pub(crate) fn fill(folder: &Path, files: &[NewFile], force: bool) -> Result<()> {
    let what = || format!("failed to write to `{}`", folder.display());
    let is_empty = fs::read_dir(folder).with_context(what)?.next().is_none();
    if !is_empty && !force {
        let error = anyhow!("`{}` is not empty", folder.display());
        return Err(report::hint(error, Some(NOT_EMPTY)));
    }
    for file in files {
        is_free(folder, &file.path)?;
    }
    let stage = staged(folder, files).with_context(what)?;
    let mut placed = Placed::default();
    for file in files {
        let placing = placed.place(stage.path(), folder, &file.path);
        if let Err(error) = placing {
            placed.undo();
            return Err(error).with_context(what);
        }
    }
    Ok(())
}

/// All files in a folder beside the place where they are to be, which goes unless it is kept.
fn staged(parent: &Path, files: &[NewFile]) -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(STAGE).permissions(Permissions::from_mode(0o777));
    let stage = builder.tempdir_in(parent)?;
    for NewFile { path, text } in files {
        let path = stage.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(stage.path()))?;
        fs::write(path, text)?;
    }
    Ok(stage)
}

/// Whether a file may be put at a path: what is there is a file, and what is on the way are folders.
/// Links are neither, since they lead out.
fn is_free(folder: &Path, path: &Path) -> Result<()> {
    for place in path.ancestors().filter(|place| !place.as_os_str().is_empty()) {
        let full = folder.join(place);
        let found = match full.symlink_metadata() {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("failed to look at `{}`", full.display()));
            }
        };
        if place == path && !found.is_file() {
            bail!("`{}` is in the way: it is no file", full.display());
        }
        if place != path && !found.is_dir() {
            bail!("`{}` is in the way: it is no folder", full.display());
        }
    }
    Ok(())
}

/// What was put into a folder so far.
#[derive(Default)]
struct Placed {
    /// Where a file is, and where that is that it replaced.
    files: Vec<(PathBuf, PathBuf)>,
    folders: Vec<PathBuf>,
}

impl Placed {
    fn place(&mut self, stage: &Path, folder: &Path, path: &Path) -> io::Result<()> {
        for on_the_way in path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            let on_the_way = folder.join(on_the_way);
            if !on_the_way.exists() {
                fs::create_dir(&on_the_way)?;
                self.folders.push(on_the_way);
            }
        }
        let (new, place) = (stage.join(path), folder.join(path));
        let old = stage.join(format!("{}.old", self.files.len()));
        match fs::rename(&place, &old) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => self.files.push((place.clone(), old)),
        }
        fs::rename(new, place)
    }

    /// Puts everything back. What fails here failed before, too, and is told by that.
    fn undo(self) {
        for (place, old) in self.files.into_iter().rev() {
            let _ = fs::remove_file(&place);
            let _ = fs::rename(old, place);
        }
        for folder in self.folders.into_iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}
