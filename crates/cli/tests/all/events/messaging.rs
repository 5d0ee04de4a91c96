//! Handlers of `wasi:messaging`, and messages that guests put into the app's own queues.

use dayfly_testing::{App, Running};
use serde_json::Value;

use super::{dead_letters, until};
use crate::dayfly;

/// An app whose queue `in` wakes the handler, with some grant.
fn app(grant: &str) -> App {
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [component.hello]\nsource = \"guest:rust-hello\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"hello\"\n\
         [component.handler]\nsource = \"guest:rust-messaging\"\n{grant}\n\
         [[trigger.queue]]\nid = \"in\"\nqueue = \"in\"\ncomponent = \"handler\"\n\
         retry = {{ attempts = 1 }}\n\
         [component.last]\nsource = \"guest:rust-command\"\n\
         [[trigger.queue]]\nqueue = \"other\"\ncomponent = \"last\"\noutput = \"queue:out\"\n"
    ))
}

async fn queue(server: &Running, words: &[&str]) -> String {
    let state = server.state("");
    dayfly().arg("queue").args(words).arg("--state-dir").arg(state).ends().await.with_stdout(0)
}

async fn send(server: &Running, words: &[&str]) {
    queue(server, &[&["send", "in"], words].concat()).await;
}

/// The messages of a queue, once there are so many.
async fn shown(server: &Running, name: &str, count: usize) -> Vec<Value> {
    until(name, async || {
        let shown: Vec<Value> =
            serde_json::from_str(&queue(server, &["show", name, "--json"]).await).unwrap();
        (shown.len() >= count).then_some(shown)
    })
    .await
}

/// Why the last event was given up.
async fn dead_letter(server: &Running) -> String {
    let letters = dead_letters(server).await;
    letters.last().unwrap()["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn handlers_get_messages_and_put_others() {
    let server_app = app("messaging = [\"default\"]");
    let server = dayfly().up(server_app.folder()).await;
    send(&server, &["facts out", "--content-type", "a/b"]).await;
    let out = shown(&server, "out", 1).await.remove(0);
    let told = out["data"].as_str().unwrap();
    for line in [
        "topic=in",
        "content-type=a/b",
        "specversion=1.0",
        "type=dayfly.queue.message",
        "source=/queues/in",
        "subject=in",
    ] {
        assert!(told.lines().any(|it| it == line), "no {line} in {told}");
    }
    assert_eq!(out["content_type"], "text/plain");
    assert_eq!(out["attributes"]["by"], "guest");
    assert!(out["attributes"].get("dayflydelay").is_none(), "{out}");
    // What it puts wakes other handlers; one that is delayed comes later.
    send(&server, &["put out 1h 0 later"]).await;
    send(&server, &["put other 0s 5 words"]).await;
    let out = shown(&server, "out", 3).await;
    let data: Vec<&str> = out.iter().map(|it| it["data"].as_str().unwrap()).collect();
    assert!(data.contains(&"later") && data.contains(&"WORDS"), "{data:?}");
    let listed = queue(&server, &["list", "--json"]).await;
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["delayed"], 1, "{listed:?}");
    send(&server, &["fail"]).await;
    assert_eq!(dead_letter(&server).await, "the guest answered with an error: told to");
    server.stop().await;
}

#[tokio::test]
async fn a_handler_that_wakes_itself_ends() {
    let server_app = app("messaging = [\"default\"]");
    let server = dayfly().up(server_app.folder()).await;
    // The first puts what wakes the second, and so on: twice as often as may be.
    let steps = "put in 0s 0 ".repeat(32);
    send(&server, &[&format!("{steps}put out 0s 0 end")]).await;
    let told = dead_letter(&server).await;
    assert!(told.contains("16 steps behind it: what wakes what is a cycle"), "{told}");
    assert_eq!(queue(&server, &["show", "out"]).await, "");
    // What goes as far as may be arrives, and says how far it came.
    let steps = "put in 0s 0 ".repeat(15);
    send(&server, &[&format!("{steps}put out 0s 0 end")]).await;
    let out = shown(&server, "out", 1).await.remove(0);
    assert_eq!((&out["data"], &out["attributes"]["dayflyhops"]), (&"end".into(), &"16".into()));
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_granted_is_not_put() {
    for (grant, put, error) in [
        ("", "put out 0s 0 x", "permission denied: the client is not granted"),
        (
            "messaging = [\"default\"]",
            "put elsewhere 0s 0 x",
            "permission denied: the topic is not open to this client",
        ),
        ("messaging = [\"default\"]", "put out soon 0 x", "`dayflydelay` is a time such as `10s`"),
        ("messaging = [\"default\"]", "put out 0s most x", "`dayflypriority` is a whole number"),
    ] {
        let app = app(grant);
        let server = dayfly().up(app.folder()).await;
        send(&server, &[put]).await;
        let told = dead_letter(&server).await;
        assert!(told.contains(error), "{told}");
        assert_eq!(queue(&server, &["show", "out"]).await, "");
        server.stop().await;
    }
}
