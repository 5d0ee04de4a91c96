//! `dayfly build`: commands in parallel, and what each phase did.

use std::time::{Duration, Instant};

use dayfly_testing::App;
use serde_json::Value;

use super::{command, guest};

/// A manifest of components that are built by these commands, each from a guest of its name.
fn app(components: &[(&str, &str)]) -> App {
    let mut text = "dayfly = 1\n[application]\nname = \"app\"\n".to_owned();
    for (name, build) in components {
        text += &format!(
            "[[trigger.http]]\nroute = \"/{name}\"\ncomponent = \"{name}\"\n\
             [component.{name}]\nsource = \"{name}.wasm\"\nbuild = {{ {build} }}\n"
        );
    }
    App::new(&text)
}

async fn build(app: &App, words: &[&str]) -> dayfly_testing::Ended {
    let folder = app.folder().display().to_string();
    command(&["build"]).arg(folder).args(words).patience(Duration::from_secs(300)).ends().await
}

#[tokio::test]
async fn commands_run_at_the_same_time_and_components_are_made() {
    let copies = |guest: &str, name: &str, other: &str| {
        format!(
            "command = [\"touch {name}.here; until [ -e {other}.here ]; do sleep 0.02; done\", \
             \"cp {guest} {name}.wasm\"]"
        )
    };
    let app = app(&[
        ("hello", &copies(&guest("rust-hello"), "hello", "tool")),
        ("tool", &copies(&guest("c-command"), "tool", "hello")),
    ]);
    let facts = build(&app, &["--json"]).await.with_stdout(0);
    let facts: Value = serde_json::from_str(&facts).unwrap();
    assert_eq!(facts["ok"], true);
    assert_eq!(facts["builds"].as_array().unwrap().len(), 2);
    let hello = &facts["components"][0];
    assert_eq!(hello["id"], "hello");
    let phases: Vec<_> = hello["phases"].as_array().unwrap().iter().collect();
    let names: Vec<_> = phases.iter().map(|it| it["phase"].as_str().unwrap()).collect();
    assert_eq!(names, ["resolve", "componentise", "rename", "fuse", "inspect"]);
    for phase in &phases {
        let start = phase["start_us"].as_f64().expect("a component can be started");
        assert!(start > 0.5 && start < 1e6, "{phase}");
    }
    assert!(hello["code_bytes"].as_u64().unwrap() > 10_000);
    // A core module cannot be started before it is a component.
    let tool = facts["components"][1]["phases"].as_array().unwrap();
    assert_eq!(tool[0]["start_us"], Value::Null);
    assert!(tool[1]["start_us"].is_number() && tool[1]["changed"] == true);
}

#[tokio::test]
async fn output_of_what_fails_is_shown_and_nothing_is_made() {
    let app = app(&[
        ("bad", "command = \"echo first; echo what is wrong >&2; exit 7\""),
        ("good", &format!("command = \"echo quiet; cp {} good.wasm\"", guest("rust-hello"))),
    ]);
    let told = build(&app, &[]).await.with(1);
    assert!(told.contains("first\nwhat is wrong\n"), "{told}");
    assert!(told.contains("failed to build `bad`") && told.contains("exit status: 7"), "{told}");
    assert!(told.contains("Built good") && !told.contains("\nquiet"), "{told}");
    assert!(!told.contains("Making"), "{told}");
    let told = build(&app, &["--verbose"]).await.with(1);
    assert!(told.contains("good | quiet") && told.contains("bad | first"), "{told}");
    let facts = build(&app, &["--json"]).await.with_stdout(1);
    let facts: Value = serde_json::from_str(&facts).unwrap();
    assert_eq!(facts["ok"], false);
    assert_eq!(facts["builds"][0]["output"], "first\nwhat is wrong\n");
}

#[tokio::test]
async fn one_component_is_built_alone() {
    let app = app(&[
        ("bad", "command = \"exit 1\""),
        ("good", &format!("command = \"cp {} good.wasm\"", guest("rust-hello"))),
    ]);
    let ended = build(&app, &["--component", "good", "--quick"]).await;
    let printed = ended.with_stdout(0);
    assert!(printed.starts_with("good\n") && printed.contains("may touch"), "{printed}");
    let told = build(&app, &["--component", "none"]).await.with(1);
    assert!(told.contains("no component `none`, but `bad`, `good`"), "{told}");
    let told = build(&app, &["--no-commands", "--component", "bad"]).await.with(1);
    assert!(told.contains("bad.wasm"), "{told}");
}

#[tokio::test]
async fn what_a_component_may_touch_is_told() {
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"app\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"shop\"\n\
         [component.shop]\nsource = {:?}\nkey_value_stores = [\"default\"]\n\
         allowed_outbound_hosts = [\"https://example.com\"]\n",
        guest("rust-spin-5")
    ));
    let printed = build(&app, &["--quick"]).await.with_stdout(0);
    assert!(printed.contains("key_value_stores: default"), "{printed}");
    assert!(printed.contains("allowed_outbound_hosts: https://example.com"), "{printed}");
}

#[tokio::test]
async fn an_interrupt_ends_all_that_runs() {
    let app = app(&[("slow", "command = \"sleep 300 & echo $! > pid; wait\"")]);
    let folder = app.folder().display().to_string();
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_dayfly"))
        .args(["build", &folder])
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = app.folder().join("pid");
    let began = Instant::now();
    let read = || std::fs::read_to_string(&pid).unwrap_or_default();
    while !read().ends_with('\n') {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let own = rustix::process::Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(own, rustix::process::Signal::INT).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait()).await.unwrap();
    assert_eq!(ended.unwrap().code(), Some(130));
    let left = format!("/proc/{}/stat", read().trim());
    while std::fs::read_to_string(&left).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(began.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
