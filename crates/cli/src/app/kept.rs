//! Where what the app of a package keeps lies, so that the next version finds it: in the user's data folder,
//! a folder for each repository; of a package in a file, beside that, as with an app's manifest.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use dayfly_forge::fetch::Reference;
use dayfly_model::{App, FileGrant};
use directories::ProjectDirs;

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
    let state = state.context("failed to find the app's state folder")?.join("written");
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
}
