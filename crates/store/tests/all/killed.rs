//! A process that writes is killed at random moments; what it acknowledged is there, and nothing is
//! half there.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use dayfly_model::platform::{ArtifactStore as _, ReleaseManifest, ReleaseStore as _};

use crate::{Fixture, app, by, offer, open, release};

/// Where the process that is killed finds the store.
const FOLDER: &str = "DAYFLY_TEST_KILLED_FOLDER";

/// How often it is killed.
const TIMES: u64 = 30;

/// The process that is killed: it makes releases and activates them, and says each that it was
/// acknowledged. As a test of its own it has nothing to do.
#[test]
fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = open(folder.as_ref());
    let process = std::process::id();
    for number in 0.. {
        let made = release(&store, &app("shop"), &format!("{process} {number}"), &[]).unwrap();
        let active =
            store.activate(&by(), &app("shop"), &offer(&made.id, false), 100, None).unwrap();
        // By a line of its own: the test's harness writes there, too.
        let mut out = std::io::stderr().lock();
        writeln!(out, "acknowledged {} {}", made.id, active.generation.0).unwrap();
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let it = Fixture::new();
    it.quotas("acme", |quotas| quotas.releases = 1_000_000);
    it.store.make_app(&by(), &app("shop")).unwrap();
    let mut last = None;
    for round in 0..TIMES {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::writes_until_it_is_killed", "--nocapture"])
            .env(FOLDER, it.folder.path().join("state"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // It has begun; then it is killed somewhere within what it does.
        let first = lines.next().unwrap().unwrap();
        std::thread::sleep(Duration::from_micros(round * 1777 % 20_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let said = std::iter::once(first).chain(lines.map_while(Result::ok));
        let said: Vec<_> = said.filter(|line| line.starts_with("acknowledged ")).collect();
        last = said.last().cloned().or(last);
        let store = open(&it.folder.path().join("state"));
        let active = store.activation(&app("shop")).unwrap().unwrap();
        let parts: Vec<_> = last.as_deref().unwrap().split(' ').collect();
        let acknowledged: u64 = parts[2].parse().unwrap();
        store.release(&app("shop"), &parts[1].parse().unwrap()).unwrap();
        // At most one more was done that it could not say.
        assert!((acknowledged..=acknowledged + 1).contains(&active.generation.0), "{active:?}");
        if active.generation.0 == acknowledged {
            assert_eq!(active.shares[0].release.as_str(), parts[1]);
        }
        assert_eq!(active.shares.iter().map(|it| u32::from(it.percent)).sum::<u32>(), 100);
        for release in store.releases(&app("shop"), None, 20).unwrap() {
            let text = store.manifest(&release.id).unwrap();
            for digest in ReleaseManifest::parse(&text).unwrap().blobs().keys() {
                let path = store.blob(digest).unwrap().unwrap();
                let bytes = std::fs::read(path).unwrap();
                assert_eq!(dayfly_store::digest_of(&bytes), digest.as_str());
            }
        }
    }
}
