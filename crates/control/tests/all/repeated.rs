//! Requests that come twice by the same key.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;

use crate::Platform;

impl Platform {
    /// How many tokens of the operator's are called so.
    fn tokens_called(&self, name: &str) -> usize {
        self.operator().tokens(None).unwrap().iter().filter(|it| it.name == name).count()
    }
}

#[test]
fn a_client_that_left_before_it_was_answered_finds_it_done_once() {
    let platform = Platform::new();
    platform.operator().whoami().unwrap();
    let body = r#"{"name":"ci","scope":"read"}"#;
    let bearer = format!("Bearer {}", platform.operator);
    platform.while_held(|| {
        let mut stream = TcpStream::connect(platform.address).unwrap();
        let length = body.len();
        let request = format!(
            "POST /v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\nidempotency-key: one\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        // It waits for the store by now, where nothing takes it back.
        thread::sleep(Duration::from_millis(500));
    });
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("idempotency-key", "one"),
    ];
    let since = Instant::now();
    let again = loop {
        let again = platform.ask(Method::POST, "/v1/tokens", &headers, Bytes::from(body));
        if again.status != 409 || since.elapsed() > Duration::from_secs(20) {
            break again;
        }
    };
    assert_eq!(again.status, 201, "{}", again.text());
    assert_eq!(platform.tokens_called("ci"), 1, "it was made twice");
    let same = platform.ask(Method::POST, "/v1/tokens", &headers, Bytes::from(body));
    assert_eq!((same.status, same.body), (201, again.body));
}
