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
async fn a_tenant_adds_the_domains_that_it_was_given() {
    let platform = Platform::start().await;
    platform.done(&["tenants", "make", "acme", "--domain", "*.acme.example"]).await;
    platform.done(&["tenants", "make", "other"]).await;
    for tenant in ["acme", "other"] {
        platform.deploy(&numbered(1, "", ""), &["--tenant", tenant]).await.with(0);
    }
    let words = |tenant| ["tokens", "make", "ops", "--tenant", tenant, "--scope", "admin"];
    let acme = platform.done(&words("acme")).await;
    let other = platform.done(&words("other")).await;
    let add = async |token: &str, domain: &str| {
        let words = ["domains", "test", "add", domain];
        let add = platform.stranger(&words).env("DAYFLY_PLATFORM", &platform.admin);
        add.env("DAYFLY_TOKEN", token.trim()).ends().await
    };
    // Before its owner comes, nobody else has it.
    let said = add(&other, "www.acme.example").await.with(1);
    for words in [
        "`other` was not given the domain `www.acme.example`",
        "it was given none",
        "dayfly tenants change other --domain www.acme.example",
    ] {
        assert!(said.contains(words), "{said}");
    }
    add(&acme, "www.acme.example").await.with(0);
    add(&acme, "www.shop.example").await.with(1);
    let change = ["tenants", "change", "acme", "--domain", "www.shop.example"];
    platform.done(&[&change[..], &["--no-domain", "*.acme.example"]].concat()).await;
    add(&acme, "www.shop.example").await.with(0);
    add(&acme, "new.acme.example").await.with(1);
    let shown = platform.json(&["tenants", "show", "acme"]).await;
    assert_eq!(shown["domains"], serde_json::json!(["www.shop.example"]));
    // What it has stays.
    let used = &shown["used"];
    assert_eq!(
        (&used["domains"], &used["apps"], &used["tokens"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert!(used["package_bytes"].as_u64().unwrap() > 10_000, "{used}");
    let table = platform.done(&["tenants", "show", "acme"]).await;
    assert!(table.contains("domains  www.shop.example"), "{table}");
    let row = table.lines().find(|line| line.starts_with("domains ") && line.ends_with("100"));
    assert_eq!(row.unwrap().split_whitespace().collect::<Vec<_>>(), ["domains", "2", "100"]);
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
