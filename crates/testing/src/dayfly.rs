//! The built binary: what it is given, and how it ends when it does not serve.

use std::ffi::OsStr;
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use crate::lines::Lines;
use crate::process::Process;
use crate::running::Running;
use crate::tree::shared_cache;

/// How long a command may take that is to end by itself: interpreters may have to be compiled first.
const PATIENCE: Duration = Duration::from_secs(400);

/// A command line of the binary. It listens on a free port, keeps its state in a folder of its
/// own, compiles ahead of time, and shares the tests' artifact cache, unless told otherwise.
pub struct Dayfly {
    command: Command,
    state: TempDir,
    patience: Duration,
}

impl Dayfly {
    /// The binary at `path`, which a test knows by `env!("CARGO_BIN_EXE_dayfly")`.
    pub fn new(path: &str) -> Self {
        let state = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(path);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["DAYFLY_", "SPIN_", "RUST_", "OTEL_"].iter().any(|prefix| name.starts_with(prefix))
            {
                command.env_remove(&*name);
            }
        }
        command
            .env("DAYFLY_CACHE_DIR", shared_cache())
            .env("DAYFLY_STATE_DIR", state.path())
            // Else each process would begin to compile a large guest in full, and end before.
            .env("DAYFLY_ENGINE", "aot")
            .env("DAYFLY_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Self { command, state, patience: PATIENCE }
    }

    /// The same with an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// The same with arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// The same with an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The same without an environment variable, one of those that are set by default among them.
    #[must_use]
    pub fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// The same in this folder.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// The same with so much time to end by itself.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The same with a text on standard input.
    ///
    /// # Panics
    /// If there is no room for it.
    #[must_use]
    pub fn input(mut self, text: &str) -> Self {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("room for a text");
        file.rewind().expect("a file");
        self.command.stdin(file);
        self
    }

    /// Starts `dayfly … up PATH` and waits until it serves.
    ///
    /// # Panics
    /// If it ends before.
    pub async fn up(self, path: impl AsRef<OsStr>) -> Running {
        self.arg("up").arg(path).serve().await
    }

    /// Starts `dayfly …` and waits until it serves.
    ///
    /// # Panics
    /// If it ends before.
    pub async fn serve(self) -> Running {
        self.spawn().ready().await
    }

    /// Runs `dayfly … up PATH`, which is to end by itself.
    pub async fn up_ends(self, path: impl AsRef<OsStr>) -> Ended {
        self.arg("up").arg(path).ends().await
    }

    /// Runs the command line, which is to end by itself.
    ///
    /// # Panics
    /// If it does not.
    pub async fn ends(mut self) -> Ended {
        let output = timeout(self.patience, self.command.output());
        let output = output.await.expect("the command ends in time").expect("the binary starts");
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts `dayfly …`, and does not wait until it serves.
    ///
    /// # Panics
    /// If it does not start.
    pub fn spawn(mut self) -> Running {
        let mut child = self.command.spawn().expect("the binary starts");
        let process = Process::new(child.id().expect("a process that just started"));
        let stdout = Lines::collect(child.stdout.take().expect("a pipe"));
        let stderr = Lines::collect(child.stderr.take().expect("a pipe"));
        Running::new(child, process, stdout, stderr, self.state)
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code, `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed to standard output.
    pub stdout: String,
    /// What it printed to standard error.
    pub stderr: String,
}

impl Ended {
    /// Checks the exit code and gives back what went to standard error.
    ///
    /// # Panics
    /// If it ended otherwise.
    pub fn with(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "it ended otherwise: {self:#?}");
        self.stderr
    }

    /// Checks the exit code and gives back what went to standard output.
    ///
    /// # Panics
    /// If it ended otherwise.
    pub fn with_stdout(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "it ended otherwise: {self:#?}");
        self.stdout
    }
}
