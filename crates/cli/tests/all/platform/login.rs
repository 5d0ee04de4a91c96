//! Tokens: tried, kept for the user alone, sent nowhere in the clear, and of no more use than their
//! scopes say.

use dayfly_testing::App;

use super::{Platform, is_private, numbered};

fn app() -> App {
    numbered(1, "", "")
}

#[tokio::test]
async fn a_token_is_tried_and_kept_for_the_user_alone() {
    let platform = Platform::start_logged_out().await;
    let said =
        platform.dayfly(&["apps"]).env("DAYFLY_PLATFORM", &platform.admin).ends().await.with(1);
    assert!(said.contains("there is no token") && said.contains("dayfly login"), "{said}");
    let login = ["login", &platform.admin, "--token-stdin"];
    let said = platform.dayfly(&login).input("dayfly_wrong").ends().await.with(1);
    assert!(said.contains("not valid") && !said.contains("dayfly_wrong"), "{said}");
    let file = platform.user.path().join(".config/dayfly/platforms.json");
    assert!(!file.exists());
    platform.dayfly(&login).input(&platform.token()).ends().await.with(0);
    assert!(is_private(&file), "{file:?}");
    assert_eq!(platform.json(&["apps"]).await.as_array().unwrap().len(), 0);
    platform.done(&["logout", &platform.admin]).await;
    assert!(!std::fs::read_to_string(&file).unwrap().contains("dayfly_"));
    let said = platform.dayfly(&["logout", &platform.admin]).ends().await.with(0);
    assert!(said.contains("there was no token"), "{said}");
    platform.dayfly(&["apps"]).ends().await.with(1);
    platform.stop().await;
}

#[tokio::test]
async fn no_token_goes_out_in_the_clear() {
    let user = tempfile::tempdir().unwrap();
    let dayfly = |words: &[&str]| crate::dayfly().env("HOME", user.path()).args(words);
    // A host that nobody has: it is not even looked up.
    let login = ["login", "http://platform.invalid:3001", "--token-stdin"];
    let said = dayfly(&login).input("dayfly_x").ends().await.with(1);
    assert!(said.contains("without encryption") && said.contains("https"), "{said}");
    let apps = dayfly(&["apps", "--platform", "http://192.0.2.1"]).env("DAYFLY_TOKEN", "dayfly_x");
    let said = apps.ends().await.with(1);
    assert!(said.contains("without encryption"), "{said}");
    for misuse in [
        &["login", "ghcr.io"][..],
        &["login", "ghcr.io", "--token-stdin"],
        &["login", "http://localhost:1", "-u", "me", "--password-stdin"],
        &["login", "ghcr.io", "-u", "me", "--token-stdin"],
        &["apps", "--tenant", "No Name"],
    ] {
        let said = dayfly(misuse).input("x").ends().await.with(2);
        assert!(said.contains("--help"), "{misuse:?}: {said}");
    }
    // Nobody is there; the port was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let said = dayfly(&["login", &format!("http://127.0.0.1:{port}"), "--token-stdin"]);
    let said = said.input("dayfly_x").ends().await.with(1);
    assert!(said.contains("no connection") && said.contains("dayfly serve"), "{said}");
}

#[tokio::test]
async fn a_scope_is_a_bound_and_so_is_a_tenant() {
    let platform = Platform::start().await;
    platform.deploy(&app(), &[]).await.with(0);
    let with = |token: &str, words: &[&str]| {
        let dayfly = platform.stranger(words).env("DAYFLY_PLATFORM", &platform.admin);
        dayfly.env("DAYFLY_TOKEN", token.trim())
    };
    let read = platform.done(&["tokens", "make", "reader", "--scope", "read"]).await;
    let deploy = platform.done(&["tokens", "make", "ci", "--expires", "90d"]).await;
    platform.done(&["tenants", "make", "acme", "--quota", "apps=1"]).await;
    let acme =
        platform.done(&["tokens", "make", "acme", "--tenant", "acme", "--scope", "admin"]).await;
    assert!(read.starts_with("dayfly_") && read.lines().count() == 1, "{read}");
    with(&read, &["apps"]).ends().await.with(0);
    let said = with(&read, &["deploy"]).arg(app().folder()).ends().await.with(1);
    assert!(said.contains("scope `deploy`") && said.contains("`read`"), "{said}");
    let folder = app();
    with(&deploy, &["deploy"]).arg(folder.folder()).ends().await.with(0);
    let said = with(&deploy, &["tokens", "make", "more", "--scope", "admin"]).ends().await.with(1);
    assert!(said.contains("scope `admin`"), "{said}");
    // Whose the token is, is whose apps are meant; others are not there.
    let url = with(&acme, &["deploy"]).arg(folder.folder()).ends().await.with_stdout(0);
    assert!(url.starts_with("http://test.acme.localhost:"), "{url}");
    assert_eq!(platform.get("test.acme.localhost", "/").await.text(), "hello world");
    with(&acme, &["releases", "test", "--tenant", "default"]).ends().await.with(1);
    let said = with(&acme, &["apps", "make", "second"]).ends().await.with(1);
    assert!(said.contains("`apps`"), "{said}");
    with(&acme, &["audit", "--all"]).ends().await.with(1);
    // The environment's platform and tenant count less than flags.
    let tenant = with(&platform.token(), &["apps", "--json"]).env("DAYFLY_TENANT", "acme");
    assert!(tenant.ends().await.with_stdout(0).contains("test.acme.localhost"));
    let tokens = platform.json(&["tokens"]).await;
    let find =
        |name: &str| tokens.as_array().unwrap().iter().find(|it| it["name"] == name).unwrap();
    assert!(find("ci")["expires_at"].is_string() && !tokens.to_string().contains(read.trim()));
    let id = find("reader")["id"].as_str().unwrap();
    platform.done(&["tokens", "revoke", id]).await;
    let said = with(&read, &["apps"]).ends().await.with(1);
    assert!(said.contains("not valid"), "{said}");
    platform.stop().await;
}
