//! `dayfly check`: what it says of apps that run, and of those that do not.

use dayfly_testing::App;
use serde_json::Value;

use super::{Written, command, complained, guest, printed};
use crate::scripts::with_interpreters;

#[tokio::test]
async fn an_app_that_can_run() {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"shop\"\nversion = \"1.0.0\"\n\
         [[trigger.http]]\nroute = \"/cart/...\"\ncomponent = \"cart\"\n\
         [[trigger.http]]\nroute = \"/\"\nstatic_response = { body = \"hello\" }\n\
         [component.cart]\nsource = \"cart.wat\"\nfiles = [{ source = \"data\", destination = \"/\" }]\n",
    )
    .file("data/a", "a")
    .file(
        "cart.wat",
        r#"(component
            (import "wasi:io/poll@0.2.3" (instance))
            (import "wasi:filesystem/types@0.2.3" (instance))
            (import "wasi:http/outgoing-handler@0.2.3" (instance))
            (import "acme:shop/unknown-thing@2.0.0" (instance (export "open" (func))))
            (core module $m (func (export "run") (result i32) i32.const 0))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $run (export "run" (func $run)))
            (export "wasi:cli/run@0.2.3" (instance $run)))"#,
    );
    let ended = command(&["check", "."]).within(app.folder()).ends().await;
    insta::assert_snapshot!(ended.stdout, @r"
    shop 1.0.0  ./dayfly.toml
      http /cart/...  cart
      http /          (static response)

    cart
      source   cart.wat (349 B)
      shape    wasi:cli/run@0.2
      exports  wasi:cli/run@0.2.3
      imports  wasi:io/poll@0.2.3                wasi  always
               wasi:filesystem/types@0.2.3       wasi  granted by `files`
               wasi:http/outgoing-handler@0.2.3  http  denied: no `allowed_outbound_hosts`
               acme:shop/unknown-thing@2.0.0     -     refused: not served by this version
    ");
    assert!(ended.with(0).contains("everything can run"));
    let compiled = command(&["check", "--compile"]).within(app.folder()).ends().await;
    assert!(compiled.stdout.contains("  code     "), "{compiled:#?}");
    compiled.with(0);
}

#[tokio::test]
async fn a_bare_module_that_its_compiler_made() {
    let facts = printed(&["check", "--json", "--compile", &guest("rust-command")], 0).await;
    let facts: Value = serde_json::from_str(&facts).unwrap();
    assert_eq!(facts["ok"], true);
    assert_eq!(facts["triggers"][0]["target"], "rust-command");
    let component = &facts["components"][0];
    assert_eq!(component["shape"], "wasi:cli/run@0.2");
    assert!(component["artifact_bytes"].as_u64().unwrap() > 10_000);
    let imports = component["imports"].as_array().unwrap();
    let files = imports
        .iter()
        .find(|import| import["name"].as_str().unwrap().starts_with("wasi:filesystem/types@"));
    let files = files.expect("Rust's standard library imports files");
    assert_eq!(files["access"], "denied");
    assert_eq!(files["key"], "files");
    assert_eq!(files["capability"], "wasi");
}

#[tokio::test]
async fn all_that_cannot_run_is_told_at_once() {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"broken\"\n\
         [[trigger.http]]\nroute = \"/a\"\ncomponent = \"gone\"\n\
         [[trigger.http]]\nroute = \"/b\"\ncomponent = \"library\"\n\
         [[trigger.http]]\nroute = \"/c\"\ncomponent = \"needy\"\n\
         [component.gone]\nsource = \"gone.wasm\"\nfiles = [{ source = \"data\", destination = \"/\" }]\n\
         [component.gone.build]\ncommand = \"make gone.wasm\"\n\
         [component.library]\nsource = \"library.wat\"\n\
         [component.needy]\nsource = \"needy.wat\"\n",
    )
    .file("library.wat", "(component (component $c) (instance $i (instantiate $c)) (export \"a:b/c\" (instance $i)))")
    .file("needy.wat", "(component (import \"a:b/module\" (core module)))");
    let ended = command(&["check"]).within(app.folder()).ends().await;
    insta::assert_snapshot!(ended.with(1), @r"
    error: component `gone`: the granted file `data` does not exist
    error: component `gone`: source `./gone.wasm` does not exist
    hint: build it first: `make gone.wasm`; `dayfly doctor` says what is missing for that
    error: component `library`: the component exports only `a:b/c`, none of which is a handler
    hint: Dayfly runs components that export `wasi:http/incoming-handler@0.2`, `wasi:http/handler@0.3`, `fermyon:spin/inbound-http`, `fermyon:spin/inbound-redis`, `spin:redis/inbound-redis@3`, `wasi:messaging/incoming-handler@0.2.0-draft`, `handle-cron-event` or `wasi:cli/run`, and core modules with a `_start`
    error: component `needy`: the component exports nothing, so no event can reach it
    hint: Dayfly runs components that export `wasi:http/incoming-handler@0.2`, `wasi:http/handler@0.3`, `fermyon:spin/inbound-http`, `fermyon:spin/inbound-redis`, `spin:redis/inbound-redis@3`, `wasi:messaging/incoming-handler@0.2.0-draft`, `handle-cron-event` or `wasi:cli/run`, and core modules with a `_start`
    error: component `needy`: imports `a:b/module`, which nothing can stand for
    hint: compose the component with what it needs before it comes here
         Checked `./dayfly.toml`: 5 problems
    ");
}

#[tokio::test]
async fn mistakes_of_a_manifest_are_listed_for_machines_too() {
    let manifest = Written::new("dayfly.toml", "dayfly = 1\n[application]\nnmae = \"shop\"\n");
    let facts = printed(&["check", "--json", &manifest.path()], 1).await;
    let facts: Value = serde_json::from_str(&facts).unwrap();
    assert_eq!(facts["ok"], false);
    let problems = facts["problems"].as_array().unwrap();
    let unknown = problems.iter().find(|problem| {
        problem["message"].as_str().unwrap().contains("dayfly.toml:3:1: unknown key `nmae`")
    });
    assert_eq!(unknown.expect("the mistake is told")["hint"], "did you mean `name`?");
}

#[tokio::test]
async fn what_does_not_compile_is_told_when_asked() {
    let app = Written::new(
        "bad.wat",
        r#"(component
            (core module $m (func (export "run") (result i32)))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $run (export "run" (func $run)))
            (export "wasi:cli/run@0.2.3" (instance $run)))"#,
    );
    printed(&["check", &app.path()], 0).await;
    let complaint = complained(&["check", "--compile", &app.path()], 1).await;
    assert!(complaint.contains("component `bad`"), "{complaint}");
    assert!(complaint.contains("type mismatch"), "{complaint}");
}

#[tokio::test]
async fn the_examples_can_run() {
    for example in std::fs::read_dir(dayfly_testing::workspace().join("examples")).unwrap() {
        let path = example.unwrap().path();
        let ended = with_interpreters().args(["check", "--compile"]).arg(&path).ends().await;
        assert_eq!(ended.code, Some(0), "{}: {ended:#?}", path.display());
    }
}
