//! A release is served by the code that is made soonest, and by what is compiled in full as soon as that is
//! there.

use std::path::Path;
use std::time::{Duration, Instant};

use dayfly_testing::{App, Guest};
use serde_json::Value;
use tokio::time::sleep;

use super::bombs::long_winded;
use super::handover::{Load, address, child, followed};
use super::{Platform, numbered};
use crate::dayfly;

/// How long a worker may take that finds the machine busy.
const PATIENCE: Duration = Duration::from_secs(120);

const OWN: &str = "test.acme.localhost";

/// A platform that has compiled nothing yet.
async fn start(cache: &Path, flags: &[&str]) -> Platform {
    let command = dayfly().env("DAYFLY_CACHE_DIR", cache).env("DAYFLY_ENGINE", "auto");
    let command = command.env("DAYFLY_LOG", "info,dayfly_host=debug").env("DAYFLY_MAX_LAG", "60s");
    Platform::start_serving(command, flags).await
}

impl Platform {
    /// What making an app's last release ready came to.
    async fn prepared(&self, app: &str, tenant: &str) -> Value {
        let releases = self.json(&["releases", app, "--tenant", tenant]).await;
        releases[0]["prepared"].clone()
    }

    /// Waits until an app's last release is optimised.
    async fn optimised(&self, app: &str, tenant: &str) {
        let since = Instant::now();
        loop {
            let prepared = self.prepared(app, tenant).await;
            if prepared["optimised_ms"].as_u64().is_some() {
                return assert_eq!(prepared["baseline"], true, "{prepared}");
            }
            assert!(since.elapsed() < PATIENCE, "it is not optimised: {prepared}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// How many components came by code in full: in the place of what stood in for it, or at once if that was
    /// there before anybody asked.
    fn in_full(&self) -> usize {
        let said = self.server.stderr().text();
        let in_full = ["compiled in full", "stands_in=false"];
        said.lines().filter(|line| in_full.iter().any(|words| line.contains(words))).count()
    }

    /// Waits until there are more than so many.
    async fn more_in_full(&self, before: usize) {
        let since = Instant::now();
        while self.in_full() <= before {
            assert!(since.elapsed() < PATIENCE, "{}", self.server.stderr().text());
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn app(name: &str, wasm: Vec<u8>) -> App {
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"{name}\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest.wasm\"\n"
    ));
    app.file("guest.wasm", wasm)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_is_answered_soonest_and_optimised_without_a_failed_request() {
    let cache = tempfile::tempdir().unwrap();
    let platform = start(cache.path(), &[]).await;
    platform.done(&["tenants", "make", "acme", "--isolation", "own-process"]).await;
    // Another release of the same bytes has to be made for neither of them.
    for (count, tenant, host) in [(1, "default", "test.localhost"), (2, "acme", OWN)] {
        let mut bytes = Guest::bytes("rust-http");
        // A section of a name: other bytes.
        bytes.extend([0, 3, 1, b'n', count]);
        let first = numbered(1, "", "").file("guest.wasm", &bytes);
        let before = platform.in_full();
        platform.deploy(&first, &["--tenant", tenant]).await.with(0);
        assert_eq!(platform.prepared("test", tenant).await["baseline"], true);
        let load = Load::start_on(address(&platform), host);
        platform.optimised("test", tenant).await;
        platform.more_in_full(before).await;
        sleep(Duration::from_millis(300)).await;
        let (answers, failures) = load.stop().await;
        let first = failures.first();
        assert!(failures.is_empty(), "{} of {answers} failed: {first:?}", failures.len());
        assert!(answers > 0, "nobody asked");

        let next = numbered(2, "", "").file("guest.wasm", &bytes);
        platform.deploy(&next, &["--tenant", tenant]).await.with(0);
        let prepared = platform.prepared("test", tenant).await;
        assert_eq!(
            (&prepared["baseline"], &prepared["optimised_ms"]),
            (&false.into(), &Value::Null)
        );
        assert!(platform.get(host, "/env").await.text().contains("RELEASE=2\n"));
    }
    // Whoever did it was a worker.
    let said = platform.server.stderr().text();
    assert_eq!(said.matches("made code in full").count(), 2, "{said}");
    assert!(!said.contains("made missing code again"), "{said}");
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_dies_on_the_way_a_release_is_optimised() {
    let cache = tempfile::tempdir().unwrap();
    let platform = start(cache.path(), &[]).await;
    platform.deploy(&app("large", Guest::bytes("js-componentize")), &[]).await.with(0);
    let answers = || platform.get("large.localhost", "/");
    assert_eq!(answers().await.status, 200);
    let control = || child(platform.server.process(), "control").expect("it runs");
    let worker = async || {
        let since = Instant::now();
        loop {
            let mut children = control().children().into_iter();
            if let Some((worker, _)) = children.find(|(_, words)| words.contains(" prepare ")) {
                return worker;
            }
            assert!(since.elapsed() < PATIENCE, "nobody makes it");
            sleep(Duration::from_millis(10)).await;
        }
    };
    worker().await.kill();
    platform.server.stderr().containing("a worker failed, and another one tries").await;
    // The next one is at it, and ends with whoever started it.
    let next = worker().await;
    let former = control();
    former.kill();
    followed(platform.server.process(), "control", former).await;
    let since = Instant::now();
    let lives = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", next.id()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    while lives() {
        assert!(since.elapsed() < Duration::from_secs(5), "a worker goes on alone");
        sleep(Duration::from_millis(10)).await;
    }
    // So does a deploy that comes meanwhile, which waits for none of it.
    worker().await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    assert_eq!(platform.prepared("large", "default").await["optimised_ms"], Value::Null);
    assert_eq!(answers().await.status, 200);
    platform.optimised("large", "default").await;
    platform.optimised("test", "default").await;
    platform.more_in_full(0).await;
    assert_eq!(answers().await.status, 200);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_optimised_is_served_as_it_is() {
    let cache = tempfile::tempdir().unwrap();
    let platform = start(cache.path(), &["--worker-memory", "460MiB"]).await;
    platform.done(&["tenants", "make", "mallory"]).await;
    platform.deploy(&app("bomb", long_winded()), &["--tenant", "mallory"]).await.with(0);
    let answer = platform.get("bomb.mallory.localhost", "/").await;
    assert_ne!(answer.status, 503, "{}", answer.text());
    let said = platform.server.stderr();
    said.containing("missing code could not be made again").await;
    said.containing("stays with its baseline code for now").await;
    // It is not tried again and again, nor said: the node looks each ten seconds, the platform tries after an hour.
    sleep(Duration::from_secs(12)).await;
    assert_eq!(said.text().matches("missing code could not be made again").count(), 1);
    assert_eq!(platform.prepared("bomb", "mallory").await["optimised_ms"], Value::Null);
    let answer = platform.get("bomb.mallory.localhost", "/").await;
    assert_ne!(answer.status, 503, "{}", answer.text());
    // Nobody else waits for any of it.
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    platform.optimised("test", "default").await;
    platform.stop().await;
}
