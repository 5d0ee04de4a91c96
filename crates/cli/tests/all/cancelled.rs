//! A client that leaves ends its guest.

use std::time::Duration;

use dayfly_testing::{App, Body, Client, Running};
use http::Method;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};

use crate::http2::{self, END_STREAM, RST_STREAM, frame};
use crate::{dayfly, tiny};

/// Asks, waits a moment, and leaves.
async fn ask_and_leave(client: Client, path: &str) {
    let request = client.request(Method::GET, path).body(Body::empty());
    let answered = timeout(Duration::from_millis(500), client.open(request.unwrap())).await;
    assert!(answered.is_err(), "it answered: {answered:?}");
}

/// The server soon uses no CPU time any more.
async fn falls_silent(server: &Running) {
    let process = server.process();
    for _ in 0..20 {
        let before = process.cpu_time();
        sleep(Duration::from_millis(300)).await;
        if process.cpu_time() - before <= Duration::from_millis(20) {
            return;
        }
    }
    panic!("the guest still runs");
}

async fn loops_until_left(guest: &str, client: impl Fn(&Running) -> Client) {
    let app = App::granted(guest, "limits = { cpu = \"60s\", time = \"60s\", concurrency = 1 }");
    let server = dayfly().up(app.folder()).await;
    ask_and_leave(client(&server), "/spin").await;
    falls_silent(&server).await;
    // The one place among those that may run is free again.
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn a_loop_ends_when_its_client_leaves() {
    loops_until_left("rust-http", Running::another_client).await;
}

#[tokio::test]
async fn a_loop_ends_when_its_http_2_client_leaves() {
    loops_until_left("rust-http", |server| server.http2()).await;
}

#[tokio::test]
async fn a_loop_on_wasi_0_3_ends_when_its_client_leaves() {
    loops_until_left("rust-p3-echo", Running::another_client).await;
}

#[tokio::test]
async fn a_sleeper_ends_when_its_client_leaves_and_the_log_says_499() {
    let app = App::granted("rust-http", "limits = { concurrency = 1 }");
    let server = dayfly().args(["up", "--access-log", "on"]).arg(app.folder()).serve().await;
    ask_and_leave(server.another_client(), "/sleep?ms=20000").await;
    let line = server.stderr().containing("path=/sleep").await;
    assert!(line.contains("status=499") && line.contains("complete=false"), "{line}");
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_body_ends_its_guest() {
    let app = App::granted("rust-http", "limits = { concurrency = 1 }");
    let server = dayfly().args(["up", "--access-log", "on"]).arg(app.folder()).serve().await;
    let client = server.another_client();
    let request = client.request(Method::GET, "/slow?chunks=1000&ms=20").body(Body::empty());
    let answer = client.open(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    drop((answer, client));
    let line = server.stderr().containing("path=/slow").await;
    assert!(line.contains("complete=false"), "{line}");
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

/// A shape of handlers, and one that computes for ever: its source, and the path that makes it.
struct Spinning {
    shape: &'static str,
    source: &'static str,
    executor: &'static str,
    path: &'static str,
}

static SPINNING: [Spinning; 4] = [
    Spinning { shape: "0.2", source: "guest:rust-http", executor: "", path: "/spin" },
    Spinning {
        shape: "command",
        source: "command.wat",
        executor: "executor = { type = \"wagi\" }\n",
        path: "/",
    },
    Spinning { shape: "inbound-http", source: "inbound.wat", executor: "", path: "/" },
    Spinning { shape: "0.3", source: "guest:rust-p3-echo", executor: "", path: "/spin" },
];

impl Spinning {
    fn app(&self) -> App {
        let Self { source, executor, .. } = self;
        App::new(&format!(
            "dayfly = 1\n[application]\nname = \"test\"\n\
             [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n{executor}\
             [component.guest]\nsource = \"{source}\"\n\
             limits = {{ cpu = \"60s\", time = \"60s\", concurrency = 1 }}\n"
        ))
        .file("command.wat", tiny::command(tiny::SPIN))
        .file("inbound.wat", tiny::inbound_http(tiny::SPIN))
    }
}

/// How much may be computed from a client's leaving on: some slices, and what a busy machine adds.
const SLICES: Duration = Duration::from_millis(50);

/// Has a guest of each of these shapes compute, and the client hang up that asked.
async fn ends_at_once(
    shapes: impl IntoIterator<Item = &'static Spinning>,
    ask: impl AsyncFn(&Running, &str) -> Asked,
) {
    for spinning in shapes {
        let app = spinning.app();
        let server = dayfly().args(["up", "--max-lag", "1m"]).arg(app.folder()).serve().await;
        let process = server.process();
        let before = process.cpu_time();
        let asked = ask(&server, spinning.path).await;
        let computing = async {
            while process.cpu_time() - before < Duration::from_millis(300) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(60), computing).await.expect("it computes");
        let _connection = asked.hang_up().await;
        let left = process.cpu_time();
        sleep(Duration::from_secs(1)).await;
        let computed = process.cpu_time() - left;
        let shape = spinning.shape;
        println!("{shape}: {computed:?} after its client left");
        assert!(computed <= SLICES, "{shape}: {computed:?} after its client left");
        server.stop().await;
    }
}

/// A client that waits for an answer.
enum Asked {
    Http1(tokio::net::TcpStream),
    Http2(http2::Client),
}

impl Asked {
    async fn http1(server: &Running, bytes: &[u8]) -> Self {
        let mut tcp = server.connect().await;
        tcp.write_all(bytes).await.unwrap();
        Self::Http1(tcp)
    }

    /// Closes the connection, or takes the one request back; what is given back stays open.
    async fn hang_up(self) -> Option<http2::Client> {
        match self {
            Self::Http1(tcp) => {
                drop(tcp);
                None
            }
            Self::Http2(mut client) => {
                client.send(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())).await;
                Some(client)
            }
        }
    }
}

#[tokio::test]
async fn every_shape_ends_at_once_when_its_client_leaves() {
    ends_at_once(&SPINNING, async |server, path| {
        Asked::http1(server, format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await
    })
    .await;
}

#[tokio::test]
async fn every_shape_ends_at_once_that_leaves_a_body_unread() {
    // One of Spin 1 is called once it has the whole body. What is sent fits into what the system takes
    // in: behind more, nobody would hear that the client has left.
    let shapes = SPINNING.iter().filter(|spinning| spinning.shape != "inbound-http");
    ends_at_once(shapes, async |server, path| {
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 900000\r\n\r\n");
        Asked::http1(server, &[head.into_bytes(), vec![b'x'; 30_000]].concat()).await
    })
    .await;
}

#[tokio::test]
async fn every_shape_ends_at_once_when_another_request_waits_behind() {
    ends_at_once(&SPINNING, async |server, path| {
        let one = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        Asked::http1(server, one.repeat(3).as_bytes()).await
    })
    .await;
}

#[tokio::test]
async fn every_shape_ends_at_once_when_its_stream_is_reset() {
    ends_at_once(&SPINNING, async |server, path| {
        let mut client = http2::Client::of(server).await;
        client.send(&http2::headers(END_STREAM, 1, path)).await;
        Asked::Http2(client)
    })
    .await;
}
