//! The commands beside `up`: what they print, and how they end.

mod add;
mod build;
mod call;
mod check;
mod compile;
mod completions;
mod compose;
mod doctor;
mod freeze;
mod help;
mod new;
mod optimize;
mod resolve;
mod run;
mod run03;
mod test;
mod watch;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use dayfly_testing::{Dayfly, Ended};
use tempfile::TempDir;

use crate::dayfly;

/// A command line that knows nothing of the environment but the tests' artifact cache.
fn command(words: &[&str]) -> Dayfly {
    ["DAYFLY_STATE_DIR", "DAYFLY_LISTEN", "COLUMNS"]
        .into_iter()
        .fold(dayfly(), |dayfly, name| dayfly.env_remove(name))
        .args(words)
}

async fn run(words: &[&str]) -> Ended {
    command(words).ends().await
}

/// What a command printed to standard output, after it ended with this status.
async fn printed(words: &[&str], status: i32) -> String {
    let ended = run(words).await;
    assert_eq!(ended.code, Some(status), "{words:?} ended otherwise: {ended:#?}");
    ended.stdout
}

/// What a command printed to standard error, after it ended with this status.
async fn complained(words: &[&str], status: i32) -> String {
    run(words).await.with(status)
}

/// The path of a built guest.
fn guest(name: &str) -> String {
    dayfly_testing::Guest::path(name).display().to_string()
}

/// Runs a command line whose guest copies its standard input to its standard output: that is all of it, as
/// it was.
pub fn copies(words: &[&str]) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dayfly"))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut stdin = child.stdin.take().unwrap();
    let copy = sent.clone();
    let sender = std::thread::spawn(move || stdin.write_all(&copy).unwrap());
    let output = child.wait_with_output().unwrap();
    sender.join().unwrap();
    assert!(output.status.success());
    assert!(output.stdout == sent, "{} bytes came back of {}", output.stdout.len(), sent.len());
}

/// A file of its own in a folder that goes with it.
struct Written {
    folder: TempDir,
    name: &'static str,
}

impl Written {
    fn new(name: &'static str, text: &str) -> Self {
        let written = Self { folder: tempfile::tempdir().unwrap(), name };
        std::fs::write(written.file(), text).unwrap();
        written
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    fn path(&self) -> String {
        self.file().display().to_string()
    }
}
