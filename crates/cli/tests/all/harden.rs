//! Hardening: what `up` gives up before it serves, on every thread, and that serving needs none of
//! it. What an escape would find is tested beside the code.

use std::fs;

use dayfly_testing::{App, Running, Upstream};

use crate::dayfly;

/// The lines of every thread's status that begin with one of `names`.
fn threads(server: &Running, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.process().id())).unwrap();
    tasks
        .filter_map(|task| {
            // It may have ended meanwhile.
            let status = fs::read_to_string(task.unwrap().path().join("status")).ok()?;
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            Some(line.split_whitespace().last().unwrap().to_owned())
        })
        .collect()
}

#[tokio::test]
async fn every_thread_is_bound_and_the_start_says_so() {
    let app = App::of("rust-http");
    let server = dayfly().args(["up", "--harden", "on"]).arg(app.folder()).serve().await;
    assert_eq!(server.text("/hello").await, "hello world");
    let line = server.stderr().containing("hardened: Landlock (ABI").await;
    assert!(line.contains("no capabilities, seccomp, no new privileges"), "{line}");
    let filtered = threads(&server, "Seccomp:");
    assert!(filtered.len() >= 3 && filtered.iter().all(|mode| mode == "2"), "{filtered:?}");
    assert!(threads(&server, "NoNewPrivs:").iter().all(|set| set == "1"));
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        let held = threads(&server, set);
        assert!(held.iter().all(|set| set.bytes().all(|digit| digit == b'0')), "{set} {held:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn it_can_be_turned_off() {
    let app = App::of("rust-hello");
    let server = dayfly().args(["up", "--harden", "off"]).arg(app.folder()).serve().await;
    assert!(threads(&server, "Seccomp:").iter().all(|mode| mode == "0"));
    server.stop().await;
}

#[tokio::test]
async fn what_is_granted_still_works() {
    let upstream = Upstream::start().await;
    let app = App::granted(
        "rust-http",
        &format!(
            "allowed_outbound_hosts = [\"{}\"]\n\
             files = [{{ source = \"data\", destination = \"/data\", writable = true }}, \
             {{ source = \"fixed\", destination = \"/fixed\" }}]",
            upstream.named_url()
        ),
    )
    .file("data/a", "a")
    .file("fixed/b", "b");
    let server = dayfly().args(["up", "--harden", "on"]).arg(app.folder()).serve().await;
    assert_eq!(server.text("/read?path=/fixed/b").await, "b");
    assert_eq!(server.post("/write?path=/data/c", "new").await.status, 200);
    assert_eq!(app.text("data/c"), "new");
    // By a name: the C library resolves it.
    let url = format!("/fetch?url={}/ask", upstream.named_url());
    assert!(server.text(&url).await.contains("GET /ask"));
    assert_eq!(server.text("/log?lines=1&text=kept").await.trim(), "logged");
    let log = server.state("logs/guest_stdout.txt");
    assert!(fs::read_to_string(log).unwrap().contains("kept"));
    server.stop().await;
}
