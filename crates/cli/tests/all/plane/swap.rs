//! A release follows another: no request is dropped, and none is answered by what was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dayfly_testing::App;
use futures_util::StreamExt as _;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::{GRACE, Served, host, key, number, numbered};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_releases_drop_no_request() {
    const RELEASES: usize = 200;
    let served = Served::start();
    served.put("a", "0", &numbered(0)).await;
    served.put("b", "0", &numbered(7)).await;
    let (newest, end) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let clients = (0..6).map(|index| {
        let (client, newest, end) = (served.client(), newest.clone(), end.clone());
        tokio::spawn(async move {
            let mut answers = 0;
            while !end.load(SeqCst) {
                let app = if index == 5 { "b" } else { "a" };
                let path = if index % 2 == 0 { "/env" } else { "/env?slow" };
                let least = newest.load(SeqCst);
                let answer = client.get_with(path, &[("host", &host(app))]).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                let number = number(&answer.text());
                match app {
                    "a" => assert!(number >= least, "{number} answered after {least} was put"),
                    _ => assert_eq!(number, 7),
                }
                answers += 1;
            }
            answers
        })
    });
    let clients: Vec<_> = clients.collect();
    for number in 1..=RELEASES {
        served.put("a", &number.to_string(), &numbered(number)).await;
        newest.store(number, SeqCst);
    }
    end.store(true, SeqCst);
    let mut answers = 0;
    for client in clients {
        answers += client.await.unwrap();
    }
    assert!(answers > RELEASES, "{answers}");
    served.drained().await;
    assert_eq!(served.stop().await, 0);
}

/// An answer that is still being written.
pub(super) async fn begun(served: &Served, app: &str, path: &str) -> hyper::body::Incoming {
    let authority = served.base.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(authority).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().method(Method::GET).uri(path).header("host", host(app));
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_finished_in_the_release_that_began_them() {
    let served = Served::start();
    served.put("a", "0", &numbered(0)).await;
    let body = begun(&served, "a", "/slow?chunks=20&ms=50").await;
    served.put("a", "1", &numbered(1)).await;
    assert_eq!(served.plane.draining(), 1);
    assert_eq!(number(&served.text("a", "/env").await), 1);
    assert!(!body.collect().await.unwrap().to_bytes().is_empty());
    served.drained().await;
    // One that goes on for longer than the grace is cut off.
    let body = begun(&served, "a", "/slow?chunks=1000&ms=50").await;
    let since = Instant::now();
    served.put("a", "2", &numbered(2)).await;
    assert!(body.collect().await.is_err(), "it is not whole");
    assert!(since.elapsed() >= GRACE && since.elapsed() < GRACE * 3, "{:?}", since.elapsed());
    served.drained().await;
    // The end of an app is no other.
    let body = begun(&served, "a", "/slow?chunks=20&ms=20").await;
    assert!(served.remove("a").await);
    assert!(body.collect().await.is_ok());
    served.drained().await;
    assert_eq!(served.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_activated_changes_nothing() {
    let served = Served::start();
    served.put("a", "0", &numbered(0)).await;
    let nothing = App::granted("rust-http", "").file("bad.wasm", "no component");
    let text = nothing.text("dayfly.toml");
    let line = text.lines().find(|line| line.starts_with("source")).unwrap();
    let bad = text.replace(line, "source = \"bad.wasm\"");
    std::fs::write(nothing.manifest(), bad).unwrap();
    let error = served.try_put("a", &[("1", 100, Some(&nothing))]).await.unwrap_err();
    assert!(error.contains("component `guest`"), "{error}");
    assert_eq!(number(&served.text("a", "/env").await), 0);
    let error = served.try_put("a", &[("7", 100, None)]).await.unwrap_err();
    assert_eq!(error, "release `7` is not served");
    let error = served.try_put("a", &[("0", 60, None)]).await.unwrap_err();
    assert!(error.contains("100 percent"), "{error}");
    // Nor does a new app that cannot be activated stay.
    served.try_put("b", &[("0", 100, Some(&nothing))]).await.unwrap_err();
    assert_eq!(served.plane.releases(&key("b")), None);
    assert_eq!(number(&served.text("a", "/env").await), 0);
    assert_eq!(served.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_releases_share_requests_as_they_are_told() {
    let served = Served::start();
    served.put("a", "old", &numbered(1)).await;
    let new = numbered(2);
    let client = served.client();
    let share = async || {
        let mut new = 0;
        for _ in 0..200 {
            let answer = client.get_with("/env", &[("host", "a.test")]).await;
            assert_eq!(answer.status, 200);
            new += number(&answer.text()) - 1;
        }
        new
    };
    served.try_put("a", &[("old", 90, None), ("new", 10, Some(&new))]).await.unwrap();
    // Exact on each core, whichever of them a connection is on.
    assert!((18..=22).contains(&share().await));
    served.try_put("a", &[("old", 25, None), ("new", 75, None)]).await.unwrap();
    assert!((145..=155).contains(&share().await));
    assert_eq!(served.plane.draining(), 0, "both are served");
    served.try_put("a", &[("new", 100, None)]).await.unwrap();
    assert_eq!(share().await, 200);
    served.drained().await;
    assert_eq!(served.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_are_asked_to_come_again() {
    let served = Served::start();
    let chat = |number: usize| {
        App::new(&format!(
            "dayfly = 1\n[application]\nname = \"test\"\n\
             [[trigger.http]]\nroute = \"/chat\"\ncomponent = \"chat\"\nwebsocket = true\n\
             [component.chat]\nsource = \"guest:rust-websocket\"\n\
             environment = {{ RELEASE = \"{number}\" }}\n"
        ))
    };
    served.put("a", "0", &chat(0)).await;
    let authority = served.base.strip_prefix("http://").unwrap().to_owned();
    let connect = async || {
        let request = format!("ws://{}/chat", host("a")).into_client_request().unwrap();
        let stream = TcpStream::connect(&authority).await.unwrap();
        client_async(request, stream).await.unwrap().0
    };
    let mut old = connect().await;
    served.put("a", "1", &chat(1)).await;
    let mut new = connect().await;
    let frame = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match old.next().await.unwrap().unwrap() {
                Message::Close(frame) => return frame.unwrap(),
                _ => continue,
            }
        }
    });
    assert_eq!(u16::from(frame.await.unwrap().code), 1012);
    // It answers the goodbye, and is gone.
    while old.next().await.is_some() {}
    served.drained().await;
    use futures_util::SinkExt as _;
    new.send(Message::text("hello")).await.unwrap();
    assert_eq!(new.next().await.unwrap().unwrap(), Message::text("hello"));
    drop(new);
    assert_eq!(served.stop().await, 0);
}
