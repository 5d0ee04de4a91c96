//! What apps are told: variables, which everybody sees, and secrets, which only guests do.

use super::{Platform, numbered};

const SECRET: &str = "open-sesame-4711";

#[tokio::test]
async fn secrets_reach_the_guest_and_no_output() {
    let platform = Platform::start().await;
    let app = numbered(
        1,
        "variables = { token = \"{{ key }}\", greeting = \"{{ greeting }}\" }",
        "[variables]\nkey = { default = \"none\", secret = true }\ngreeting = { default = \"hello\" }",
    );
    let mut outputs = String::new();
    // Its default is not sent, so it lacks that.
    let said = platform.deploy(&app, &[]).await.with(1);
    assert!(said.contains("variable `key` is secret") && said.contains("dayfly secrets"), "{said}");
    outputs.push_str(&said);
    let set = platform.dayfly(&["secrets", "test", "set", "key"]).input(&format!("{SECRET}\n"));
    let set = set.ends().await;
    outputs.push_str(&format!("{set:?}"));
    assert!(set.with(0).contains("secret `key` of `test`"));
    assert_eq!(platform.text("/config/token").await, SECRET);
    platform.done(&["env", "test", "greeting=good morning", "LEVEL=debug"]).await;
    assert_eq!(platform.text("/config/greeting").await, "good morning");
    assert!(platform.text("/env").await.contains("LEVEL=debug"));
    // A secret that is no variable is in the environment.
    let set = platform.dayfly(&["secrets", "test", "set", "PASSWORD", "--json"]).input(SECRET);
    outputs.push_str(&set.ends().await.with_stdout(0));
    assert!(platform.text("/env").await.contains(&format!("PASSWORD={SECRET}")));
    let shown = platform.done(&["env", "test"]).await;
    assert!(shown.contains("good morning") && shown.contains("(secret)"), "{shown}");
    outputs.push_str(&shown);
    outputs.push_str(&platform.json(&["env", "test"]).await.to_string());
    outputs.push_str(&platform.done(&["secrets", "test", "list"]).await);
    outputs.push_str(&platform.json(&["secrets", "test", "list"]).await.to_string());
    outputs.push_str(&platform.json(&["audit"]).await.to_string());
    outputs.push_str(&platform.server.stderr().text());
    assert!(outputs.contains("PASSWORD") && !outputs.contains(SECRET), "{outputs}");
    platform.done(&["secrets", "test", "unset", "PASSWORD"]).await;
    // Without what it needs the app goes on as it was.
    let said = platform.dayfly(&["secrets", "test", "unset", "key"]).ends().await.with(1);
    assert!(said.contains("what was served before still is") && said.contains("`key`"), "{said}");
    assert_eq!(platform.text("/config/token").await, SECRET);
    platform.dayfly(&["secrets", "test", "set", "key"]).input("another").ends().await.with(0);
    platform.done(&["env", "test", "--unset", "LEVEL"]).await;
    let told = platform.text("/env").await;
    assert!(!told.contains("PASSWORD") && !told.contains("LEVEL"), "{told}");
    platform.stop().await;
}

#[tokio::test]
async fn a_value_is_not_an_argument_and_not_empty() {
    let platform = Platform::start().await;
    platform.done(&["apps", "make", "test"]).await;
    platform.dayfly(&["secrets", "test", "set", "KEY", SECRET]).ends().await.with(2);
    let said = platform.dayfly(&["secrets", "test", "set", "KEY"]).input("\n").ends().await.with(1);
    assert!(said.contains("there is no secret on standard input"), "{said}");
    platform.dayfly(&["env", "test", "no-value"]).ends().await.with(2);
    platform.dayfly(&["env", "test", "a-b=1"]).ends().await.with(2);
    let said = platform.dayfly(&["env", "typo", "A=1"]).ends().await.with(1);
    assert!(
        said.contains("failed to change variables of `typo`") && said.contains("hint"),
        "{said}"
    );
    // Before anything is deployed, too.
    platform.done(&["env", "test", "A=1"]).await;
    let shown = platform.json(&["env", "test"]).await;
    assert_eq!((&shown[0]["name"], &shown[0]["value"]), (&"A".into(), &"1".into()));
    platform.stop().await;
}
