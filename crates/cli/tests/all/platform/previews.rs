//! Previews: a release at an address of its own, beside what is live.

use std::time::{Duration, Instant};

use dayfly_testing::App;

use super::{Platform, numbered};

/// An app that keeps what is written into a folder.
fn keeping(number: u32) -> App {
    let files = "files = [{ source = \"data\", destination = \"/data\", writable = true }]";
    numbered(number, files, "[variables]\nkey = { default = \"none\" }").file("data/a", "a")
}

#[tokio::test]
async fn a_preview_is_beside_what_is_live() {
    let platform = Platform::start().await;
    platform.deploy(&keeping(1), &[]).await.with(0);
    platform.done(&["env", "test", "LEVEL=debug"]).await;
    let shown = platform.deploy(&keeping(2), &["--preview", "pr-12", "--expires", "2d"]).await;
    let port = platform.apps.base().rsplit_once(':').unwrap().1;
    assert_eq!(shown.with_stdout(0), format!("http://pr-12--test.localhost:{port}/\n"));
    let host = "pr-12--test.localhost";
    let env = || async { platform.get(host, "/env").await.text() };
    assert!(env().await.contains("RELEASE=2") && env().await.contains("LEVEL=debug"));
    assert_eq!(platform.release().await, "1");
    // It is told what the app is told, now and later.
    platform.done(&["env", "test", "LEVEL=info"]).await;
    let since = Instant::now();
    while !env().await.contains("LEVEL=info") {
        assert!(since.elapsed() < Duration::from_secs(30), "{}", env().await);
    }
    let said = platform.dayfly(&["env", "pr-12--test", "LEVEL=x"]).ends().await.with(1);
    assert!(said.contains("is a preview of another app"), "{said}");
    // What it keeps is its own.
    let headers = [("host", host)];
    let written = platform.apps.post_with("/write?path=/data/b", &headers, "b").await;
    assert_eq!(written.status, 200, "{}", written.text());
    assert_eq!(platform.get(host, "/list?path=/data").await.text(), "b\n");
    assert_eq!(platform.text("/list?path=/data").await, "");
    // Another release takes its place, and the app has it, too.
    platform.deploy(&keeping(3), &["--preview", "pr-12"]).await.with(0);
    assert!(env().await.contains("RELEASE=3"));
    assert_eq!(platform.get(host, "/list?path=/data").await.text(), "b\n");
    let listed = platform.json(&["previews", "test", "list"]).await;
    assert_eq!((&listed[0]["name"], listed.as_array().unwrap().len()), (&"pr-12".into(), 1));
    let apps = platform.json(&["apps"]).await;
    assert_eq!(apps.as_array().unwrap().len(), 1, "{apps}");
    let release = listed[0]["active"]["shares"][0]["release"].as_str().unwrap();
    let releases = platform.json(&["releases", "test"]).await;
    assert_eq!((releases[0]["id"].as_str(), &releases[0]["percent"]), (Some(release), &0.into()));
    platform.done(&["previews", "test", "remove", "pr-12"]).await;
    gone(&platform, host).await;
    assert_eq!(platform.release().await, "1");
    let said = platform.dayfly(&["previews", "test", "remove", "pr-12"]).ends().await.with(1);
    assert!(said.contains("no preview `pr-12`"), "{said}");
    platform.stop().await;
}

#[tokio::test]
async fn previews_are_bounded_in_time_and_in_number() {
    let platform = Platform::start().await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    let began = Instant::now();
    platform.deploy(&numbered(2, "", ""), &["--preview", "brief", "--expires", "5s"]).await.with(0);
    assert_eq!(platform.get("brief--test.localhost", "/").await.status, 200);
    gone(&platform, "brief--test.localhost").await;
    assert!(began.elapsed() >= Duration::from_secs(5));
    let audit = platform.json(&["audit"]).await.to_string();
    assert!(audit.contains("preview.make") && audit.contains("preview.expire"), "{audit}");
    // Each is one of the tenant's apps.
    platform.done(&["tenants", "change", "default", "--quota", "apps=2"]).await;
    platform.deploy(&numbered(2, "", ""), &["--preview", "one"]).await.with(0);
    let said = platform.deploy(&numbered(2, "", ""), &["--preview", "two"]).await.with(1);
    assert!(said.contains("2 of `apps`"), "{said}");
    // What it asks for beyond what is live has to be accepted.
    let more = numbered(3, "allowed_outbound_hosts = [\"https://b.example\"]", "");
    let said = platform.deploy(&more, &["--preview", "one"]).await.with(1);
    assert!(said.contains("to reach `https://b.example`"), "{said}");
    platform.deploy(&more, &["--preview", "one", "--accept"]).await.with(0);
    for bad in ["ab", "A-b", "a--b", "-abc", "abcdefghijklmnopqrstu"] {
        let words = format!("--preview={bad}");
        let said = platform.deploy(&numbered(2, "", ""), &[&words]).await.with(2);
        assert!(said.contains("no name of a preview"), "{bad}: {said}");
    }
    // With the app its previews go.
    platform.done(&["apps", "remove", "test", "--yes"]).await;
    gone(&platform, "one--test.localhost").await;
    platform.stop().await;
}

async fn gone(platform: &Platform, host: &str) {
    let since = Instant::now();
    while platform.get(host, "/").await.status != 404 {
        assert!(since.elapsed() < Duration::from_secs(30), "`{host}` is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
