//! Where what the app of a package keeps lies, so that the next version finds it: in the user's data folder,
//! a folder for each repository; of a package in a file, beside that, as with an app's manifest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use dayfly_forge::fetch::Reference;
use dayfly_model::{App, FileGrant};
use directories::ProjectDirs;

use crate::report;

/// Where writable folders lie in the app's state folder.
const WRITTEN: &str = "written";

/// The folder of a package's repository.
///
/// # Errors
/// If the user has no folder for data.
pub(super) fn folder(reference: &Reference) -> Result<PathBuf> {
    let data = ProjectDirs::from("", "", "dayfly");
    let data = data.context("this system has no folder for data: name one by `--state-dir`")?;
    let registry = reference.registry.replace(['[', ']', ':'], "_");
    let data = data.data_local_dir().join("apps").join(registry);
    // `me/app/logs` keeps nothing within what `me/app` keeps.
    Ok(data.join(one_name(&reference.repository)))
}

/// The folder of a package that is a file.
///
/// # Errors
/// If the process is in no folder.
pub(super) fn beside(archive: &Path) -> Result<PathBuf> {
    let archive = std::path::absolute(archive);
    let archive = archive.context("failed to find where the package lies")?;
    Ok(archive.with_file_name(".dayfly"))
}

/// Has writable folders lie in the app's state folder rather than with what the package brought.
///
/// # Errors
/// If they cannot be made.
pub(crate) fn writable(app: &mut App, state: &Path) -> Result<()> {
    let state = std::path::absolute(state);
    let state = state.context("failed to find the app's state folder")?.join(WRITTEN);
    for (id, component) in &mut app.components {
        for grant in &mut component.files {
            let FileGrant::Mount { source, destination, writable: true } = grant else { continue };
            *source = state.join(one_name(&id.0)).join(one_name(destination));
            fs::create_dir_all(&*source)
                .with_context(|| format!("failed to create `{}`", source.display()))?;
        }
    }
    Ok(())
}

/// Checks that whatever the host opens by itself of what an app keeps is there, and no symbolic link to
/// elsewhere: a process of the app's tenant that was taken over may have put one there. What is in writable
/// folders is the guests' own, and never opened but beneath these.
///
/// # Errors
/// If there is one, or the disk fails.
pub(crate) fn unlinked(state: &Path) -> Result<()> {
    let failed = |path: &Path| format!("failed to look for links in `{}`", path.display());
    let (written, mut folders) = (state.join(WRITTEN), vec![state.to_owned()]);
    match state.symlink_metadata() {
        Ok(found) if found.is_symlink() => return Err(linked(state)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // Whoever makes the folder says so.
        Ok(found) if !found.is_dir() => return Ok(()),
        found => {
            found.with_context(|| failed(state))?;
        }
    }
    while let Some(folder) = folders.pop() {
        let entries = match folder.read_dir() {
            // Another release of the app works there meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.with_context(|| failed(&folder))?,
        };
        for entry in entries {
            let entry = entry.with_context(|| failed(&folder))?;
            let kind = entry.file_type().with_context(|| failed(&folder))?;
            if kind.is_symlink() {
                return Err(linked(&entry.path()));
            }
            if kind.is_dir() && folder.parent() != Some(&written) {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

fn linked(path: &Path) -> anyhow::Error {
    let error =
        anyhow!("a symbolic link lies at `{}`, where an app's state is kept", path.display());
    report::hint(
        error,
        Some("remove it: nothing of Dayfly's makes one there, and none is followed"),
    )
}

/// A path as the name of one folder.
fn one_name(path: &str) -> String {
    match path {
        "." | ".." => path.replace('.', "%2E"),
        _ => path.replace('%', "%25").replace('/', "%2F"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_within_another() {
        assert_eq!(one_name("me/app"), "me%2Fapp");
        assert_eq!(one_name("/"), "%2F");
        assert_eq!(one_name(".."), "%2E%2E");
        assert_ne!(one_name("/a%2Fb"), one_name("/a/b"));
        let folder = |text: &str| folder(&text.parse().unwrap()).unwrap();
        assert!(!folder("a.example/me/app/logs").starts_with(folder("a.example/me/app")));
    }

    #[test]
    fn no_link_that_was_put_among_what_an_app_keeps_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (state, other) = (folder.path().join("1"), folder.path().join("2"));
        unlinked(&state).unwrap();
        let root = state.join("written/web/%2Fdata");
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(&other).unwrap();
        // A guest's own is not followed out of its folder either, but elsewhere.
        std::os::unix::fs::symlink(&other, root.join("link")).unwrap();
        unlinked(&state).unwrap();
        for place in ["log", "kept.db", "written/web/other", "written/more", "deep/er/file"] {
            let place = state.join(place);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(&other, &place).unwrap();
            let error = unlinked(&state).unwrap_err().to_string();
            assert!(error.contains(&*place.to_string_lossy()), "{error}");
            fs::remove_file(place).unwrap();
        }
        unlinked(&state).unwrap();
        fs::rename(&state, folder.path().join("3")).unwrap();
        std::os::unix::fs::symlink(&other, &state).unwrap();
        unlinked(&state).unwrap_err();
    }
}
