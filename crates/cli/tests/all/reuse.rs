//! Instances that serve more than one request, because the manifest says so.

use std::time::Duration;

use dayfly_testing::{App, Running, Upstream};

use crate::dayfly;

/// Handlers of each shape that can be reused; `/count` answers with the requests of its instance.
const GUESTS: [&str; 3] = ["rust-http", "rust-p3-echo", "rust-spin-1"];

async fn up(guest: &str, lines: &str) -> (App, Running) {
    let app = App::granted(guest, lines);
    // Better code that takes the place of other code has instances of its own.
    let command = dayfly().arg("up").arg(app.folder()).args(["--engine", "aot"]);
    (app, command.serve().await)
}

/// What so many requests are counted as, one after the other.
async fn counts(server: &Running, requests: usize) -> Vec<String> {
    let mut counts = Vec::new();
    for _ in 0..requests {
        counts.push(server.text("/count").await.trim().to_owned());
        // An instance may have to finish after its answer, and then only waits for the next request.
        tokio::time::sleep(Duration::from_millis(100)).await;
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
    assert_eq!(counts(&server, 2).await, ["1", "2"]);
    // It takes the instance that waits, so what comes meanwhile has another.
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        counts(&server, 2).await
    };
    let (_, meanwhile) = tokio::join!(server.text("/sleep?ms=1000"), meanwhile);
    assert_eq!(meanwhile, ["1", "2"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    // The last that came back is the next that goes.
    assert_eq!(counts(&server, 2).await, ["3", "4"]);
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

/// componentize-js ends its engine's event loop with the first answer.
#[tokio::test]
async fn a_guest_that_can_answer_once_only_is_not_reused_for_long() {
    let app = App::granted("js-componentize", "reuse = { requests = 100 }");
    let server = dayfly().up(app.folder()).await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(server.get("/").await.status);
    }
    let failed = statuses.iter().filter(|status| **status == 500).count();
    assert!(statuses[0] == 200 && failed == 1, "{statuses:?}");
    let ended = server.stop().await;
    assert_eq!(ended.stderr.matches("none is reused any more").count(), 1, "{}", ended.stderr);
}

/// What a fresh instance does wrong says nothing of others.
#[tokio::test]
async fn one_that_gave_no_answer_serves_no_other() {
    let (_app, server) = up("rust-http", "reuse = { requests = 100 }").await;
    for path in ["/noresponse", "/refuse"] {
        assert_eq!(server.get(path).await.status, 500, "{path}");
        assert_eq!(counts(&server, 2).await, ["1", "2"], "after {path}");
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
    let (_app, server) = up("rust-http", "reuse = { requests = 100, idle = \"2s\" }").await;
    assert_eq!(counts(&server, 3).await, ["1", "2", "3"]);
    tokio::time::sleep(Duration::from_secs(5)).await;
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
