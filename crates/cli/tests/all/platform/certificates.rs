//! Certificates: of files, and those that tenants upload; whoever names a host by TLS is shown that host's.

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use dayfly_testing::{Certificate, Https};

use super::{Platform, numbered};
use crate::dayfly;

/// How long something that changes may take to be there.
const PATIENCE: Duration = Duration::from_secs(30);

/// A platform whose apps are below `apps.example`, with a certificate of files for those of tenant
/// `default`.
async fn start(base: &Certificate) -> Platform {
    let dayfly = dayfly()
        .env("DAYFLY_BASE_DOMAIN", "apps.example")
        .env("DAYFLY_TLS_LISTEN", "127.0.0.1:0")
        .env("DAYFLY_TLS_CERT", base.chain())
        .env("DAYFLY_TLS_KEY", base.key());
    Platform::start_with(dayfly).await
}

/// A connection that is shown the certificate of a host, once there is one.
pub(super) async fn shown(authority: &str, host: &str) -> Https {
    let since = Instant::now();
    loop {
        match Https::connect(authority, host).await {
            Ok(connection) if connection.is_for(host) => return connection,
            _ => {}
        }
        assert!(since.elapsed() < PATIENCE, "`{host}` has no certificate");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What whoever names a host is told that has no certificate.
pub(super) async fn refused(authority: &str, host: &str) {
    let since = Instant::now();
    loop {
        match Https::connect(authority, host).await {
            Err(error) => {
                let is_alert = error.to_string().contains("AccessDenied");
                assert!(error.kind() == ErrorKind::InvalidData && is_alert, "{error}");
                return;
            }
            Ok(_) => assert!(since.elapsed() < PATIENCE, "`{host}` has a certificate still"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn upload(platform: &Platform, domain: &str, chain: &Path, key: &Path) -> (i32, String) {
    let words = ["domains", "test", "certificate", domain, "--cert"];
    let ended = platform.dayfly(&words).arg(chain).arg("--key").arg(key).ends().await;
    (ended.code.unwrap(), ended.stderr)
}

#[tokio::test]
async fn whoever_names_a_host_is_shown_its_certificate() {
    let base = Certificate::of(&["*.apps.example"]);
    let platform = start(&base).await;
    let tls = platform.tls().await;
    let deployed = platform.deploy(&numbered(1, "", ""), &[]).await.with_stdout(0);
    let port = tls.rsplit_once(':').unwrap().1;
    assert_eq!(deployed, format!("https://test.apps.example:{port}/\n"));
    let mut own = shown(&tls, "test.apps.example").await;
    assert_eq!(own.get("test.apps.example", "/env").await.unwrap().0, 200);
    // In the clear it is served as well, where `--listen` says.
    assert_eq!(platform.get("test.apps.example", "/env").await.status, 200);
    // Who names no host is shown the operator's.
    assert!(Https::connect(&tls, "127.0.0.1").await.unwrap().is_for("x.apps.example"));
    for host in ["www.shop.example", "example", "a.b.apps.example", "apps.example"] {
        refused(&tls, host).await;
    }
    platform.done(&["domains", "test", "add", "www.shop.example"]).await;
    refused(&tls, "www.shop.example").await;
    let first = Certificate::of(&["www.shop.example"]);
    let (code, said) = upload(&platform, "www.shop.example", &first.chain(), &first.key()).await;
    assert!(code == 0 && said.contains("Uploaded"), "{said}");
    let mut before = shown(&tls, "www.shop.example").await;
    assert_eq!(before.get("www.shop.example", "/env").await.unwrap().0, 200);
    // A connection is one host's, whatever it asks for.
    assert_eq!(before.get("test.apps.example", "/env").await.unwrap().0, 421);
    assert_eq!(own.get("www.shop.example", "/env").await.unwrap().0, 421);
    // Another one takes its place, and no connection ends by that.
    let second = Certificate::of(&["www.shop.example"]);
    upload(&platform, "www.shop.example", &second.chain(), &second.key()).await;
    let since = Instant::now();
    while shown(&tls, "www.shop.example").await.certificate() == before.certificate() {
        assert!(since.elapsed() < PATIENCE, "the former one stays");
    }
    assert_eq!(before.get("www.shop.example", "/env").await.unwrap().0, 200);
    assert_eq!(own.get("test.apps.example", "/env").await.unwrap().0, 200);
    let listed = platform.done(&["domains", "test", "list"]).await;
    assert!(listed.contains("uploaded, until 4096-01-01"), "{listed}");
    platform.done(&["domains", "test", "certificate", "www.shop.example", "--remove"]).await;
    refused(&tls, "www.shop.example").await;
    // The files are read again when they change.
    let next = Certificate::of(&["*.apps.example", "apps.example"]);
    std::fs::copy(next.chain(), base.chain()).unwrap();
    std::fs::copy(next.key(), base.key()).unwrap();
    shown(&tls, "apps.example").await;
    platform.stop().await;
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_and_keys_are_nobodys() {
    let base = Certificate::of(&["*.apps.example"]);
    let platform = start(&base).await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    platform.done(&["domains", "test", "add", "www.shop.example"]).await;
    let good = Certificate::of(&["*.shop.example"]);
    let other = Certificate::of(&["www.other.example"]);
    for (domain, chain, key, expected) in [
        ("www.shop.example", good.chain(), other.key(), "the key does not belong"),
        ("www.shop.example", other.chain(), other.key(), "is not for `www.shop.example`"),
        ("www.shop.example", good.key(), good.key(), "BEGIN CERTIFICATE"),
        ("www.shop.example", good.chain(), good.chain(), "BEGIN PRIVATE KEY"),
        ("www.other.example", other.chain(), other.key(), "no domain `www.other.example`"),
    ] {
        let (code, said) = upload(&platform, domain, &chain, &key).await;
        assert!(code == 1 && said.contains(expected), "{expected}: {said}");
    }
    let (code, said) = upload(&platform, "www.shop.example", &good.chain(), &good.key()).await;
    assert_eq!(code, 0, "{said}");
    shown(&platform.tls().await, "www.shop.example").await;
    // Another domain of the same certificate is another domain.
    refused(&platform.tls().await, "a.shop.example").await;
    let copy = tempfile::tempdir().unwrap();
    let to = copy.path().join("copy");
    let state = platform.server.state("");
    let backup = dayfly().env("DAYFLY_STATE_DIR", &state).arg("backup").arg(&to).ends().await;
    backup.with(0);
    let pem = std::fs::read_to_string(good.key()).unwrap();
    let line = pem.lines().nth(1).unwrap().to_owned();
    let told = platform.json(&["audit"]).await.to_string();
    assert!(told.contains("certificate.upload") && !told.contains(&line), "{told}");
    let listed = platform.json(&["domains", "test", "list"]).await;
    assert_eq!(listed[0]["certificate"]["source"], "upload");
    assert!(!listed.to_string().contains(&line));
    let mut files = 0;
    for folder in [state.as_path(), &to] {
        for entry in std::fs::read_dir(folder).unwrap().flatten().filter(|it| it.path().is_file()) {
            let bytes = std::fs::read(entry.path()).unwrap();
            let found = bytes.windows(line.len()).any(|window| window == line.as_bytes());
            assert!(!found, "{}", entry.path().display());
            files += 1;
        }
    }
    assert!(files >= 3, "{files}");
    let ended = platform.server.stop().await;
    assert!(!ended.stderr.contains(&line) && !ended.stdout.contains(&line));
}
