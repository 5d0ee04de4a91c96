//! Guests that go wrong: each way has its status, a line with an error id in the answer and in the
//! log, and no effect on any other request.

use dayfly_testing::{Answer, App, Running};

use crate::dayfly;

/// The answer is an error with this status, and the log tells its cause under the same id.
async fn failed(server: &Running, answer: &Answer, status: u16, cause: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let id = answer.error_id();
    assert!(!answer.text().contains("wasm"), "the host leaks: {}", answer.text());
    let line = server.stderr().containing(&format!("error_id={id}")).await;
    assert!(line.contains(cause), "no `{cause}` in {line}");
    assert_eq!(server.text("/hello").await, "hello world");
}

#[tokio::test]
async fn a_trap_is_500_and_touches_only_its_request() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    let neighbour = server.get("/sleep?ms=500");
    let panicking = async {
        for _ in 0..5 {
            let answer = server.get("/panic").await;
            failed(&server, &answer, 500, "the guest trapped").await;
        }
    };
    let (neighbour, ()) = tokio::join!(neighbour, panicking);
    assert_eq!((neighbour.status, &*neighbour.text()), (200, "slept\n"));
    server.stop().await;
}

/// How many of its failures a component has a line for in a second.
const LINES: usize = 20;

#[tokio::test]
async fn a_guest_does_not_fill_the_log_by_failing() {
    let app = App::of("rust-http");
    let command = dayfly().args(["up", "--access-log", "on"]).arg(app.folder());
    let server = command.serve().await;
    let begun = std::time::Instant::now();
    let mut ids = Vec::new();
    while ids.len() < 20 * LINES {
        let answers = (0..4 * LINES).map(|_| async { server.another_client().get("/panic").await });
        for answer in futures_util::future::join_all(answers).await {
            assert_eq!(answer.status, 500);
            ids.push(answer.error_id());
        }
    }
    let most = (begun.elapsed().as_secs() as usize + 2) * LINES;
    // Whoever was given an id finds it in the access log.
    for id in &ids {
        server.stderr().containing(id).await;
    }
    let lines = server.stderr().all();
    let told = lines.iter().filter(|line| line.contains("the guest trapped")).count();
    assert!((LINES..=most).contains(&told), "{told} of {} in {:?}", ids.len(), begun.elapsed());
    assert!(told < ids.len(), "{told}");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let answer = server.get("/panic").await;
    failed(&server, &answer, 500, "unsaid=").await;
    server.stop().await;
}

#[tokio::test]
async fn a_trap_on_wasi_0_3_is_500() {
    let app = App::of("rust-p3-echo");
    let server = dayfly().up(app.folder()).await;
    let answer = server.get("/panic").await;
    failed(&server, &answer, 500, "the guest trapped").await;
    server.stop().await;
}

#[tokio::test]
async fn a_stack_that_ends_is_500() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    let answer = server.get("/recurse").await;
    failed(&server, &answer, 500, "the guest trapped").await;
    server.stop().await;
}

#[tokio::test]
async fn no_response_is_500() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    let answer = server.get("/noresponse").await;
    failed(&server, &answer, 500, "without a response").await;
    server.stop().await;
}

#[tokio::test]
async fn an_error_code_for_an_answer_is_500() {
    for guest in ["rust-http", "rust-p3-echo"] {
        let app = App::of(guest);
        let server = dayfly().up(app.folder()).await;
        let answer = server.get("/refuse").await;
        failed(&server, &answer, 500, "this handler refuses").await;
        server.stop().await;
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_taken_for_a_whole_one() {
    let app = App::granted("rust-http", "limits = { time = \"500ms\" }");
    let server = dayfly().up(app.folder()).await;
    for client in [server.another_client(), server.http2()] {
        // The first piece is sent, and the second comes too late.
        let request = client.request(http::Method::GET, "/slow?chunks=2&ms=400");
        let whole = client.try_send(request.body(dayfly_testing::Body::empty())).await;
        assert_eq!(whole.unwrap().text(), "chunk 1\nchunk 2\n");
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let body = futures_util::stream::once(async move {
            let _ = receiver.await;
            "late".into()
        });
        let body = futures_util::StreamExt::chain(
            futures_util::stream::iter(["first".into()]),
            Box::pin(body),
        );
        let request = client.request(http::Method::POST, "/echo");
        let broken = client.try_send(request.body(dayfly_testing::Body::stream(body))).await;
        assert!(broken.is_err(), "half a body looks whole: {broken:?}");
        drop(sender);
    }
    server.stderr().containing("within its time").await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn a_trap_in_the_middle_of_a_body_is_seen() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    let request = server.request(http::Method::GET, "/break");
    match server.try_send(request.body(dayfly_testing::Body::empty())).await {
        // Nothing was sent yet when it trapped.
        Ok(answer) => failed(&server, &answer, 500, "the guest trapped").await,
        Err(_) => drop(server.stderr().containing("the guest trapped").await),
    }
    server.stop().await;
}

#[tokio::test]
async fn an_exception_of_a_script_is_500() {
    let app = App::of("python-http");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.get("/raise").await.status, 500);
    server.stderr().containing("this handler raises when asked to").await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn a_malformed_request_is_400() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    let mut connection = server.connect().await;
    connection.write_all(b"GET / nonsense\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    server.stop().await;
}
