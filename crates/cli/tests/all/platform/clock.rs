//! A clock that jumps, by libfaketime: nothing is lost, nobody is locked out, what expires expires, and
//! releases follow one another all the same.

use std::path::{Path, PathBuf};

use dayfly_testing::{Body, Dayfly};
use tempfile::TempDir;

use super::{Platform, numbered};
use crate::dayfly;

/// Where Debian has it.
fn library() -> String {
    let folder = format!("/usr/lib/{}-linux-gnu/faketime", std::env::consts::ARCH);
    let library = format!("{folder}/libfaketime.so.1");
    assert!(Path::new(&library).is_file(), "Debian's `faketime` is not installed");
    library
}

/// A clock of the platform's processes.
pub(super) struct Clock {
    folder: TempDir,
}

impl Clock {
    /// One that goes right.
    pub(super) fn new() -> Self {
        let clock = Self { folder: tempfile::tempdir().unwrap() };
        clock.jump("+0");
        clock
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// A command line whose processes go by it. Tenants' own have another environment, and the true time.
    pub(super) fn of(&self, dayfly: Dayfly) -> Dayfly {
        dayfly
            // Who is hardened may not read where it is.
            .env("DAYFLY_HARDEN", "off")
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_RESET", "1")
            // The kernel's timers go on as they are, as they do when a clock is set.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// Moves it away from the true time, at once: nobody reads half of an offset.
    pub(super) fn jump(&self, offset: &str) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, offset).unwrap();
        std::fs::rename(&new, self.file()).unwrap();
    }
}

#[tokio::test]
async fn a_clock_that_jumps_harms_nobody() {
    let clock = Clock::new();
    let platform = Platform::start_with(clock.of(dayfly())).await;
    platform.deploy(&numbered(1, "", ""), &["--accept"]).await.with(0);
    let words = ["tokens", "make", "short", "--scope", "deploy", "--expires", "90d"];
    let short = platform.done(&words).await.trim().to_owned();
    assert_eq!(apps_seen_by(&platform, &short).await, 200);

    let (mut number, mut seen) = (1, Vec::new());
    for (offset, is_valid) in [("+400d", false), ("-30d", true), ("+90m", true), ("+0", true)] {
        clock.jump(offset);
        let now = time(&platform, offset).await;
        assert!(!seen.contains(&now), "the clock does not jump: {now}");
        seen.push(now);
        assert_eq!(platform.release().await, number.to_string(), "at {offset}");
        number += 1;
        platform.deploy(&numbered(number, "", ""), &["--accept"]).await.with(0);
        assert_eq!(platform.release().await, number.to_string(), "at {offset}");
        platform.done(&["rollback", "test"]).await;
        assert_eq!(platform.release().await, (number - 1).to_string(), "at {offset}");
        platform.deploy(&numbered(number, "", ""), &["--accept"]).await.with(0);
        let status = apps_seen_by(&platform, &short).await;
        assert_eq!(status == 200, is_valid, "at {offset}: {status}");
    }
    // As they happened, whatever the clock said.
    let log = platform.json(&["audit"]).await;
    let made: Vec<_> = log.as_array().unwrap().iter().map(|it| it["action"].clone()).collect();
    let last = ["app.activate", "app.rollback", "app.activate", "release.make"];
    assert_eq!(made[..4], last.map(serde_json::Value::from), "{log:#}");
    platform.stop().await;
}

/// The date by the platform's clock, to the hour.
async fn time(platform: &Platform, offset: &str) -> String {
    platform.done(&["env", "test", &format!("MOMENT={offset}")]).await;
    let log = platform.json(&["audit"]).await;
    log[0]["at"].as_str().unwrap()[..13].to_owned()
}

/// How a token is answered.
async fn apps_seen_by(platform: &Platform, token: &str) -> u16 {
    let api = dayfly_testing::Client::http1(&platform.admin);
    let request = api.request(http::Method::GET, "/v1/tenants/default/apps");
    let request = request.header("authorization", format!("Bearer {token}"));
    api.send(request.body(Body::empty())).await.status
}
