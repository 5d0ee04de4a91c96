//! The example of a topology: four languages, three kinds of triggers.

use dayfly_testing::{App, Guest, Mosquitto, Redis, workspace};

use super::Client;
use crate::dayfly;

fn example(file: &str) -> String {
    std::fs::read_to_string(workspace().join("examples/topology").join(file)).unwrap()
}

#[tokio::test]
async fn a_message_goes_through_all_of_it() {
    let (redis, broker) = (Redis::start().await, Mosquitto::start().await);
    let mut manifest = example("dayfly.toml")
        .replace("redis://127.0.0.1:6379", &redis.url())
        .replace("mqtt://127.0.0.1:1883", &broker.url());
    for guest in ["c-command", "js-componentize", "rust-events", "zig-command"] {
        let path = Guest::path(guest).display().to_string();
        manifest = manifest.replace(&format!("../../target/guests/{guest}.wasm"), &path);
    }
    let hello = Guest::path("rust-hello");
    // So that the test sees when it is ready.
    manifest.push_str(&format!(
        "[component.hello]\nsource = {hello:?}\n[[trigger.http]]\nroute = \"/\"\ncomponent = \"hello\"\n"
    ));
    let app = App::new(&manifest);
    let server = dayfly().up(app.folder()).await;
    let mut client = Client::of(&redis).await;
    let _: i64 = client.ask(&["LPUSH", "begin", "hello"]).await;
    assert_eq!(client.wait_for("end", 1).await, ["zig(js(c(hello)))"]);
    server.stop().await;
}

#[tokio::test]
async fn it_is_drawn_as_its_readme_shows() {
    let check = dayfly().args(["check", "--graph"]).arg(workspace().join("examples/topology"));
    let drawn = check.ends().await.with_stdout(0);
    assert!(drawn.starts_with("flowchart LR\n"), "{drawn}");
    assert!(example("README.md").contains(&drawn), "{drawn}");
}
