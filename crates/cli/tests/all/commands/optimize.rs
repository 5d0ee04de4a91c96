//! `dayfly optimize`, and components that `up` optimises.

use std::path::Path;
use std::time::Duration;

use dayfly_testing::{App, Ended};
use serde_json::Value;

use super::{command, guest, printed};
use crate::dayfly;

/// The first of these tests may have to compile `wasm-opt`.
const LONG: Duration = Duration::from_secs(400);

/// Where what the tests fetch is kept.
fn sources() -> std::path::PathBuf {
    dayfly_testing::workspace().join("target/interpreters")
}

async fn optimize(words: &[&str]) -> Ended {
    let dayfly = command(&["optimize"]).args(words).patience(LONG);
    dayfly.env("DAYFLY_SOURCE_CACHE_DIR", sources()).ends().await
}

fn out(folder: &Path) -> String {
    folder.join("out.wasm").display().to_string()
}

#[tokio::test]
async fn a_command_is_smaller_and_does_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (guest("rust-p2-command"), out(folder.path()));
    let told = optimize(&[&from, "-o", &to, "--level", "size"]).await.with(0);
    assert!(told.contains("Optimised"), "{told}");
    let bytes = |file: &str| std::fs::metadata(file).unwrap().len();
    assert!(bytes(&to) < bytes(&from));
    assert_eq!(printed(&["run", &to], 0).await, printed(&["run", &from], 0).await);
}

#[tokio::test]
async fn facts_are_told_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let to = out(folder.path());
    let json = optimize(&[&guest("c-command"), "-o", &to, "--level", "size", "--json"]).await;
    let facts: Value = serde_json::from_str(&json.with_stdout(0)).unwrap();
    assert_eq!(facts["goal"], "size");
    assert_eq!(facts["better"], true);
    assert_eq!(facts["source_code_bytes"], Value::Null);
    assert_eq!(facts["output_bytes"], std::fs::metadata(&to).unwrap().len());
    assert!(facts["optimised_bytes"].as_u64() < facts["source_bytes"].as_u64());
}

#[tokio::test]
async fn what_is_not_better_is_kept_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("small.wat");
    std::fs::write(&from, r#"(module (func (export "f")))"#).unwrap();
    let to = out(folder.path());
    let from = from.display().to_string();
    let told = optimize(&[&from, "-o", &to, "--level", "size"]).await.with(0);
    assert!(told.contains("Kept") && told.contains("dropped, because"), "{told}");
    assert!(std::fs::read(&to).unwrap().starts_with(b"\0asm"));
}

#[tokio::test]
async fn what_cannot_be_optimised_says_why_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let to = out(folder.path());
    let long = optimize(&[&guest("go-command"), "-o", &to, "--timeout", "1"]).await.with(1);
    assert!(long.contains("used more than 1 s of CPU time") && long.contains("hint:"), "{long}");
    let damaged = folder.path().join("damaged.wasm");
    std::fs::write(&damaged, b"\0asm\x01\0\0\0\x0a\x04\x01\x02\0\x0b").unwrap();
    let damaged = damaged.display().to_string();
    let told = optimize(&[&damaged, "-o", &to]).await.with(1);
    assert!(told.contains("not valid WebAssembly"), "{told}");
    let told = optimize(&[&damaged, "-o", &to, "--level", "fast"]).await.with(2);
    assert!(told.contains("speed") && told.contains("size"), "{told}");
    assert!(!Path::new(&to).exists());
}

#[tokio::test]
async fn up_serves_what_the_manifest_has_optimised() {
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"app\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"hello\"\n\
         [component.hello]\nsource = {:?}\n\
         build = {{ command = \"true\", optimize = \"size\" }}\n",
        guest("rust-hello")
    ));
    let running = dayfly().env("DAYFLY_SOURCE_CACHE_DIR", sources()).patience(LONG);
    let running = running.up(app.folder()).await;
    let answer = running.get("/").await;
    assert_eq!(answer.status, 200);
    assert!(!answer.body.is_empty());
}
