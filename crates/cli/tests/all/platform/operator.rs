//! What operators do: tenants, domains, the log of changes, copies.

use dayfly_testing::Client;

use super::{Platform, numbered};
use crate::dayfly;

#[tokio::test]
async fn tenants_and_domains_come_and_go() {
    let platform = Platform::start().await;
    platform.done(&["tenants", "make", "acme", "--quota", "storage_bytes=1GiB"]).await;
    let said = platform.dayfly(&["tenants", "make", "acme"]).ends().await.with(1);
    assert!(said.contains("failed to make tenant `acme`"), "{said}");
    let said =
        platform.dayfly(&["tenants", "change", "acme", "--quota", "appz=1"]).ends().await.with(1);
    assert!(said.contains("`appz`") && said.contains("storage_bytes"), "{said}");
    platform.done(&["tenants", "change", "acme", "--quota", "apps=2", "--grants", "accept"]).await;
    let tenant = platform.json(&["tenants", "show", "acme"]).await;
    assert_eq!((&tenant["quotas"]["apps"], &tenant["grants"]), (&2.into(), &"accept".into()));
    assert_eq!(tenant["quotas"]["storage_bytes"], 1 << 30);
    let shown = platform.done(&["tenants", "show", "acme"]).await;
    assert!(shown.contains("1.00 GiB"), "{shown}");
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    platform.done(&["domains", "test", "add", "www.example.com"]).await;
    assert!(platform.done(&["domains", "test", "list"]).await.contains("www.example.com"));
    let mut answer = platform.get("www.example.com", "/").await;
    for _ in 0..100 {
        if answer.status == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        answer = platform.get("www.example.com", "/").await;
    }
    assert_eq!(answer.text(), "hello world");
    platform.done(&["domains", "test", "remove", "www.example.com"]).await;
    platform.done(&["tenants", "remove", "acme"]).await;
    let audit = platform.json(&["audit", "--all", "--most", "100"]).await;
    let actions: Vec<_> =
        audit.as_array().unwrap().iter().map(|it| it["action"].to_string()).collect();
    assert!(actions.iter().any(|it| it.contains("app.activate")), "{actions:?}");
    assert!(actions.len() > 5 && audit[0]["from"] == "127.0.0.1", "{audit}");
    assert!(platform.done(&["audit", "--most", "3"]).await.lines().count() == 4);
    platform.stop().await;
}

#[tokio::test]
async fn a_copy_of_a_running_platform_serves_what_it_served() {
    let platform = Platform::start().await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    let folder = tempfile::tempdir().unwrap();
    let (copy, state) = (folder.path().join("copy"), folder.path().join("state"));
    let backup = platform.dayfly(&["backup"]).env("DAYFLY_STATE_DIR", platform.server.state("."));
    backup.arg(&copy).ends().await.with(0);
    let again = platform.dayfly(&["backup"]).env("DAYFLY_STATE_DIR", platform.server.state("."));
    let said = again.arg(&copy).ends().await.with(1);
    assert!(said.contains("failed to back up"), "{said}");
    let nothing = platform.dayfly(&["backup"]).env("DAYFLY_STATE_DIR", folder.path().join("none"));
    let said = nothing.arg(folder.path().join("other")).ends().await.with(1);
    assert!(said.contains("there is no platform") && said.contains("--state-dir"), "{said}");
    assert!(!folder.path().join("none").exists());
    // What comes after is not in it.
    platform.deploy(&numbered(2, "", ""), &[]).await.with(0);
    let restore = platform.dayfly(&["restore"]).arg(&copy).arg("--state-dir").arg(&state);
    restore.ends().await.with(0);
    let key = platform.server.state("secrets.key");
    let second = dayfly().arg("serve").arg("--state-dir").arg(&state);
    let second = second.arg("--secrets-key-file").arg(&key).args(["--admin-listen", "127.0.0.1:0"]);
    let second = second.serve().await;
    let line = second.stdout().containing("Apps").await;
    let apps = Client::http1(line.split_whitespace().last().unwrap());
    let answer = apps.get_with("/env", &[("host", "test.localhost")]).await;
    assert!(answer.text().contains("RELEASE=1"), "{}", answer.text());
    second.stop().await;
    assert_eq!(platform.release().await, "2");
    platform.stop().await;
}
