//! A platform of apps that nobody asks for: what they take of its node, and that they answer all the same.

use std::time::{Duration, Instant};

use dayfly_model::platform::{AppId, ReleaseManifest, TenantId};
use dayfly_store::{Actor, Key, NewRelease, Offer, Serving, Store};
use dayfly_testing::Process;
use tokio::time::sleep;

use super::{Platform, numbered};

/// After so many apps, each of so many more takes so much at most of what is the process's own: about half of
/// that is measured, and four times as much where apps do not sleep.
const FEW: usize = 100;
const MORE: usize = 600;
const MOST_BYTES_EACH: u64 = 8 << 10;

/// `DAYFLY_TEST_IDLE_APPS` asks for more than every run can wait for.
fn more() -> usize {
    let asked = std::env::var("DAYFLY_TEST_IDLE_APPS").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(MORE)
}

/// How often the threads of a node may begin to wait in a second in which nothing happens; three are measured.
const MOST_WAITS: u64 = 15;

/// The process of a platform whose command line has these words.
fn child(platform: &Platform, words: &str) -> Process {
    let mut children = platform.server.process().children().into_iter();
    children.find(|(_, line)| line.contains(words)).expect(words).0
}

fn node(platform: &Platform) -> Process {
    child(platform, "--role node")
}

/// Apps with the release that app `test` has, as if each had been deployed.
struct Copies {
    store: Store,
    tenant: TenantId,
    by: Actor,
}

impl Copies {
    fn of(platform: &Platform) -> Self {
        let key = std::fs::read_to_string(platform.state.join("secrets.key")).unwrap();
        let store = Store::open(&platform.state, Key::parse(key.trim()).unwrap()).unwrap();
        let by = Actor { token: None, name: Some("tests".to_owned()), source: None };
        Self { store, tenant: "default".parse().unwrap(), by }
    }

    fn app(&self, name: &str) -> AppId {
        AppId { tenant: self.tenant.clone(), app: name.parse().unwrap() }
    }

    fn make(&self, numbers: std::ops::Range<usize>) {
        let Self { store, by, .. } = self;
        let origin = store.app(&self.app("test")).unwrap().active.shares.remove(0).release;
        let release = store.release(&self.app("test"), &origin).unwrap();
        let text = store.manifest(&origin).unwrap();
        let manifest = ReleaseManifest::parse(&text).unwrap();
        let new = NewRelease {
            id: &origin,
            text: &text,
            manifest: &manifest,
            version: &release.version,
            grants: &release.grants,
            prepared: &release.prepared,
        };
        for number in numbers {
            let id = self.app(&format!("a{number}"));
            store.make_app(by, &id).unwrap();
            store.make_release(by, &id, &new).unwrap();
            let offer = Offer { release: &origin, accept: true, health_path: None };
            store.activate(by, &id, &offer, 100, None).unwrap();
        }
    }

    /// Waits until the node has said of each that it is served.
    async fn served(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        let is_served = |app: dayfly_store::App| app.active.serving == Serving::Yes;
        while !self.store.apps(&self.tenant, None, 10_000).unwrap().into_iter().all(is_served) {
            assert!(Instant::now() < until, "not all are served");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn an_app_that_nobody_asks_for_takes_little_and_wakes_nobody() {
    let platform = Platform::start().await;
    let all = FEW + more();
    let quota = format!("apps={}", all + 1);
    platform.done(&["tenants", "change", "default", "--quota", &quota]).await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    let copies = Copies::of(&platform);
    copies.make(0..FEW);
    copies.served().await;
    let few = node(&platform).own_bytes();
    copies.make(FEW..all);
    copies.served().await;
    let each = node(&platform).own_bytes().saturating_sub(few) / more() as u64;
    eprintln!("{each} bytes an app");
    assert!(each < MOST_BYTES_EACH, "an app takes {each} bytes");

    let (before, began) = (node(&platform).waits(), Instant::now());
    sleep(Duration::from_secs(4)).await;
    let each = (node(&platform).waits() - before) / began.elapsed().as_secs();
    eprintln!("{each} waits a second");
    assert!(each < MOST_WAITS, "an idle node's threads begin to wait {each} times a second");

    for name in ["a0", "a99", "a699", "test"] {
        let answer = platform.get(&format!("{name}.localhost"), "/env").await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
    platform.stop().await;
}

#[tokio::test]
async fn an_app_wakes_though_its_control_plane_and_its_database_do_not_answer() {
    let platform = Platform::start().await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    let control = child(&platform, "--role control");
    control.halt();
    let database = rusqlite::Connection::open(platform.state.join("platform.sqlite")).unwrap();
    database.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let began = Instant::now();
    assert_eq!(platform.release().await, "1");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    database.execute_batch("ROLLBACK").unwrap();
    control.go_on();
    platform.stop().await;
}
