//! Components in memory: loaded by their first event, sent away when nobody asks for them or others
//! need the room, answered by baseline code until better code is compiled.

use std::path::Path;
use std::time::{Duration, Instant};

use dayfly_testing::{App, Guest, Running};

use crate::dayfly;

/// A handler that answers with `text`.
fn handler(text: &str) -> String {
    let hello = include_str!("../../../../examples/hello/hello.wat");
    assert!(hello.contains("hello, world\\n"), "the example says what it did");
    hello.replace("hello, world\\n", &format!("{text:12}\\n"))
}

/// An app of handlers `c0` … on routes of their names.
fn many(components: usize) -> App {
    let mut manifest = "dayfly = 1\n[application]\nname = \"many\"\n".to_owned();
    for index in 0..components {
        manifest.push_str(&format!(
            "[[trigger.http]]\nroute = \"/c{index}\"\ncomponent = \"c{index}\"\n\
             [component.c{index}]\nsource = \"c{index}.wat\"\n"
        ));
    }
    (0..components).fold(App::new(&manifest), |app, index| {
        app.file(&format!("c{index}.wat"), handler(&format!("number {index}")))
    })
}

async fn is_number(server: &Running, index: usize) -> bool {
    server.text(&format!("/c{index}")).await.trim_end() == format!("number {index}")
}

/// The memory mappings of a server that are of its artifacts.
fn mapped(server: &Running, cache: &Path) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", server.process().id())).unwrap();
    let cache = cache.to_str().unwrap();
    maps.lines().filter(|line| line.contains(cache)).count()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "never {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn nothing_is_opened_before_its_first_request() {
    let (app, cache) = (many(3).file("c2.wat", "(component"), tempfile::tempdir().unwrap());
    let command = dayfly().env("DAYFLY_CACHE_DIR", cache.path()).arg("up").arg("--check=never");
    let server = command.arg(app.folder()).serve().await;
    assert_eq!(mapped(&server, cache.path()), 0);
    assert!(is_number(&server, 0).await);
    let one = mapped(&server, cache.path());
    assert!(one > 0);
    let answer = server.get("/c2").await;
    assert_eq!(answer.status, 503);
    let line = server.stderr().containing(&format!("error_id={}", answer.error_id())).await;
    assert!(line.contains("failed to prepare component `c2`"), "{line}");
    // What failed is not tried again before its file changes.
    std::fs::write(app.path("c2.wat"), handler("number 2")).unwrap();
    assert!(is_number(&server, 2).await && is_number(&server, 1).await);
    assert_eq!(mapped(&server, cache.path()), 3 * one);
    server.stop().await;
}

#[tokio::test]
async fn a_check_finds_what_is_wrong_with_each_component() {
    let app = many(20).file("c7.wat", "(component").file("c9.wat", "");
    let ended = dayfly().arg("up").arg("--check").arg(app.folder()).ends().await;
    let complaint = ended.with(1);
    assert!(complaint.contains("component `c7`") && complaint.contains("component `c9`"));
    // An app of so many is not checked unless asked for; what is missing shows all the same.
    let server = dayfly().up(app.folder()).await;
    assert!(is_number(&server, 19).await);
    server.stop().await;
    std::fs::remove_file(app.path("c3.wat")).unwrap();
    let complaint = dayfly().up_ends(app.folder()).await.with(1);
    assert!(complaint.contains("c3.wat` does not exist"), "{complaint}");
}

#[tokio::test]
async fn one_loads_and_the_others_wait() {
    let (app, cache) = (App::of("rust-http"), tempfile::tempdir().unwrap());
    let command = dayfly().env("DAYFLY_CACHE_DIR", cache.path()).env("DAYFLY_LOG", "debug");
    let server = command.arg("up").arg("--check=never").arg(app.folder()).serve().await;
    let requests = (0..50).map(|_| async { server.text("/hello").await == "hello world" });
    assert!(futures_util::future::join_all(requests).await.into_iter().all(|good| good));
    let ended = server.stop().await;
    assert_eq!(ended.stderr.matches("loaded").count(), 1, "{}", ended.stderr);
}

#[tokio::test]
async fn who_is_not_asked_for_leaves_and_comes_back() {
    let (app, cache) = (many(3), tempfile::tempdir().unwrap());
    let command = dayfly().env("DAYFLY_CACHE_DIR", cache.path()).arg("up");
    let server = command.arg("--evict-after").arg("300ms").arg(app.folder()).serve().await;
    for round in 0..3 {
        for index in 0..3 {
            assert!(is_number(&server, index).await, "round {round}");
        }
        assert!(mapped(&server, cache.path()) > 0);
        until("idle", || mapped(&server, cache.path()) == 0).await;
    }
    // What comes back is what the file is by then.
    std::fs::write(app.path("c1.wat"), handler("another")).unwrap();
    assert_eq!(server.text("/c1").await.trim_end(), "another");
    server.stop().await;
}

#[tokio::test]
async fn one_that_runs_stays() {
    let (app, cache) = (App::of("rust-http"), tempfile::tempdir().unwrap());
    let command = dayfly().env("DAYFLY_CACHE_DIR", cache.path()).arg("up");
    let server = command.arg("--evict-after").arg("100ms").arg(app.folder()).serve().await;
    let sleeping = async { assert_eq!(server.text("/sleep?ms=1000").await, "slept\n") };
    let watching = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(mapped(&server, cache.path()) > 0);
    };
    tokio::join!(sleeping, watching);
    until("idle", || mapped(&server, cache.path()) == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn those_used_last_stay_within_the_budget() {
    let (app, cache) = (many(12), tempfile::tempdir().unwrap());
    let command = dayfly().env("DAYFLY_CACHE_DIR", cache.path()).arg("up");
    let flags = ["--check=never", "--memory-budget", "1MiB"];
    let server = command.args(flags).arg(app.folder()).serve().await;
    assert!(is_number(&server, 0).await);
    let one = mapped(&server, cache.path());
    let mut most = 0;
    for _ in 0..3 {
        for index in 0..12 {
            assert!(is_number(&server, index).await);
            // In use all the time, so that it stays.
            assert!(is_number(&server, 0).await);
            most = most.max(mapped(&server, cache.path()));
        }
    }
    assert!(most >= 2 * one && most <= 8 * one, "{most} mappings, {one} each");
    let stayed = server.another_client();
    std::fs::remove_file(app.path("c0.wat")).unwrap();
    assert_eq!(stayed.text("/c0").await.trim_end(), "number 0");
    server.stop().await;
}

#[tokio::test]
async fn baseline_code_answers_until_better_code_is_there() {
    let (app, cache) = (App::of("rust-http"), tempfile::tempdir().unwrap());
    let command = dayfly().env("DAYFLY_CACHE_DIR", cache.path()).env("DAYFLY_LOG", "debug");
    let server =
        command.env_remove("DAYFLY_ENGINE").arg("up").arg("--check=never").arg(app.folder());
    let server = server.serve().await;
    assert!(Guest::path("rust-http").metadata().unwrap().len() > 96 << 10, "worth it");
    let mut requests = 0;
    let mut swapped = false;
    while !swapped {
        // One that runs across the change, and some beside it.
        let (slow, fast) = tokio::join!(server.text("/sleep?ms=30"), server.text("/hello"));
        assert_eq!((&*slow, &*fast), ("slept\n", "hello world"));
        requests += 1;
        assert!(requests < 2000, "never compiled in full");
        swapped = server.stderr().text().contains("compiled in full");
    }
    assert_eq!(server.text("/hello").await, "hello world");
    assert!(mapped(&server, cache.path()) > 0, "it comes from the cache");
    server.stop().await;
}
