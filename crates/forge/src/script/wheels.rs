//! Installs what a Python script's `requirements.txt` names, with the user's own `pip`, into a folder
//! beside other fetched sources. It is kept by the digest of what is required, and never asked for
//! again while that stays.

use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, io};

use super::requirements::{Requirements, RequirementsError};
use super::tool::{self, ToolError};
use crate::fetch::{FetchConfig, Fetching, digest_of};

/// The file beside a script, or named by `-r` and `-c` in it.
const REQUIREMENTS: &str = "requirements.txt";

/// What these folders are called.
const VENDORED: [&str; 2] = ["vendor", "site-packages"];

/// The Python that wheels have to be for: the interpreter's.
const PYTHON: &str = "3.12";

/// What a script's requirements could not be installed for.
#[derive(Debug, thiserror::Error)]
#[error("failed to install what `{}` names", requirements.display())]
pub struct WheelsError {
    /// The file.
    pub requirements: PathBuf,
    /// Why.
    #[source]
    pub failure: WheelsFailure,
}

/// Why requirements could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum WheelsFailure {
    /// `pip` failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A file or folder cannot be read or written.
    #[error("failed to use `{}`", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The requirements are none that `pip` is handed.
    #[error(transparent)]
    Requirements(#[from] RequirementsError),
}

impl WheelsError {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match &self.failure {
            WheelsFailure::Tool(ToolError::Missing { .. }) => {
                "install `pip`, or put the packages into `vendor` beside the script".to_owned()
            }
            WheelsFailure::Tool(_) => "only wheels are installed; a machine without a network \
                 needs the packages in `vendor` beside the script: `pip install --target vendor -r \
                 requirements.txt`"
                .to_owned(),
            WheelsFailure::Requirements(RequirementsError::Refused { .. }) => {
                "requirements are names with versions, `--hash`, `-r` and `-c` with files, and \
                 indexes at `https://`; put what else there is into `vendor` beside the script: \
                 `pip install --target vendor …`"
                    .to_owned()
            }
            WheelsFailure::File { .. } | WheelsFailure::Requirements(_) => {
                "see that the file may be read, and that there is room".to_owned()
            }
        }
    }
}

/// The folder that requirements were installed into.
#[derive(Debug, Clone)]
pub struct Wheels {
    /// What tells these requirements from others.
    pub digest: String,
    /// The folder.
    pub folder: PathBuf,
}

/// The requirements of a Python script, if they are to be installed: where packages lie beside it,
/// these are it.
pub(super) fn requirements(script: &Path) -> Option<PathBuf> {
    let file = script.with_file_name(REQUIREMENTS);
    (vendored(script).next().is_none() && file.is_file()).then_some(file)
}

/// The folders beside a script in which users put packages themselves.
pub(super) fn vendored(script: &Path) -> impl Iterator<Item = PathBuf> {
    VENDORED.into_iter().map(|name| script.with_file_name(name)).filter(|folder| folder.is_dir())
}

/// What tells requirements from others: what they and the files that they name ask for.
///
/// # Errors
/// When a file cannot be read, or asks for what `pip` is not handed.
pub(super) fn digest(requirements: &Path) -> Result<String, WheelsError> {
    read(requirements).map(|requirements| digest_of_read(&requirements))
}

fn read(requirements: &Path) -> Result<Requirements, WheelsError> {
    Requirements::read(requirements).map_err(|failure| WheelsError {
        requirements: requirements.to_owned(),
        failure: failure.into(),
    })
}

fn digest_of_read(Requirements { wanted, constraints }: &Requirements) -> String {
    digest_of(format!("python {PYTHON}\n{wanted}\0{constraints}").as_bytes())
}

/// Installs requirements, unless they are here.
///
/// # Errors
/// When they cannot be had as wheels.
pub fn install(
    requirements: &Path,
    config: &FetchConfig,
    mut tell: impl FnMut(Fetching<'_>),
) -> Result<Wheels, WheelsError> {
    let read = read(requirements)?;
    let digest = digest_of_read(&read);
    let root = config.folder.join("wheels");
    let folder = root.join(&digest);
    if folder.is_dir() {
        return Ok(Wheels { digest, folder });
    }
    let what = format!("`{}`", requirements.display());
    let began = Instant::now();
    tell(Fetching::Starts(&what));
    let bytes = put(&read, &root, &folder)
        .map_err(|failure| WheelsError { requirements: requirements.to_owned(), failure })?;
    tell(Fetching::Done { source: &what, bytes, took: began.elapsed() });
    Ok(Wheels { digest, folder })
}

/// Fills a new folder, and gives it its name once it is whole; says how many bytes are in it.
fn put(requirements: &Requirements, root: &Path, folder: &Path) -> Result<u64, WheelsFailure> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| WheelsFailure::File { path, source }
    };
    fs::create_dir_all(root).map_err(failed(root))?;
    let new = tempfile::tempdir_in(root).map_err(failed(root))?;
    let target = new.path().join("packages");
    let mut pip = tool::pip_install(&target);
    pip.args(["--python-version", PYTHON, "--implementation", "cp"])
        // Not the script's own folder, whose modules Python would take for its own.
        .current_dir(new.path());
    // What was understood, not the file: `pip` might read that otherwise.
    let Requirements { wanted, constraints } = requirements;
    for (option, text) in [("--requirement", wanted), ("--constraint", constraints)] {
        let file = new.path().join(option.trim_start_matches('-'));
        fs::write(&file, text).map_err(failed(&file))?;
        pip.arg(option).arg(file);
    }
    tool::run("pip", &mut pip)?;
    // What names nothing installs nothing.
    fs::create_dir_all(&target).map_err(failed(&target))?;
    let bytes = size(&target).map_err(failed(&target))?;
    match fs::rename(&target, folder) {
        // Another process was faster.
        Err(_) if folder.is_dir() => {}
        renamed => renamed.map_err(failed(folder))?,
    }
    Ok(bytes)
}

fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// The packages in a folder that have native code, by their wheels' own account.
pub(super) fn native(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut native: Vec<_> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (name, _version) = name.strip_suffix(".dist-info")?.rsplit_once('-')?;
            let wheel = fs::read_to_string(entry.path().join("WHEEL")).ok()?;
            let is_pure = wheel.lines().any(|line| line.trim() == "Root-Is-Purelib: true");
            (!is_pure).then(|| name.to_owned())
        })
        .collect();
    native.sort_unstable();
    native
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_decides() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(requirements(&at("app.py")), None);
        fs::write(at(REQUIREMENTS), "bottle\n -r more.txt # and more\n--constraint=all.txt")
            .unwrap();
        let file = requirements(&at("app.py")).unwrap();
        let error = digest(&file).unwrap_err();
        assert!(matches!(error.failure, WheelsFailure::Requirements(_)), "{error:?}");
        fs::write(at("more.txt"), "-r requirements.txt\nflask").unwrap();
        fs::write(at("all.txt"), "flask==3.1.3").unwrap();
        let first = digest(&file).unwrap();
        assert_eq!(digest(&file).unwrap(), first);
        fs::write(at("all.txt"), "flask==3.1.2").unwrap();
        assert_ne!(digest(&file).unwrap(), first);
        fs::create_dir(at("vendor")).unwrap();
        assert_eq!(requirements(&at("app.py")), None);
    }
}
