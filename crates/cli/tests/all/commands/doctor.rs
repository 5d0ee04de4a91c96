//! `dayfly doctor`: facts that every machine has, and what becomes of a bad one.

use dayfly_testing::App;
use serde_json::Value;

use super::{command, printed};

#[tokio::test]
async fn it_measures_and_finds_a_machine_that_runs_the_tests_good_enough() {
    let facts: Value = serde_json::from_str(&printed(&["doctor", "--json"], 0).await).unwrap();
    assert_eq!(facts["ok"], true);
    let fact = |name: &str| {
        let facts = facts["facts"].as_array().unwrap();
        let fact = facts.iter().find(|fact| fact["name"] == name);
        fact.unwrap_or_else(|| panic!("no fact `{name}` in {facts:#?}")).clone()
    };
    assert_eq!(fact("wasmtime")["value"].as_str().unwrap().split('.').next(), Some("48"));
    assert_eq!(fact("engine modes")["value"], "auto, jit, aot, baseline, interpreter");
    assert_eq!(fact("artifact cache")["health"], "ok");
    #[cfg(target_os = "linux")]
    for layer in ["Landlock (ABI ", "no capabilities", "seccomp"] {
        assert!(fact("hardening")["value"].as_str().unwrap().contains(layer), "{layer}");
    }
    for measured in ["compile", "load", "fresh instance"] {
        assert_eq!(fact(measured)["health"], "ok");
    }
    for fact in facts["facts"].as_array().unwrap() {
        assert!(fact["health"] == "ok" || fact["hint"].is_string(), "{fact}");
    }
}

#[tokio::test]
async fn people_get_a_line_a_fact() {
    let out = printed(&["doctor"], 0).await;
    assert!(out.lines().any(|line| line.starts_with("ok    wasmtime")), "{out}");
    assert!(!out.contains('\u{1b}'), "colours are for terminals: {out}");
}

#[tokio::test]
async fn a_cache_that_cannot_be_used_is_a_warning_with_a_hint() {
    let ended = command(&["doctor"]).env("DAYFLY_CACHE_DIR", "/proc/no-such-folder").ends().await;
    let line = ended.stdout.lines().position(|line| line.starts_with("warn  artifact cache"));
    let line = line.unwrap_or_else(|| panic!("no warning: {ended:#?}"));
    assert!(ended.stdout.lines().nth(line + 1).unwrap().contains("compiles again"));
    ended.with(0);
}

/// The facts about the programs that build the app of a folder, on a machine that has none.
async fn examined(folder: &std::path::Path, status: i32) -> Vec<Value> {
    let none = tempfile::tempdir().unwrap();
    let ended = command(&["doctor", "--json"]).env("PATH", none.path()).within(folder).ends().await;
    assert_eq!(ended.code, Some(status), "{ended:#?}");
    let facts: Value = serde_json::from_str(&ended.stdout).unwrap();
    let all = facts["facts"].as_array().unwrap().iter();
    all.filter(|fact| fact["value"] == "missing").cloned().collect()
}

#[tokio::test]
async fn what_builds_the_app_at_hand_has_to_be_there() {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"shop\"\n\
         [[trigger.http]]\nroute = \"/\"\ncomponent = \"a\"\n\
         [component.a]\nsource = \"a.wasm\"\n\
         [component.a.build]\ncommand = [\"cargo build --target wasm32-wasip2\", \"own-tool a\"]\n",
    );
    let missing = examined(app.folder(), 1).await;
    let names: Vec<&str> = missing.iter().map(|fact| fact["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cargo", "own-tool", "wasm32-wasip2"]);
    assert!(missing.iter().all(|fact| fact["health"] == "fail"), "{missing:#?}");
    assert_eq!(missing[2]["install"], "rustup target add wasm32-wasip2");
    let said = command(&["up"]).within(app.folder()).ends().await.with(1);
    assert!(said.contains("`dayfly doctor` says what is missing"), "{said}");
}

#[tokio::test]
async fn without_an_app_all_languages_are_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let missing = examined(folder.path(), 0).await;
    assert!(missing.len() > 10, "{missing:#?}");
    for fact in missing {
        assert!(fact["health"] == "missing" && fact["install"].is_string(), "{fact}");
    }
}
