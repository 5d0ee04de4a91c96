//! Runs a registry's tool, which knows the user's mirrors, proxies and credentials.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take.
const WHOLE: Duration = Duration::from_secs(15 * 60);

/// How often it is looked after.
const PAUSE: Duration = Duration::from_millis(50);

/// How much of what it said is told.
const TOLD_LINES: usize = 6;
const TOLD_BYTES: u64 = 2048;

/// What names of the environment begin with that are no tool's.
const OWN: [&str; 2] = ["DAYFLY_", "SPIN_"];

/// A registry's tool did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not there.
    #[error("`{tool}` is not installed")]
    Missing {
        /// Its name.
        tool: &'static str,
    },
    /// It failed.
    #[error("`{tool}` failed: {said}")]
    Failed {
        /// Its name.
        tool: &'static str,
        /// The last lines of what it said.
        said: String,
    },
    /// It takes too long.
    #[error("`{tool}` takes more than {} minutes", WHOLE.as_secs() / 60)]
    Slow {
        /// Its name.
        tool: &'static str,
    },
}

/// Has `pip` start no other program: of a package that is no wheel these would be its own.
const PIP: &str = include_str!("pip.py");

/// The command by which `pip` puts packages into a folder, without building or running any of them;
/// what is missing is which.
pub(super) fn pip_install(folder: &Path) -> Command {
    let mut pip = command("python3");
    pip.args(["-c", PIP, "install", "--no-compile", "--no-input", "--only-binary", ":all:"])
        .args(["--disable-pip-version-check", "--quiet", "--target"])
        .arg(folder)
        // What goes into a folder of its own needs no environment of its own.
        .env("PIP_REQUIRE_VIRTUALENV", "0");
    pip
}

/// A tool's command, in an environment without what is for Dayfly and its apps: variables are secret.
pub(super) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if is_own(&name) {
            command.env_remove(name);
        }
    }
    command
}

fn is_own(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    OWN.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
}

/// Runs a tool to its end.
pub(super) fn run(tool: &'static str, command: &mut Command) -> Result<(), ToolError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => ToolError::Missing { tool },
        _ => ToolError::Failed { tool, said: error.to_string() },
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
            return Err(ToolError::Slow { tool });
        }
        std::thread::sleep(PAUSE);
    };
    if status.success() {
        return Ok(());
    }
    Err(ToolError::Failed { tool, said: last_lines(&mut said).map_err(failed)? })
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn pip_builds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("package");
        let ran = folder.path().join("ran");
        fs::create_dir(&package).unwrap();
        let project =
            "[build-system]\nrequires = []\nbuild-backend = \"own\"\nbackend-path = [\".\"]";
        fs::write(package.join("pyproject.toml"), project).unwrap();
        fs::write(package.join("own.py"), format!("open({ran:?}, 'w')")).unwrap();
        let mut pip = pip_install(&folder.path().join("out"));
        pip.arg("--no-index").arg(&package).current_dir(folder.path());
        let error = run("pip", &mut pip).unwrap_err();
        assert!(error.to_string().contains("only wheels are installed"), "{error}");
        assert!(!ran.exists());
    }

    #[test]
    fn what_is_for_dayfly_is_for_no_tool() {
        assert!(is_own(OsStr::new("DAYFLY_VARIABLE_TOKEN")));
        assert!(is_own(OsStr::new("SPIN_VARIABLE_TOKEN")));
        assert!(!is_own(OsStr::new("PIP_INDEX_URL")));
    }
}
