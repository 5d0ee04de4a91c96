//! Instances that serve more than one request, because the manifest says so.

use std::time::Duration;

use dayfly_testing::{App, Running, Upstream};

use crate::dayfly;

/// Handlers of each shape that can be reused; `/count` answers with the requests of its instance.
const GUESTS: [&str; 3] = ["rust-http", "rust-p3-echo", "rust-spin-1"];

async fn up(guest: &str, lines: &str) -> (App, Running) {
    let app = App::granted(guest, lines);
    let server = dayfly().up(app.folder()).await;
    (app, server)
}

/// What so many requests are counted as, one after the other.
async fn counts(server: &Running, requests: usize) -> Vec<String> {
    let mut counts = Vec::new();
    for _ in 0..requests {
        counts.push(server.text("/count").await.trim().to_owned());
    }
    counts
}

#[tokio::test]
async fn an_instance_serves_one_request_unless_told() {
    for guest in GUESTS {
        for lines in ["", "reuse = { requests = 1 }", "reuse = { idle = \"1m\" }"] {
            let (_app, server) = up(guest, lines).await;
            assert_eq!(counts(&server, 3).await, ["1", "1", "1"], "{guest}: {lines}");
            server.stop().await;
        }
    }
}

#[tokio::test]
async fn an_instance_serves_as_many_requests_as_told() {
    for guest in GUESTS {
        let (_app, server) = up(guest, "reuse = { requests = 3 }").await;
        let counts = counts(&server, 7).await;
        assert_eq!(counts, ["1", "2", "3", "1", "2", "3", "1"], "{guest}");
        server.stop().await;
    }
}

#[tokio::test]
async fn it_serves_them_one_after_the_other() {
    let (_app, server) = up("rust-http", "reuse = { requests = 100 }").await;
    let slow = async || server.text("/sleep?ms=300").await;
    tokio::join!(slow(), slow(), slow());
    // Three instances wait now, each of which has served one request.
    let sum = async || -> u32 { server.text("/count").await.trim().parse().unwrap() };
    assert_eq!(sum().await, 1, "only `/count` counts");
    let together = tokio::join!(slow(), sum(), sum());
    assert_eq!((together.1, together.2), (1, 1), "two others");
    server.stop().await;
}

#[tokio::test]
async fn none_that_failed_serves_another() {
    for guest in GUESTS {
        let (_app, server) = up(guest, "reuse = { requests = 100 }").await;
        assert_eq!(counts(&server, 2).await, ["1", "2"], "{guest}");
        assert_eq!(server.get("/panic").await.status, 500, "{guest}");
        assert_eq!(counts(&server, 2).await, ["1", "2"], "{guest}");
        server.stop().await;
    }
    let limits = "limits = { time = \"300ms\", cpu = \"200ms\" }\nreuse = { requests = 100 }";
    let (_app, server) = up("rust-http", limits).await;
    for path in ["/sleep?ms=5000", "/spin"] {
        assert_eq!(counts(&server, 2).await, ["1", "2"]);
        assert_eq!(server.get(path).await.status, 504, "{path}");
        assert_eq!(counts(&server, 1).await, ["1"], "after {path}");
        server.get("/panic").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn one_whose_client_left_serves_no_other() {
    let (_app, server) = up("rust-http", "reuse = { requests = 100 }").await;
    assert_eq!(counts(&server, 2).await, ["1", "2"]);
    let left = tokio::time::timeout(Duration::from_millis(200), server.text("/sleep?ms=3000"));
    assert!(left.await.is_err());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(counts(&server, 1).await, ["1"]);
    server.stop().await;
}

#[tokio::test]
async fn it_waits_for_so_long() {
    let (_app, server) = up("rust-http", "reuse = { requests = 100, idle = \"500ms\" }").await;
    assert_eq!(counts(&server, 3).await, ["1", "2", "3"]);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(counts(&server, 2).await, ["1", "2"]);
    server.stop().await;
}

#[tokio::test]
async fn one_that_has_grown_serves_no_other() {
    let (_app, server) = up("rust-http", "reuse = { requests = 100, growth = \"8MiB\" }").await;
    assert_eq!(counts(&server, 2).await, ["1", "2"]);
    server.text("/alloc?mb=2").await;
    assert_eq!(counts(&server, 1).await, ["3"], "it may grow by so much");
    server.text("/alloc?mb=16").await;
    assert_eq!(counts(&server, 1).await, ["1"]);
    server.stop().await;
}

#[tokio::test]
async fn each_request_has_bounds_of_its_own() {
    let upstream = Upstream::start().await;
    let lines = "allowed_outbound_hosts = [\"http://127.0.0.1:*\"]\nreuse = { requests = 100 }\n\
                 limits = { outbound = 1, log = \"1KiB\", cpu = \"2s\" }";
    let (_app, server) = up("rust-http", lines).await;
    for _ in 0..3 {
        assert_eq!(server.get(&format!("/fetch?url={}", upstream.url())).await.status, 200);
    }
    let text = "x".repeat(500);
    for _ in 0..3 {
        server.text(&format!("/log?lines=1&text={text}")).await;
    }
    assert_eq!(counts(&server, 1).await, ["1"], "of `/count` that is");
    let ended = server.stop().await;
    assert!(!ended.stderr.contains("log limit"), "{}", ended.stderr);
    // On both streams.
    assert_eq!(ended.stderr.matches(&text).count(), 6, "{}", ended.stderr);
}

#[tokio::test]
async fn those_that_wait_take_nothing_from_others() {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"one\"\n\
         [[trigger.http]]\nroute = \"/two/...\"\ncomponent = \"two\"\n\
         [component.one]\nsource = \"guest:rust-http\"\nreuse = { requests = 100 }\n\
         [component.two]\nsource = \"guest:rust-hello\"\n",
    );
    let command = dayfly().arg("up").arg(app.folder()).args(["--max-instances", "4"]);
    let server = command.serve().await;
    let slow = async || server.text("/sleep?ms=200").await;
    for _ in 0..3 {
        tokio::join!(slow(), slow(), slow());
        let hello = async || server.text("/two").await;
        let (first, second, third) = tokio::join!(hello(), hello(), hello());
        assert_eq!([first, second, third], ["hello world"; 3]);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_command_serves_one_request() {
    let app = App::granted("rust-command", "reuse = { requests = 2 }");
    let said = dayfly().arg("up").arg(app.folder()).ends().await.with(1);
    assert!(said.contains("is a command, whose instances serve one request each"), "{said}");
    assert!(said.contains("remove `reuse`"), "{said}");
}
