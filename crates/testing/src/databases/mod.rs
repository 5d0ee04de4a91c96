//! Database servers, each on a free port and with a data folder of its own. The folder is a copy of
//! one that the tests of this tree share, because making one takes seconds.

mod mariadb;
mod postgres;

use std::fs;
use std::future::Future;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

pub use mariadb::MariaDb;
pub use postgres::Postgres;

use crate::workspace;

/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The user of the databases, and the password.
const USER: &str = "tester";
const PASSWORD: &str = "opensesame";

/// Whether this process may do everything; servers refuse to run as such a user.
fn is_root() -> bool {
    fs::metadata("/proc/self").expect("the process").uid() == 0
}

/// A command that runs a program as a user who is not root.
fn unprivileged(program: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Gives a folder with all that is in it to the user of [`unprivileged`].
fn give(folder: &Path) {
    if is_root() {
        finish(Command::new("chown").args(["-R", "nobody:nogroup"]).arg(folder));
    }
}

/// Runs a command to its end.
fn finish(command: &mut Command) {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?} failed:\n{printed}");
}

/// A copy of the folder `name` that tests share, which `make` makes if it is not there.
fn copy(name: &str, to: &Path, make: impl FnOnce(&Path)) {
    let shared = workspace().join("target/test-databases");
    let template = shared.join(name);
    if !template.exists() {
        fs::create_dir_all(&shared).expect("a folder");
        // Tests run at once; the first to be done is who made it.
        let making = tempfile::tempdir().expect("a temporary folder");
        let data = making.path().join("data");
        fs::create_dir(&data).expect("a folder");
        give(making.path());
        make(&data);
        let done = tempfile::tempdir_in(&shared).expect("a temporary folder");
        finish(Command::new("cp").arg("-a").arg(&data).arg(done.path().join("data")));
        let _ = fs::rename(done.path().join("data"), &template);
    }
    finish(Command::new("cp").arg("-a").arg(&template).arg(to));
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// A running server. It leads a process group, so that its children go with it.
struct Server(Child);

impl Server {
    fn spawn(command: &mut Command) -> Self {
        use std::os::unix::process::CommandExt as _;
        Self(
            command.process_group(0).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")),
        )
    }

    fn has_ended(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(Some(_)))
    }

    /// Sends a signal and waits for the end.
    fn end(&mut self, signal: Signal) {
        let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) else { return };
        let begun = Instant::now();
        let mut signal = signal;
        while !self.has_ended() {
            let _ = kill_process_group(group, signal);
            std::thread::sleep(Duration::from_millis(20));
            if begun.elapsed() > Duration::from_secs(10) {
                signal = Signal::KILL;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(Signal::KILL);
    }
}

/// Waits until `is_ready` says so; false if the server ends before.
async fn ready<F: Future<Output = bool>>(server: &mut Server, is_ready: impl Fn() -> F) -> bool {
    let begun = Instant::now();
    while !is_ready().await {
        if server.has_ended() {
            return false;
        }
        assert!(begun.elapsed() < PATIENCE, "the server does not become ready");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    true
}

/// The newest folder that a pattern's middle part is found in.
fn newest(parent: &str, inside: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(parent).ok()?;
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path().join(inside)));
    let number = |path: &PathBuf| -> u32 {
        path.parent()
            .and_then(|parent| parent.file_name()?.to_str()?.parse().ok())
            .unwrap_or_default()
    };
    folders.filter(|folder| folder.is_dir()).max_by_key(number)
}
