//! Code that is missing where it is served: workers make it, and nobody else.

use std::path::Path;
use std::time::{Duration, Instant};

use dayfly_testing::{Answer, App, Client, Dayfly, Process};
use tokio::time::{sleep, timeout};

use super::bombs::{ask_on, long_winded, processes};
use super::handover::{child, followed};
use super::{Addresses, Platform, numbered};
use crate::dayfly;

/// How long a worker may take that finds the machine busy.
const PATIENCE: Duration = Duration::from_secs(60);

const OWN: &str = "test.acme.localhost";

impl Platform {
    fn child(&self, role: &str) -> Process {
        child(self.server.process(), role).expect("it runs")
    }

    /// Empties the folder of compiled code, and ends the processes that had it open.
    async fn lose_code(&self, cache: &Path) {
        empty(cache);
        for role in ["node", "own"] {
            let former = self.child(role);
            former.kill();
            followed(self.server.process(), role, former).await;
        }
    }

    /// What a host answers once its process is there and its code is made.
    async fn made(&self, host: &str) -> Answer {
        let since = Instant::now();
        loop {
            let answer = timeout(PATIENCE, self.get(host, "/env")).await.expect("an answer");
            if answer.status == 200 || since.elapsed() > PATIENCE {
                return answer;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A command line that shares no compiled code with other tests.
fn compiling_into(cache: &Path) -> Dayfly {
    dayfly().env("DAYFLY_CACHE_DIR", cache)
}

fn empty(folder: &Path) {
    for entry in folder.read_dir().unwrap() {
        std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_is_gone_is_made_again_by_workers_alone() {
    let (metrics, cache) = (Addresses::free().apps, tempfile::tempdir().unwrap());
    let command = compiling_into(cache.path()).env("DAYFLY_METRICS_LISTEN", &metrics);
    let platform = Platform::start_with(command.env("DAYFLY_LOG", "info")).await;
    platform.done(&["tenants", "make", "acme", "--isolation", "own-process"]).await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    platform.deploy(&numbered(2, "", ""), &["--tenant", "acme"]).await.with(0);
    assert!(platform.made("test.localhost").await.text().contains("RELEASE=1\n"));
    assert!(platform.made(OWN).await.text().contains("RELEASE=2\n"));
    // Neither was anything to be made again, because the deploys' workers had left it.
    let again = || platform.server.stderr().text().matches("made missing code again").count();
    assert_eq!(again(), 0);

    platform.lose_code(cache.path()).await;
    // As many as come at once wait for the same worker.
    let ask = || platform.made("test.localhost");
    let (first, second, third, own) = tokio::join!(ask(), ask(), ask(), platform.made(OWN));
    for answer in [first, second, third] {
        assert!(answer.text().contains("RELEASE=1\n"), "{} {}", answer.status, answer.text());
    }
    assert!(own.text().contains("RELEASE=2\n"), "{} {}", own.status, own.text());
    assert_eq!(again(), 2, "{}", platform.server.stderr().text());

    // While there is no control plane, what is missing waits for it, and what is there is served.
    platform.lose_code(cache.path()).await;
    let control = platform.child("control");
    assert!(platform.made("test.localhost").await.status == 200);
    control.halt();
    let waits = tokio::spawn({
        let apps = platform.apps.clone();
        async move { apps.get_with("/env", &[("host", OWN)]).await }
    });
    sleep(Duration::from_secs(2)).await;
    assert_eq!(platform.release().await, "1");
    assert!(!waits.is_finished(), "nobody could have made it");
    control.go_on();
    let answer = timeout(PATIENCE, waits).await.unwrap().unwrap();
    assert!(answer.text().contains("RELEASE=2\n"), "{} {}", answer.status, answer.text());

    // Whoever serves has compiled nothing.
    let page = Client::http1(&format!("http://{metrics}")).text("/metrics").await;
    let loads = |origin: &str| {
        let is_such = |line: &&str| line.contains("_count{") && line.contains(origin);
        let counts = page.lines().filter(is_such).filter_map(|line| line.rsplit_once(' '));
        counts.map(|(_, count)| count.parse::<u64>().unwrap()).sum::<u64>()
    };
    assert_eq!((loads("\"cached\""), loads("\"compiled\"")), (2, 0), "{page}");
    platform.stop().await;
}

/// A platform in this folder, at these addresses, whose workers have so much memory and compile in this mode.
async fn start(state: &Path, addresses: &Addresses, [memory, engine]: [&str; 2]) -> Platform {
    let command = compiling_into(&state.join("cache")).env("DAYFLY_STATE_DIR", state);
    let command = command
        .env("DAYFLY_WORKER_MEMORY", memory)
        .env("DAYFLY_ENGINE", engine)
        .env("DAYFLY_LOG", "info,dayfly_host=debug");
    let platform = Platform::serve(addresses.of(command)).await;
    Platform { state: state.to_owned(), ..platform }.logged_in().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_cannot_be_made_again_hurts_whose_it_is() {
    let (folder, addresses) = (tempfile::tempdir().unwrap(), Addresses::free());
    let state = folder.path().join("state");
    let platform = start(&state, &addresses, ["4GiB", "aot"]).await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    platform.done(&["tenants", "make", "mallory"]).await;
    let bomb = App::new(
        "dayfly = 1\n[application]\nname = \"bomb\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest.wasm\"\n",
    );
    let bomb = bomb.file("guest.wasm", long_winded());
    platform.deploy(&bomb, &["--tenant", "mallory"]).await.with(0);
    platform.deploy(&numbered(2, "", ""), &["--tenant", "mallory"]).await.with(0);
    platform.stop().await;

    // Its workers have less now than that takes, and all has to be made again.
    empty(&state.join("cache"));
    let platform = start(&state, &addresses, ["350MiB", "aot"]).await;
    let processes = processes(&platform);
    assert!(platform.made("test.localhost").await.text().contains("RELEASE=1\n"));
    let quiet = tokio::spawn(ask_on(platform.apps.clone()));
    let since = Instant::now();
    let answer = loop {
        // Whoever does not wait until that turns out is told that it is busy.
        let answer = platform.get("bomb.mallory.localhost", "/").await;
        assert_eq!(answer.status, 503, "{}", answer.text());
        if answer.text().contains("the handler is not available") || since.elapsed() > PATIENCE {
            break answer;
        }
    };
    assert!(answer.text().contains("the handler is not available"), "{}", answer.text());
    assert_eq!(answer.header("retry-after"), "10");
    let said = platform.server.stderr();
    said.containing("missing code could not be made again").await;
    said.containing(
        "could not make its code again: preparing and compiling it takes more than 350",
    )
    .await;
    // The tenant's next one is made all the same.
    assert!(platform.made("test.mallory.localhost").await.text().contains("RELEASE=2\n"));
    quiet.abort();
    if let Err(error) = quiet.await {
        assert!(error.is_cancelled(), "an app that is another's was not served: {error}");
    }
    assert_eq!(super::bombs::processes(&platform), processes, "one died");
    platform.stop().await;

    // With as much as it takes it is made at once, and first what answers soonest.
    empty(&state.join("cache"));
    let platform = start(&state, &addresses, ["4GiB", "auto"]).await;
    let answer = platform.get("bomb.mallory.localhost", "/").await;
    assert_ne!(answer.status, 503, "{}", answer.text());
    // In full it is served then: at once, where it was made before the node looked again.
    let in_full =
        |line: &str| line.contains("compiled in full") || line.contains("stands_in=false");
    platform.server.stderr().find("code in full", in_full).await;
    platform.stop().await;
}

#[tokio::test]
async fn a_platform_keeps_the_code_that_it_serves() {
    let said = dayfly().args(["serve", "--engine", "jit"]).ends().await.with(1);
    assert!(said.contains("`--engine jit` keeps no code") && said.contains("`aot`"), "{said}");
}

#[tokio::test]
async fn a_control_plane_that_nobody_asks_sleeps() {
    const SECONDS: u64 = 5;
    let platform = Platform::start().await;
    let control = platform.child("control");
    // What it does as it begins is over.
    sleep(Duration::from_secs(2)).await;
    let before = control.waits();
    sleep(Duration::from_secs(SECONDS)).await;
    let woken = control.waits().saturating_sub(before);
    eprintln!("it was woken {woken} times in {SECONDS} seconds");
    assert!(woken < SECONDS * 3, "it was woken {woken} times in {SECONDS} seconds");
    platform.stop().await;
}
