//! A browser.

use crate::program::{program, run};

/// A page as a browser shows it once its scripts wait for nothing more, as HTML.
///
/// # Panics
/// If the browser fails.
pub async fn page(url: &str) -> String {
    let profile = tempfile::tempdir().expect("a temporary folder");
    let mut chromium = program("chromium");
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]);
    chromium.args(["--no-first-run", "--disable-background-networking", "--disable-sync"]);
    chromium.args(["--disable-component-update", "--virtual-time-budget=10000", "--dump-dom"]);
    // Those of tests are signed by nobody that it knows.
    chromium.arg("--ignore-certificate-errors");
    chromium.arg(format!("--user-data-dir={}", profile.path().display()));
    run(chromium.arg(url)).await
}
