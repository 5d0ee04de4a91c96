//! Releases are made ready by `dayfly prepare`, a process for each, which is ended at its bounds.

use std::ffi::OsString;
use std::io::{self, Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use dayfly_control::{PrepareError, Preparer, Ready};
use dayfly_model::platform::{AppName, ReleaseId};
use rustix::process::Signal;

use crate::commands::prepare::Said;

/// What one worker may take.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    pub(crate) memory_bytes: u64,
    pub(crate) cpu_seconds: u64,
    pub(crate) wall: Duration,
}

/// Starts workers.
pub(crate) struct Workers {
    pub(crate) program: PathBuf,
    pub(crate) state: PathBuf,
    /// The flags of the engine and of hardening, as the node has them.
    pub(crate) flags: Vec<OsString>,
    pub(crate) bounds: Bounds,
}

/// The program that workers run: what this process runs, also where its file has been replaced since.
/// Another version's code would be found by no process that serves.
///
/// # Errors
/// If it cannot be found.
pub(crate) fn program() -> io::Result<PathBuf> {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() { Ok(own) } else { std::env::current_exe() }
}

/// The longest text that is read of a worker.
const MAX_TEXT: u64 = 8 << 20;

/// How often a worker is looked after.
const PACE: Duration = Duration::from_millis(10);

/// A worker that ends with whoever waits for it.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Preparer for Workers {
    fn prepare(
        &self,
        app: &AppName,
        release: &ReleaseId,
        manifest: &[u8],
        room_bytes: Option<u64>,
    ) -> Result<Ready, PrepareError> {
        let failed = |error: io::Error| PrepareError::Failed(format!("the worker failed: {error}"));
        // However a worker ends, what it made on the way goes behind it.
        let releases = self.state.join("releases");
        let scratch = tempfile::Builder::new().prefix(".new-").tempdir_in(releases);
        let scratch = scratch.map_err(failed)?;
        let started = self.start((app, release), scratch.path(), room_bytes);
        let mut worker = Guard(started.map_err(failed)?);
        let child = &mut worker.0;
        let (input, out, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (ended, out, errors) = thread::scope(|scope| {
            let out = scope.spawn(|| read(out));
            let errors = scope.spawn(|| read(errors));
            scope.spawn(|| {
                // A worker that ends early says why otherwise.
                input.is_some_and(|mut input| input.write_all(manifest).is_ok())
            });
            let ended = self.wait(&mut worker.0);
            (ended, out.join().unwrap_or_default(), errors.join().unwrap_or_default())
        });
        let Some(status) = ended.map_err(failed)? else {
            let seconds = self.bounds.wall.as_secs();
            return Err(PrepareError::TooMuch(format!(
                "preparing and compiling it takes more than {seconds} seconds"
            )));
        };
        self.understand(status, &out, &errors)
    }
}

impl Workers {
    fn start(
        &self,
        (app, release): (&AppName, &ReleaseId),
        scratch: &Path,
        room_bytes: Option<u64>,
    ) -> io::Result<Child> {
        let Bounds { memory_bytes, cpu_seconds, .. } = self.bounds;
        Command::new(&self.program)
            .arg("prepare")
            .arg("--state")
            .arg(&self.state)
            .args(["--app", app.as_str(), "--release", release.as_str()])
            .arg("--scratch")
            .arg(scratch)
            .args(["--parent", &std::process::id().to_string()])
            .args(room_bytes.map(|room| format!("--room={room}")))
            .args(["--memory", &memory_bytes.to_string(), "--cpu", &cpu_seconds.to_string()])
            .args(&self.flags)
            // Nothing of the platform's environment, which may hold secrets.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    /// Waits for a worker to end; one that takes too long is ended.
    fn wait(&self, worker: &mut Child) -> io::Result<Option<ExitStatus>> {
        let began = Instant::now();
        loop {
            if let Some(status) = worker.try_wait()? {
                return Ok(Some(status));
            }
            if began.elapsed() > self.bounds.wall {
                worker.kill()?;
                worker.wait()?;
                return Ok(None);
            }
            thread::sleep(PACE);
        }
    }

    fn understand(
        &self,
        status: ExitStatus,
        out: &[u8],
        errors: &[u8],
    ) -> Result<Ready, PrepareError> {
        if status.success() {
            return match serde_json::from_slice(out) {
                Ok(Said::Ready(ready)) => Ok(ready),
                Ok(Said::NoRoom(bytes)) => Err(PrepareError::NoRoom(bytes)),
                Ok(Said::Unservable(text)) => Err(PrepareError::Unservable(text)),
                Err(error) => Err(PrepareError::Failed(format!("the worker said: {error}"))),
            };
        }
        let errors = String::from_utf8_lossy(errors);
        tracing::warn!(%status, "a worker ended: {}", crate::report::harmless(errors.trim()));
        let Bounds { memory_bytes, cpu_seconds, .. } = self.bounds;
        Err(match status.signal().and_then(Signal::from_named_raw) {
            Some(Signal::XCPU) => PrepareError::TooMuch(format!(
                "preparing and compiling it takes more than {cpu_seconds} seconds of CPU time"
            )),
            Some(Signal::ABORT | Signal::SEGV | Signal::BUS) => PrepareError::TooMuch(format!(
                "preparing and compiling it takes more than {} MiB of memory",
                memory_bytes >> 20
            )),
            Some(Signal::XFSZ) => PrepareError::TooMuch("it makes a file too large".to_owned()),
            Some(Signal::KILL) => {
                let text = "the worker was killed: the machine may lack memory";
                PrepareError::Failed(text.to_owned())
            }
            _ => PrepareError::Failed(format!("the worker ended with {status}")),
        })
    }
}

fn read(from: Option<impl Read>) -> Vec<u8> {
    let mut text = Vec::new();
    if let Some(from) = from {
        let _ = from.take(MAX_TEXT).read_to_end(&mut text);
    }
    text
}
