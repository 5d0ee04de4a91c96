//! `dayfly componentize` and `dayfly compose`: phases as commands.

use std::path::Path;

use serde_json::Value;

use super::{complained, guest, printed};

fn file(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

#[tokio::test]
async fn a_core_module_becomes_a_component_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    // It says its name, which is its file's.
    let to = file(folder.path(), "c-command.wasm");
    let from = guest("c-command");
    let facts = printed(&["componentize", &from, "-o", &to, "--json"], 0).await;
    let facts: Value = serde_json::from_str(&facts).unwrap();
    assert_eq!(facts["changed"], true);
    let bytes = std::fs::read(&to).unwrap();
    assert_eq!(bytes[4..8], [0x0d, 0, 1, 0]);
    assert_eq!(printed(&["run", &to], 0).await, printed(&["run", &from], 0).await);
    let again = file(folder.path(), "again.wasm");
    let told = complained(&["componentize", &to, "-o", &again], 0).await;
    assert!(told.contains("Copied"), "{told}");
    assert!(std::fs::read(&again).unwrap() == bytes);
}

#[tokio::test]
async fn an_entry_point_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let to = file(folder.path(), "out.wasm");
    let words = ["componentize", &guest("c-command"), "-o", &to, "--entrypoint", "begin"];
    let told = complained(&words, 1).await;
    assert!(told.contains("entry point `begin`") && told.contains("hint:"), "{told}");
    assert!(!Path::new(&to).exists());
}

#[tokio::test]
async fn middleware_stands_before_a_handler() {
    let folder = tempfile::tempdir().unwrap();
    let to = file(folder.path(), "out.wasm");
    let words = [
        "compose",
        &guest("rust-p3-echo"),
        "--middleware",
        &guest("rust-middleware"),
        "-o",
        &to,
        "--json",
    ];
    let facts: Value = serde_json::from_str(&printed(&words, 0).await).unwrap();
    assert_eq!(facts["parts"], 1);
    let checked = printed(&["check", &to, "--json"], 0).await;
    let checked: Value = serde_json::from_str(&checked).unwrap();
    assert!(checked["components"][0]["shape"].as_str().unwrap().contains("wasi:http/handler"));
}

#[tokio::test]
async fn what_satisfies_no_import_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let to = file(folder.path(), "out.wasm");
    let dependency = format!("acme:nothing={}", guest("rust-library"));
    let words = ["compose", &guest("rust-hello"), "--dependency", &dependency, "-o", &to];
    let told = complained(&words, 1).await;
    assert!(told.contains("satisfies no import"), "{told}");
    assert!(!Path::new(&to).exists());
}
