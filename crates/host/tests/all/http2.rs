//! HTTP/2 by prior knowledge: hyper's client, `h2` for what clients should not do, and curl.

use std::io::Write as _;
use std::process::Command;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use bytes::Bytes;
use dayfly_host::{Http2Limits, ServerConfig};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::harness::{Running, block_on, config, eventually};

type Sender<B> = hyper::client::conn::http2::SendRequest<B>;

async fn connect<B>(server: &Running) -> Sender<B>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<dayfly_host::BoxError>,
{
    let tcp = TcpStream::connect(server.addr()).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender
}

async fn raw(
    server: &Running,
) -> (h2::client::SendRequest<Bytes>, tokio::task::JoinHandle<Result<(), h2::Error>>) {
    let tcp = TcpStream::connect(server.addr()).await.unwrap();
    let (sender, connection) = h2::client::handshake(tcp).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://a{path}")).body(()).unwrap()
}

#[test]
fn many_requests_share_a_connection() {
    let server = Running::start();
    block_on(async {
        let sender = connect(&server).await;
        let requests = (0..100).map(|_| {
            let mut sender = sender.clone();
            async move {
                let response = sender.send_request(get("/who").map(|()| Empty::<Bytes>::new()));
                let body = response.await.unwrap().into_body().collect().await.unwrap().to_bytes();
                assert!(body.ends_with(b" http http/2"), "{body:?}");
            }
        });
        futures_util::future::join_all(requests).await;
    });
    assert!(server.stop().is_clean());
}

#[test]
fn trailers_go_both_ways() {
    let server = Running::start();
    block_on(async {
        let mut sender = connect(&server).await;
        let trailers = HeaderMap::from_iter([("sum".parse().unwrap(), "7".parse().unwrap())]);
        let body = Full::<Bytes>::from("abc").with_trailers(async move { Some(Ok(trailers)) });
        let request = Request::post("http://a/echo").body(Box::pin(body)).unwrap();
        let body = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["sum"], "7");
        assert_eq!(body.to_bytes(), "abc");
    });
}

#[test]
fn head_has_the_headers_and_no_body() {
    let server = Running::start();
    block_on(async {
        let mut sender = connect(&server).await;
        let request = Request::head("http://a/").body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.headers()["content-length"], "6");
        assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    });
}

#[test]
fn no_content_has_no_body() {
    let server = Running::start();
    block_on(async {
        let mut sender = connect(&server).await;
        let request = get("/none").map(|()| Empty::<Bytes>::new());
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 204);
        assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    });
}

#[test]
fn a_reset_stream_cancels_its_request_alone() {
    let server = Running::start();
    block_on(async {
        let (sender, connection) = raw(&server).await;
        let mut sender = sender.ready().await.unwrap();
        let (first, mut first_stream) = sender.send_request(get("/wait"), true).unwrap();
        let (second, _) = sender.send_request(get("/wait"), true).unwrap();
        let app = &server.app;
        let until = |what: &'static str, is_so: Box<dyn Fn() -> bool>| async move {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            what
        };
        let (began, ended) = (app.clone(), app.clone());
        until("both began", Box::new(move || began.began.load(SeqCst) == 2)).await;
        first_stream.send_reset(h2::Reason::CANCEL);
        until("one ended", Box::new(move || ended.ended.load(SeqCst) == 1)).await;
        drop(first);
        app.release.notify_waiters();
        assert_eq!(second.await.unwrap().status(), 200);
        assert_eq!(app.answered.load(SeqCst), 1);
        connection.abort();
    });
}

#[test]
fn a_client_that_leaves_cancels_all_its_requests() {
    let server = Running::start();
    block_on(async {
        let (sender, connection) = raw(&server).await;
        let mut sender = sender.ready().await.unwrap();
        let requests: Vec<_> =
            (0..3).map(|_| sender.send_request(get("/wait"), true).unwrap()).collect();
        while server.app.began.load(SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        connection.abort();
        drop((requests, sender));
    });
    eventually("all are dropped", || server.app.ended.load(SeqCst) == 3);
    assert_eq!(server.app.answered.load(SeqCst), 0);
}

#[test]
fn resets_in_quick_succession_end_the_connection() {
    let server = Running::start();
    block_on(async {
        let (sender, connection) = raw(&server).await;
        let mut sender = sender.ready().await.unwrap();
        for _ in 0..100_000 {
            let Ok((_, mut stream)) = sender.send_request(get("/wait"), true) else { break };
            stream.send_reset(h2::Reason::CANCEL);
            match sender.ready().await {
                Ok(ready) => sender = ready,
                Err(_) => break,
            }
            tokio::task::yield_now().await;
            if connection.is_finished() {
                break;
            }
        }
        let ended = tokio::time::timeout(crate::harness::LONG, connection).await.unwrap();
        assert!(ended.unwrap().is_err(), "GOAWAY");
    });
    assert!(server.stop().is_clean());
}

#[test]
fn an_answer_left_unread_ends_alone() {
    let write_timeout = Duration::from_millis(300);
    let server = Running::with(ServerConfig { write_timeout, ..config() });
    block_on(async {
        let (sender, _connection) = raw(&server).await;
        let mut sender = sender.ready().await.unwrap();
        let (unread, _) = sender.send_request(get("/zeros/1000000000000"), true).unwrap();
        let mut unread = unread.await.unwrap().into_body();
        // Until it is reset, the connection is in use.
        while server.app.zeros.load(SeqCst) == 1 {
            let (response, _) = sender.send_request(get("/"), true).unwrap();
            assert_eq!(response.await.unwrap().status(), 200);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // What was sent before is still there, and then the end.
        let end = loop {
            match unread.data().await.expect("an end that tells") {
                Ok(data) => unread.flow_control().release_capacity(data.len()).unwrap(),
                Err(error) => break error,
            }
        };
        assert!(end.is_reset(), "{end}");
        let (response, _) = sender.send_request(get("/"), true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
    });
}

#[test]
fn an_answer_that_is_taken_in_drips_ends_alone() {
    let (write_timeout, min_rate) = (Duration::from_secs(1), 4 << 20);
    let server = Running::with(ServerConfig { write_timeout, min_rate, ..config() });
    block_on(async {
        let (sender, _connection) = raw(&server).await;
        let mut sender = sender.ready().await.unwrap();
        let (dripping, _) = sender.send_request(get("/zeros/1000000000000"), true).unwrap();
        let mut dripping = dripping.await.unwrap().into_body();
        while server.app.zeros.load(SeqCst) == 1 {
            // A piece of 64 KiB is made for each; the time begins anew by no means.
            let Some(Ok(data)) = dripping.data().await else { break };
            dripping.flow_control().release_capacity(data.len()).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        eventually("it is made no more", || server.app.zeros.load(SeqCst) == 0);
        let (response, _) = sender.send_request(get("/"), true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
    });
}

#[test]
fn a_body_that_is_sent_in_drips_ends_alone() {
    let body_timeout = Duration::from_millis(300);
    let server = Running::with(ServerConfig { body_timeout, ..config() });
    block_on(async {
        let (sender, _connection) = raw(&server).await;
        let mut sender = sender.ready().await.unwrap();
        let post = Request::post("http://a/count").body(()).unwrap();
        let (mut answer, mut body) = sender.send_request(post, false).unwrap();
        let answer = loop {
            let pause = Duration::from_millis(20);
            if let Ok(answer) = tokio::time::timeout(pause, &mut answer).await {
                break answer.unwrap();
            }
            body.send_data(Bytes::from_static(b"x"), false).unwrap();
        };
        assert_eq!(answer.status(), 400, "what the handler makes of it");
        let (response, _) = sender.send_request(get("/"), true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
    });
}

#[test]
fn a_handler_that_streams_slowly_is_not_the_clients_fault() {
    let short = Duration::from_millis(200);
    let server =
        Running::with(ServerConfig { write_timeout: short, body_timeout: short, ..config() });
    block_on(async {
        let mut sender = connect(&server).await;
        let request = get("/ticks").map(|()| Empty::<Bytes>::new());
        let body = sender.send_request(request).await.unwrap().into_body();
        let lines = body.collect().await.expect("the whole of it").to_bytes();
        assert_eq!(lines.len(), 40 * "tick\n".len());
    });
}

#[test]
fn a_client_that_leaves_all_unread_ends() {
    let write_timeout = Duration::from_millis(300);
    let server = Running::with(ServerConfig { write_timeout, ..config() });
    for path in ["/zeros/1000000000000", "/full/100000"] {
        block_on(async {
            let tcp = TcpStream::connect(server.addr()).await.unwrap();
            let mut client = h2::client::Builder::new();
            client.initial_window_size(0);
            let (sender, connection) = client.handshake::<_, Bytes>(tcp).await.unwrap();
            let connection = tokio::spawn(connection);
            let mut sender = sender.ready().await.unwrap();
            let (unread, _) = sender.send_request(get(path), true).unwrap();
            let _unread = unread.await.unwrap();
            let ended = tokio::time::timeout(crate::harness::LONG, connection).await;
            assert!(ended.is_ok(), "{path}");
        });
    }
}

#[test]
fn a_slow_handler_is_not_the_clients_fault() {
    let short = Duration::from_millis(300);
    let server = Running::with(ServerConfig { write_timeout: short, ..config() });
    block_on(async {
        let (sender, _connection) = raw(&server).await;
        let mut sender = sender.ready().await.unwrap();
        let (response, _) = sender.send_request(get("/wait"), true).unwrap();
        tokio::time::sleep(short * 8).await;
        server.app.release.notify_waiters();
        assert_eq!(response.await.unwrap().status(), 200);
    });
}

#[test]
fn streams_at_once_are_bounded() {
    let http2 = Http2Limits { max_concurrent_streams: 3, ..Http2Limits::default() };
    let server = Running::with(ServerConfig { http2, ..config() });
    block_on(async {
        let (sender, _connection) = raw(&server).await;
        let mut sender = sender.ready().await.unwrap();
        // The first answer comes after the server's settings.
        sender.send_request(get("/"), true).unwrap().0.await.unwrap();
        assert_eq!(sender.current_max_send_streams(), 3);
    });
}

#[test]
fn headers_over_their_bounds_are_431() {
    let server = Running::start();
    block_on(async {
        let mut sender = connect(&server).await;
        for (count, length) in [(1, 70 << 10), (101, 1)] {
            let mut request = get("/").map(|()| Empty::<Bytes>::new());
            for _ in 0..count {
                let value = "y".repeat(length).parse().unwrap();
                request.headers_mut().append("x", value);
            }
            assert_eq!(sender.send_request(request).await.unwrap().status(), 431);
        }
    });
}

#[test]
fn a_graceful_end_finishes_streams() {
    let server = Running::start();
    let shutdown = server.shutdown.clone();
    block_on(async {
        let (sender, connection) = raw(&server).await;
        let mut sender = sender.ready().await.unwrap();
        let (waited, _) = sender.send_request(get("/wait"), true).unwrap();
        while server.app.began.load(SeqCst) < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        shutdown.start();
        // New requests are refused once the client knows.
        while sender.clone().ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.app.release.notify_waiters();
        assert_eq!(waited.await.unwrap().status(), 200);
        connection.await.unwrap().unwrap();
    });
    assert!(server.wait().is_clean());
}

#[test]
fn idle_connections_end_with_a_goodbye() {
    let idle_timeout = Duration::from_millis(200);
    let server = Running::with(ServerConfig { idle_timeout, ..config() });
    block_on(async {
        let (sender, connection) = raw(&server).await;
        let mut sender = sender.ready().await.unwrap();
        sender.send_request(get("/"), true).unwrap().0.await.unwrap();
        connection.await.unwrap().unwrap();
    });
}

#[test]
fn who_only_pings_is_idle() {
    let idle_timeout = Duration::from_millis(300);
    let server = Running::with(ServerConfig { idle_timeout, ..config() });
    let mut tcp = server.connect();
    tcp.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut other = tcp.try_clone().unwrap();
    // What the server asks, by its own pings, is left unanswered.
    let answers = std::thread::spawn(move || crate::harness::read_all(&mut other));
    let began = std::time::Instant::now();
    while !answers.is_finished() {
        assert!(began.elapsed() < crate::harness::LONG, "it is kept for its pings");
        let _ = tcp.write_all(b"\0\0\x08\x06\0\0\0\0\0whatever");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!answers.join().unwrap().is_empty());
}

#[test]
fn curl_speaks_it() {
    let server = Running::start();
    let url = format!("http://{}/echo", server.addr());
    for (option, version) in [("--http2-prior-knowledge", "2"), ("--http1.1", "1.1")] {
        let output = Command::new("curl")
            .args([option, "-sS", "-m", "60", "--data", "hello", "-w", " %{http_version}", &url])
            .output();
        match output {
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                assert_eq!(text, format!("hello {version}"), "{output:?}");
            }
            Err(error) => eprintln!("curl is not installed, skipped: {error}"),
        }
    }
}
