//! Server programs that tests start, each on a free port and with a folder of its own.

use std::borrow::Cow;
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::lines::Lines;
use crate::process::Process;
use crate::program::program;

/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);

/// How often another port is tried: one that was free a moment ago may not be any more.
const PORTS: usize = 8;

/// The arguments for a port and a folder.
pub(crate) type Arguments = Box<dyn Fn(u16, &Path) -> Vec<OsString> + Send + Sync>;

/// A server program: its name, the line by which one knows that it serves, and its arguments for a
/// port and a folder.
pub(crate) struct Recipe {
    /// A name, or a path.
    pub(crate) name: Cow<'static, str>,
    pub(crate) ready: &'static str,
    pub(crate) arguments: Arguments,
}

/// A started server program; killed when dropped.
pub(crate) struct Daemon {
    recipe: Recipe,
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Daemon {
    /// Starts a server on a free port and waits until it serves.
    pub(crate) async fn start(recipe: Recipe) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut said = String::new();
        for _ in 0..PORTS {
            let port = free_port();
            match spawn(&recipe, port, folder.path()).await {
                Ok(child) => return Self { recipe, child, folder, port },
                Err(lines) => said = lines,
            }
        }
        panic!("`{}` does not start:\n{said}", recipe.name);
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process.
    pub(crate) fn process(&self) -> Process {
        Process::new(self.child.id().expect("a process that runs"))
    }

    /// Ends it by SIGKILL and waits until it is gone.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("the process is ours");
    }

    /// Starts it again, on the same port and in the same folder.
    pub(crate) async fn restart(&mut self) {
        match spawn(&self.recipe, self.port, self.folder.path()).await {
            Ok(child) => self.child = child,
            Err(lines) => panic!("`{}` does not start again:\n{lines}", self.recipe.name),
        }
    }
}

/// A port that nobody listens on.
///
/// # Panics
/// If there is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Starts a server; what it printed if it ended before it served.
async fn spawn(recipe: &Recipe, port: u16, folder: &Path) -> Result<Child, String> {
    let mut child = command(&recipe.name)
        .env("RUST_LOG", "info")
        // Else Pebble waits up to 15 seconds before it looks at a host.
        .env("PEBBLE_VA_NOSLEEP", "1")
        .args((recipe.arguments)(port, folder))
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("an installed program starts");
    let stdout = Lines::collect(child.stdout.take().expect("a pipe"));
    let stderr = Lines::collect(child.stderr.take().expect("a pipe"));
    let serves = |line: &str| line.contains(recipe.ready);
    let ready = async {
        // A program that ends says so on both.
        let (out, err) = tokio::join!(stdout.wait_for(serves), stderr.wait_for(serves));
        out.or(err)
    };
    tokio::select! {
        found = timeout(START, ready) => match found {
            Ok(None) | Err(_) => Err(format!("{}\n{}", stdout.text(), stderr.text())),
            Ok(Some(_)) => Ok(child),
        },
        Some(_) = stdout.wait_for(serves) => Ok(child),
        Some(_) = stderr.wait_for(serves) => Ok(child),
    }
}

/// An installed server program, which may lie where only root looks for it; or one at a path.
fn command(name: &str) -> Command {
    // What is absolute takes the other's place.
    let of_root = Path::new("/usr/sbin").join(name);
    if of_root.is_file() {
        let mut command = Command::new(of_root);
        command.stdin(Stdio::null()).kill_on_drop(true);
        return command;
    }
    program(name)
}
