//! A browser: Chromium, told what to do by its DevTools protocol over a pair of pipes, so that it listens nowhere.

mod connection;
mod tab;

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::program::{program, run};
use connection::Connection;
pub use tab::Tab;

/// What every browser of ours is started with.
const OPTIONS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-component-update",
    // Tabs behind others go on as if they were seen.
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    // Those of tests are signed by nobody that it knows.
    "--ignore-certificate-errors",
];

/// The protocol is spoken on descriptors 3 and 4, which are the pipes that the shell is given.
const BY_PIPES: &str = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null";

/// A page as a browser shows it once its scripts wait for nothing more, as HTML.
///
/// # Panics
/// If the browser fails.
pub async fn page(url: &str) -> String {
    let profile = tempfile::tempdir().expect("a temporary folder");
    let mut chromium = program("chromium");
    chromium
        .args(OPTIONS)
        .args(["--virtual-time-budget=10000", "--dump-dom"])
        .arg(kept_in(profile.path()));
    run(chromium.arg(url)).await
}

fn kept_in(profile: &Path) -> String {
    format!("--user-data-dir={}", profile.display())
}

/// A browser that runs. Killed when dropped.
pub struct Browser {
    connection: Arc<Connection>,
    _child: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start() -> Self {
        program("chromium");
        let profile = tempfile::tempdir().expect("a temporary folder");
        let mut chromium = Command::new("sh");
        chromium.args(["-c", BY_PIPES, "sh", "chromium", "--remote-debugging-pipe"]);
        chromium.args(OPTIONS).arg("--hide-scrollbars").arg(kept_in(profile.path()));
        chromium.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = chromium.kill_on_drop(true).spawn().expect("a shell starts");
        let (requests, answers) = (child.stdin.take(), child.stdout.take());
        let connection = Connection::new(requests.expect("a pipe"), answers.expect("a pipe"));
        Self { connection, _child: child, _profile: profile }
    }

    /// Opens a page in a tab of its own and waits until it is loaded.
    ///
    /// # Panics
    /// If it is not loaded in time.
    pub async fn open(&self, url: &str) -> Tab {
        let tab = self.tab().await;
        tab.go(url).await;
        tab
    }

    /// A tab that shows nothing yet.
    ///
    /// # Panics
    /// If there is none in time.
    pub async fn tab(&self) -> Tab {
        let made =
            self.connection.ask(None, "Target.createTarget", json!({ "url": "about:blank" })).await;
        let target = json!({ "targetId": made["targetId"], "flatten": true });
        let attached = self.connection.ask(None, "Target.attachToTarget", target).await;
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let tab = Tab::new(Arc::clone(&self.connection), session);
        tab.listen().await;
        tab
    }
}
