//! The commands beside `up`: what they print, and how they end.

mod call;
mod check;
mod compile;
mod completions;
mod doctor;
mod freeze;
mod help;
mod run;
mod run03;

use std::path::PathBuf;

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
