//! Routes that lead into a queue.

use dayfly_testing::App;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{dead_letters, until};
use crate::dayfly;

fn app(more: &str) -> App {
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/jobs\"\nqueue = \"in\"\n\
         [component.handler]\nsource = \"guest:rust-events\"\n\
         [[trigger.queue]]\nqueue = \"in\"\ncomponent = \"handler\"\noutput = \"queue:out\"\n{more}"
    ))
}

#[tokio::test]
async fn a_request_becomes_a_message() {
    let app = app("");
    let server = dayfly().up(app.folder()).await;
    let state = server.state("");
    let shown = async |queue: &str, count: usize| {
        until(queue, async || {
            let shown =
                dayfly().args(["queue", "show", queue, "--json", "--state-dir"]).arg(&state);
            let shown: Vec<Value> =
                serde_json::from_str(&shown.ends().await.with_stdout(0)).unwrap();
            (shown.len() >= count).then_some(shown)
        })
        .await
    };
    let post = async |headers: &[(&str, &str)], body: &str| {
        server.post_with("/jobs", headers, body.as_bytes().to_vec()).await
    };
    let answer = post(&[("content-type", "a/b"), ("ce-dayflyhops", "16")], "facts").await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let told: Value = serde_json::from_str(&answer.text()).unwrap();
    assert!(!told["id"].as_str().unwrap().is_empty() && told["queue"] == "in", "{told}");
    let out = shown("out", 1).await.remove(0);
    assert_eq!(out["data"], "dayfly.queue.message|/queues/in|in|a/b");
    assert_eq!(out["attributes"]["dayflyhops"], "1");
    // Binary mode says more of it.
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "7"),
        ("ce-type", "order.placed"),
        ("ce-source", "/shop"),
        ("ce-subject", "gr%C3%B6%C3%9Fer"),
        ("ce-customer", "1"),
    ];
    let told: Value = serde_json::from_str(&post(&headers, "facts").await.text()).unwrap();
    assert_eq!(told["id"], "7");
    let out = shown("out", 2).await.pop().unwrap();
    assert_eq!(out["data"], "order.placed|/shop|gr%C3%B6%C3%9Fer|");
    assert_eq!(out["attributes"]["subject"], "größer");
    assert_eq!(out["attributes"]["customer"], "1");
    // A delayed one stays there.
    assert_eq!(post(&[("ce-dayflydelay", "1h")], "late").await.status, 202);
    let waiting = shown("in", 1).await;
    assert_eq!(waiting[0]["data"], "late");
    server.stop().await;
}

#[tokio::test]
async fn a_cycle_through_the_apps_own_address_ends() {
    // Free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/jobs\"\nqueue = \"in\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"handler\"\n\
         [component.handler]\nsource = \"guest:rust-events\"\n\
         [[trigger.queue]]\nqueue = \"in\"\ncomponent = \"handler\"\noutput = \"http://{free}/jobs\"\n\
         retry = {{ attempts = 1 }}\n"
    ));
    let server = dayfly().env("DAYFLY_LISTEN", free.to_string()).up(app.folder()).await;
    // What a client says of steps makes nothing look like a cycle.
    let said = format!("16 {}", "0".repeat(64));
    let headers = [("dayfly-steps", &*said), ("ce-id", "7")];
    assert_eq!(server.post_with("/jobs", &headers, b"x".to_vec()).await.status, 202);
    let letters = dead_letters(&server).await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    let error = letters[0]["error"].as_str().unwrap();
    assert!(error.contains("a cycle"), "{letters:?}");
    let path = server.state("logs/handler_stdout.txt");
    let handled = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(handled.lines().count(), 17, "{handled}");
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let app = app("");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.get("/jobs").await.status, 405);
    for (header, value, told) in [
        ("ce-dayflydelay", "soon", "`dayflydelay` is a time"),
        ("ce-dayflypriority", "high", "`dayflypriority` is a whole number"),
        ("ce-a-b", "x", "names no attribute"),
        ("ce-subject", "%FF", "is not UTF-8"),
    ] {
        let answer = server.post_with("/jobs", &[(header, value)], b"x".to_vec()).await;
        assert_eq!(answer.status, 400, "{header}");
        assert!(answer.text().contains(told), "{}", answer.text());
    }
    // It is refused before it is sent.
    let head =
        format!("POST /jobs HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", (16 << 20) + 1);
    let mut stream = TcpStream::connect(server.authority()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    let listed = dayfly().args(["queue", "list", "--json", "--state-dir"]).arg(server.state(""));
    assert_eq!(listed.ends().await.with_stdout(0).trim(), "[]");
    server.stop().await;
}

#[tokio::test]
async fn a_handler_that_wakes_itself_by_a_route_ends() {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/jobs\"\nqueue = \"in\"\n\
         [component.handler]\nsource = \"guest:rust-wstd\"\n\
         allowed_outbound_hosts = [\"http://self\"]\n\
         [[trigger.queue]]\nqueue = \"in\"\ncomponent = \"handler\"\noutput = \"queue:out\"\n\
         retry = { attempts = 1 }\n",
    );
    let server = dayfly().up(app.folder()).await;
    let state = server.state("");
    let send = async |steps: usize| {
        let data = "http://self/jobs ".repeat(steps) + "end";
        let send = dayfly().args(["send", "handler", &data, "--state-dir"]).arg(&state);
        send.ends().await.with(0);
    };
    // Twice as often as may be.
    send(32).await;
    let told = dead_letters(&server).await[0]["error"].to_string();
    assert!(told.contains("status 508"), "{told}");
    server.stop().await;
}
