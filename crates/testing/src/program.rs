//! Programs that the tests' set-up installs: curl, h2load, wrk, Chromium.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// How long an installed program may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// An installed program.
///
/// # Panics
/// If it is not installed.
pub fn program(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    assert!(found, "`{name}` is not installed: run `cargo xtask setup`");
    let mut command = Command::new(name);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a program and gives back what it printed, both streams together.
///
/// # Panics
/// If it fails or takes too long.
pub async fn run(command: &mut Command) -> String {
    let output = timeout(PATIENCE, command.output());
    let output = output.await.expect("the program ends in time").expect("the program starts");
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    assert!(output.status.success(), "{:?} failed:\n{printed}", command.as_std());
    printed
}
