//! Certificates by ACME, from Pebble: ordered when a host comes, renewed before they expire, and not asked
//! for again and again where that fails.

use std::time::{Duration, Instant};

use dayfly_testing::{Https, Pebble, free_port};
use rusqlite::Connection;

use super::certificates::{refused, shown};
use super::{Platform, numbered};
use crate::dayfly;

/// How long what is ordered may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long certificates live that are to be renewed.
const LIFETIME: Duration = Duration::from_secs(24);

/// A platform that orders at Pebble, whose certificates live so long.
async fn start(lifetime: Duration) -> (Platform, Pebble) {
    let port = free_port();
    let pebble = Pebble::start(port, lifetime).await;
    let dayfly = dayfly()
        .env("DAYFLY_LISTEN", format!("127.0.0.1:{port}"))
        .env("DAYFLY_TLS_LISTEN", "127.0.0.1:0")
        .env("DAYFLY_BASE_DOMAIN", "apps.example")
        .env("DAYFLY_ACME_DIRECTORY", pebble.directory())
        .env("DAYFLY_ACME_CONTACT", "operator@apps.example")
        .env("DAYFLY_ACME_CA", pebble.authority());
    (Platform::start_with(dayfly).await, pebble)
}

fn database(platform: &Platform) -> Connection {
    Connection::open(platform.server.state("platform.sqlite")).unwrap()
}

/// Adds a domain that is issued for, and waits until it has its certificate.
async fn added(platform: &Platform, tls: &str, host: &str) -> Https {
    platform.done(&["domains", "test", "add", host]).await;
    let since = Instant::now();
    loop {
        let listed = platform.json(&["domains", "test", "list"]).await;
        let domain = listed.as_array().unwrap().iter().find(|it| it["name"] == host).unwrap();
        if !domain["certificate"].is_null() {
            return shown(tls, host).await;
        }
        assert!(domain["order_error"].is_null(), "{domain}\n{}", platform.server.stderr().text());
        assert!(since.elapsed() < PATIENCE, "{domain}\n{}", platform.server.stderr().text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How many orders there were for a host.
fn orders(platform: &Platform, host: &str) -> u64 {
    let count = "SELECT count(*) FROM acme_orders WHERE host = ?1";
    database(platform).query_row(count, [host], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn hosts_get_certificates_and_new_ones_before_they_expire() {
    let (platform, _pebble) = start(LIFETIME).await;
    let tls = platform.tls().await;
    refused(&tls, "test.apps.example").await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    let mut own = shown(&tls, "test.apps.example").await;
    assert_eq!(own.get("test.apps.example", "/env").await.unwrap().0, 200);
    let mut domain = added(&platform, &tls, "www.shop.example").await;
    let listed = platform.done(&["domains", "test", "list"]).await;
    assert!(listed.contains("by ACME, until"), "{listed}");
    // Renewed while a third of the time is left, and connections go on.
    let (first, since) = (domain.certificate(), Instant::now());
    while shown(&tls, "www.shop.example").await.certificate() == first {
        assert!(since.elapsed() < LIFETIME, "it has expired");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(since.elapsed() > LIFETIME / 3, "it was renewed early");
    assert_eq!(domain.get("www.shop.example", "/env").await.unwrap().0, 200);
    assert_eq!(own.get("test.apps.example", "/env").await.unwrap().0, 200);
    // A path like a challenge's is the app's, where none is asked.
    let path = "/.well-known/acme-challenge/nothing";
    let answer = platform.get("test.apps.example", path).await;
    assert_eq!((answer.status, answer.text()), (404, format!("no such path: {path}\n")));
    // The account's key and those of the hosts are encrypted.
    let db = database(&platform);
    let account: Vec<u8> =
        db.query_row("SELECT account FROM acme_accounts", [], |row| row.get(0)).unwrap();
    let key: Vec<u8> =
        db.query_row("SELECT key FROM certificates LIMIT 1", [], |row| row.get(0)).unwrap();
    for (bytes, word) in [(account, "key_pkcs8"), (key, "PRIVATE KEY")] {
        assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
    }
    let left: u64 =
        db.query_row("SELECT count(*) FROM acme_challenges", [], |row| row.get(0)).unwrap();
    assert!(left <= 1, "{left} challenges are left");
    platform.done(&["domains", "test", "remove", "www.shop.example"]).await;
    refused(&tls, "www.shop.example").await;
    let ended = platform.server.stop().await;
    assert!(!ended.stderr.contains("PRIVATE KEY"));
}

#[tokio::test]
async fn what_fails_is_said_and_not_asked_again_at_once() {
    let (platform, _pebble) = start(Duration::from_secs(3600)).await;
    let tls = platform.tls().await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    platform.done(&["domains", "test", "add", Pebble::BLOCKED]).await;
    let since = Instant::now();
    let listed = loop {
        let listed = platform.done(&["domains", "test", "list"]).await;
        if listed.contains("ordering failed") {
            break listed;
        }
        assert!(since.elapsed() < PATIENCE, "nothing is said: {listed}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(listed.contains("blocked"), "{listed}");
    // The others have theirs meanwhile, and every change is a look.
    added(&platform, &tls, "www.shop.example").await;
    platform.done(&["env", "test", "A=1"]).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(orders(&platform, Pebble::BLOCKED), 1);
    assert_eq!(orders(&platform, "www.shop.example"), 1);
    refused(&tls, Pebble::BLOCKED).await;
    // What is added again waits as before.
    platform.done(&["domains", "test", "remove", Pebble::BLOCKED]).await;
    platform.done(&["domains", "test", "add", Pebble::BLOCKED]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(orders(&platform, Pebble::BLOCKED), 1);
    // A tenant that has had its share of the day has no more.
    let db = database(&platform);
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    for _ in 0..20 {
        let now = "INSERT INTO acme_orders (tenant, host, at_ms)
                   VALUES ('default', 'x.example', unixepoch() * 1000)";
        db.execute(now, []).unwrap();
    }
    platform.done(&["domains", "test", "add", "more.shop.example"]).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(orders(&platform, "more.shop.example"), 0);
    platform.stop().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_keeps_nothing_from_being_served() {
    let port = free_port();
    let dayfly = dayfly()
        .env("DAYFLY_TLS_LISTEN", "127.0.0.1:0")
        .env("DAYFLY_BASE_DOMAIN", "apps.example")
        .env("DAYFLY_ACME_DIRECTORY", format!("https://localhost:{port}/dir"));
    let platform = Platform::start_with(dayfly).await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    assert_eq!(platform.get("test.apps.example", "/env").await.status, 200);
    platform.server.stderr().containing("gives no account").await;
    assert_eq!(orders(&platform, "test.apps.example"), 0);
    platform.stop().await;
    let plain = super::dayfly().args(["serve", "--tls-listen", ":0"]);
    let plain = plain.args(["--acme-directory", "http://localhost/dir"]).ends().await.with(1);
    assert!(plain.contains("without encryption") && plain.contains("https://"), "{plain}");
    let deaf = super::dayfly().args(["serve", "--acme-directory", "https://localhost/dir"]);
    let deaf = deaf.ends().await.with(1);
    assert!(deaf.contains("nothing speaks TLS") && deaf.contains("--tls-listen"), "{deaf}");
}
