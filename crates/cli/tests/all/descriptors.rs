//! What a process may open, shared out among clients and guests: guests that hold all they can take
//! nothing from clients, and not all from each other.

use dayfly_testing::{App, Body, Dayfly, Running};
use futures_util::future::join_all;
use http::{Method, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::dayfly;

/// Components that hold what they can get and are bounded by nothing of their own, and a neighbour.
fn app() -> App {
    let component = |name: &str, route: &str, guest: &str| {
        format!(
            "[[trigger.http]]\nroute = \"{route}\"\ncomponent = \"{name}\"\n\
             [component.{name}]\nsource = \"guest:{guest}\"\n\
             limits = {{ files = 100000, sockets = 100000, outbound = 100000, time = \"2m\" }}\n\
             allowed_outbound_hosts = [\"*://127.0.0.1:*\", \"*://localhost:*\"]\n\
             files = [{{ source = \"data\", destination = \"/data\" }}]\n"
        )
    };
    let manifest = "dayfly = 1\n[application]\nname = \"test\"\n".to_owned()
        + &component("hostile", "/p2/...", "hostile")
        + &component("hostile-p3", "/p3/...", "hostile-p3")
        + &component("neighbour", "/...", "rust-http");
    App::new(&manifest).file("data/file", "contents")
}

/// Asks for a path whose guest holds something for as long as the answer is held; what it says.
async fn hold(server: &Running, path: &str) -> (Response<Incoming>, String) {
    let request = server.request(Method::GET, path).body(Body::empty()).unwrap();
    let mut answer = server.another_client().open(request).await.unwrap();
    let first = answer.body_mut().frame().await.unwrap().unwrap();
    let text = String::from_utf8_lossy(first.data_ref().unwrap()).into_owned();
    (answer, text)
}

/// How many it got, which were refused with `error` then.
fn count(text: &str, error: &str) -> usize {
    let (count, rest) = text.split_once(' ').unwrap_or_else(|| panic!("{text}"));
    assert!(rest.contains(error), "{text}");
    count.parse().unwrap_or_else(|_| panic!("{text}"))
}

/// Holds so many, once those who held them before have ended.
async fn hold_all(server: &Running, path: &str, error: &str, all: usize) -> Response<Incoming> {
    for _ in 0..200 {
        let (answer, text) = hold(server, path).await;
        if count(&text, error) == all {
            return answer;
        }
        drop(answer);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{path}: never {all}");
}

#[tokio::test]
async fn one_component_leaves_the_others_theirs() {
    let app = app();
    let command = dayfly().args(["up", "--max-descriptors", "100"]).arg(app.folder());
    let server = command.serve().await;
    for (path, error) in [
        ("/p2/hold-files", "name: \"quota\""),
        ("/p2/hold-sockets", "name: \"new-socket-limit\""),
        ("/p3/hold-files", "Quota"),
        ("/p3/hold-listings", "Quota"),
        ("/p3/hold-sockets", "as many sockets as may be are open"),
    ] {
        let _held = hold_all(&server, path, error, 75).await;
        server.stderr().containing("`--max-descriptors`").await;
        let (_none, text) = hold(&server, path).await;
        assert_eq!(count(&text, error), 0, "{path}: all of its instances are one");
        // The neighbour has its share: a file, and what another attacker leaves of it.
        assert_eq!(server.text("/read?path=/data/file").await, "contents", "{path}");
        let other = if path.starts_with("/p2") { "/p3/hold-files" } else { "/p2/hold-files" };
        // Three quarters of 25.
        let _also_held = hold_all(&server, other, "uota", 19).await;
        assert_eq!(server.text("/read?path=/data/file").await, "contents", "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_a_guest_closes_it_gives_back_at_once() {
    let app = app();
    // Three of a component's, which is as many as are held at one time.
    let command = dayfly().args(["up", "--max-descriptors", "4"]).arg(app.folder());
    let server = command.serve().await;
    for path in ["/p2/one-by-one", "/p3/one-by-one"] {
        assert_eq!(server.text(path).await, "100", "{path}");
    }
    server.stop().await;
}

/// Each has a piece of its file read ahead, which the guest does not take.
#[tokio::test]
async fn streams_of_files_are_bounded_by_the_files() {
    let app = App::granted(
        "hostile-p3",
        "limits = { files = 20 }\nfiles = [{ source = \"data\", destination = \"/data\" }]",
    )
    .file("data/file", "x".repeat(64 << 10));
    let server = dayfly().up(app.folder()).await;
    let (_held, text) = hold(&server, "/hold-reads").await;
    assert_eq!(count(&text, "Quota"), 40);
    server.stop().await;
}

/// More than a core has threads for what blocks.
#[tokio::test]
async fn listings_that_nobody_reads_take_no_thread_from_others() {
    let mut app = app();
    for n in 0..9 {
        app = app.file(&format!("data/another-{n}"), "");
    }
    let command = dayfly().args(["up", "--threads", "1", "--max-descriptors", "400"]);
    let server = command.arg(app.folder()).serve().await;
    let (_held, text) = hold(&server, "/p3/hold-listings").await;
    assert_eq!(count(&text, "Quota"), 300);
    let neighbour = server.another_client();
    let soon = std::time::Duration::from_secs(1);
    for (path, answer) in [
        ("/read?path=/data/file", "contents"),
        ("/resolve?name=localhost", "127.0.0.1"),
        ("/list?path=/data", "another-0"),
    ] {
        let text = tokio::time::timeout(soon, neighbour.text(path)).await.expect(path);
        assert!(text.contains(answer), "{path}: {text}");
    }
    server.stop().await;
}

/// A process that may open 500 files, and guests that want thousands.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn clients_are_accepted_while_guests_hold_all_they_can() {
    let app = app();
    let command = Dayfly::new("/bin/sh")
        .args(["-c", "ulimit -n 500 && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_dayfly")])
        .args(["up", "--threads", "2"]);
    let server = command.arg(app.folder()).serve().await;
    server.stderr().containing("raise its limit").await;
    let open = || std::fs::read_dir(format!("/proc/{}/fd", server.process().id())).unwrap().count();
    let before = open();
    let paths = ["/p2/hold-files", "/p3/hold-sockets"];
    let held = join_all((0..20).map(|n| hold(&server, paths[n % 2]))).await;
    let total: usize = held.iter().map(|(_, text)| count(text, "")).sum();
    assert!((30..=62).contains(&total), "{total}");
    let clients = join_all((0..60).map(|_| async {
        let client = server.another_client();
        (client.text("/hello").await, client)
    }));
    let clients = clients.await;
    assert!(clients.iter().all(|(text, _)| text == "hello world"));
    assert_eq!(server.text("/read?path=/data/file").await, "contents");
    let during = open();
    assert!(during > before + 80 && during < 450, "{before} {during}");
    assert!(!server.stderr().text().contains("accept"), "{}", server.stderr().text());
    drop((held, clients));
    server.stop().await;
}
