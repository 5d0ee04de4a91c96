//! Credentials: tried, kept for the user alone, used, and forgotten.

use std::os::unix::fs::PermissionsExt as _;

use dayfly_testing::{App, Registry};
use serde_json::Value;

use super::{User, reference};

/// What `dayfly login` says, with this password.
async fn login(user: &User, registry: &Registry, password: &str, code: i32) -> String {
    let words = ["login", registry.host(), "-u", "tester", "--password-stdin"];
    user.dayfly().args(words).input(password).ends().await.with(code)
}

#[tokio::test]
async fn a_closed_registry_is_logged_in_to() {
    let (registry, user) = (Registry::start_closed().await, User::new());
    let (app, name) = (App::of("rust-hello"), reference(&registry, "hello:1"));
    let file = user.path("docker/config.json");
    let push = || user.dayfly().arg("push").arg(app.folder()).arg(&name).ends();
    let said = push().await.with(1);
    assert!(said.contains("wants credentials"), "{said}");
    let said = login(&user, &registry, "wrong\n", 1).await;
    assert!(said.contains("does not accept the user's credentials"), "{said}");
    assert!(!said.contains("wrong") && !file.exists(), "{said}");
    let said = login(&user, &registry, "secret\n", 0).await;
    assert!(said.contains("Logged in") && !said.contains("secret"), "{said}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(kept, serde_json::from_str::<Value>(&registry.docker_config()).unwrap());
    push().await.with(0);
    let server = user.up(&name).await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
    let said = user.dayfly().args(["logout", registry.host()]).ends().await.with(0);
    assert!(said.contains("Logged out"), "{said}");
    assert!(!std::fs::read_to_string(&file).unwrap().contains(registry.host()));
    push().await.with(1);
    let said = user.dayfly().args(["logout", registry.host()]).ends().await.with(0);
    assert!(said.contains("there were no credentials"), "{said}");
}

#[tokio::test]
async fn an_open_registry_cannot_try_credentials() {
    let (registry, user) = (Registry::start().await, User::new());
    let said = login(&user, &registry, "anything", 0).await;
    assert!(said.contains("asks nobody for credentials"), "{said}");
    let said = login(&user, &registry, "\n", 1).await;
    assert!(said.contains("there is no password on standard input"), "{said}");
    let without = ["login", registry.host(), "-u", "tester"];
    user.dayfly().args(without).ends().await.with(2);
}
