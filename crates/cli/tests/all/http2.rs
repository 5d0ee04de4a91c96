//! The flags that bound clients of HTTP/2, against a client that sends its frames by hand.

use dayfly_testing::{App, Running};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::dayfly;

// Kinds of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

// Flags.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

// Settings.
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

// Errors.
const FLOW_CONTROL_ERROR: u32 = 3;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

#[derive(Debug)]
struct Frame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// The code of a frame that ends a stream or the connection.
    fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    fn setting(&self, wanted: u16) -> Option<u32> {
        self.payload.chunks(6).find_map(|setting| {
            let (name, value) = setting.split_at(2);
            let name = u16::from_be_bytes(name.try_into().unwrap());
            (name == wanted).then(|| u32::from_be_bytes(value.try_into().unwrap()))
        })
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// The head of a request for a path: its method, scheme, path and authority.
fn headers(flags: u8, stream: u32, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    let block = [&[0x82, 0x86, 0x04, length], path.as_bytes(), &[0x41, 1, b'a']].concat();
    frame(HEADERS, flags | END_HEADERS, stream, &block)
}

struct Client(TcpStream);

impl Client {
    async fn of(server: &Running) -> Self {
        let mut client = Self(server.connect().await);
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        client.send(&frame(SETTINGS, 0, 0, &[])).await;
        client
    }

    async fn send(&mut self, bytes: &[u8]) {
        // The server may have gone.
        let _ = self.0.write_all(bytes).await;
    }

    /// The next frame of any of these kinds; a test that waits for ever fails.
    async fn next(&mut self, kinds: &[u8]) -> Frame {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.expect("a frame");
            let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | u32::from(*byte));
            let mut payload = vec![0; number(&head[..3]) as usize];
            self.0.read_exact(&mut payload).await.expect("a frame");
            if kinds.contains(&head[3]) {
                return Frame { kind: head[3], stream: number(&head[5..]), payload };
            }
        }
    }
}

async fn with(flags: &[&str]) -> (App, Running) {
    let app = App::of("rust-http");
    let server = dayfly().arg("up").args(flags).arg(app.folder()).serve().await;
    (app, server)
}

#[tokio::test]
async fn requests_at_once_are_bounded() {
    let (_app, server) = with(&["--max-streams", "2"]).await;
    let mut client = Client::of(&server).await;
    let settings = client.next(&[SETTINGS]).await;
    assert_eq!(settings.setting(MAX_CONCURRENT_STREAMS), Some(2));
    // Once it has agreed, the client has no excuse.
    client.send(&frame(SETTINGS, 1, 0, &[])).await;
    for stream in [1, 3, 5] {
        client.send(&headers(END_STREAM, stream, "/sleep?ms=300")).await;
    }
    let refused = client.next(&[RST_STREAM, GOAWAY]).await;
    assert_eq!((refused.stream, refused.error()), (5, REFUSED_STREAM), "{refused:?}");
    let answers = [client.next(&[HEADERS]).await.stream, client.next(&[HEADERS]).await.stream];
    assert!(answers == [1, 3] || answers == [3, 1], "{answers:?}");
    server.stop().await;
}

/// Sends ten requests that come to nothing, and one that is in order: past a bound of three the
/// connection ends, and without it that one is answered. Others are served in any case.
async fn bounded(flag: &str, nothing: impl Fn(u32) -> Vec<u8>) {
    for (flags, ends) in [(&[flag, "3"][..], true), (&[], false)] {
        let (_app, server) = with(flags).await;
        let mut client = Client::of(&server).await;
        client.send(&(0..10).flat_map(|n| nothing(2 * n + 1)).collect::<Vec<u8>>()).await;
        client.send(&headers(END_STREAM, 21, "/hello")).await;
        let next = client.next(&[HEADERS, GOAWAY]).await;
        if ends {
            assert_eq!((next.kind, next.error()), (GOAWAY, ENHANCE_YOUR_CALM), "{next:?}");
        } else {
            assert_eq!((next.kind, next.stream), (HEADERS, 21), "{next:?}");
        }
        assert_eq!(server.text("/hello").await, "hello world");
        server.stop().await;
    }
}

#[tokio::test]
async fn requests_that_are_taken_back_are_bounded() {
    let taken_back = |stream| {
        let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        [headers(END_STREAM, stream, "/hello"), reset].concat()
    };
    bounded("--max-stream-resets", taken_back).await;
}

#[tokio::test]
async fn requests_that_break_the_protocol_are_bounded() {
    // A method, and nothing else.
    let malformed = |stream| frame(HEADERS, END_STREAM | END_HEADERS, stream, &[0x82]);
    bounded("--max-stream-errors", malformed).await;
}

#[tokio::test]
async fn what_is_sent_ahead_is_bounded() {
    let flags = ["--stream-window", "64KiB", "--connection-window", "128KiB"];
    let (_app, server) = with(&flags).await;
    let mut client = Client::of(&server).await;
    let settings = client.next(&[SETTINGS]).await;
    assert_eq!(settings.setting(INITIAL_WINDOW_SIZE), Some(64 << 10));
    let more = client.next(&[WINDOW_UPDATE]).await;
    let more = u32::from_be_bytes(more.payload.try_into().unwrap());
    assert_eq!(more + 65_535, 128 << 10);
    client.send(&frame(SETTINGS, 1, 0, &[])).await;
    // A guest that does not read its body.
    client.send(&headers(0, 1, "/sleep?ms=20000")).await;
    for _ in 0..5 {
        client.send(&frame(DATA, 0, 1, &[0; 16 << 10])).await;
    }
    let refused = client.next(&[RST_STREAM, GOAWAY]).await;
    assert_eq!(refused.error(), FLOW_CONTROL_ERROR, "{refused:?}");
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn flags_that_make_no_sense_are_refused() {
    let app = App::of("rust-http");
    for (flag, value) in [
        ("--max-streams", "0"),
        ("--max-stream-resets", "many"),
        ("--stream-window", "1KiB"),
        ("--connection-window", "2GiB"),
        ("--handshake-timeout", "10"),
    ] {
        dayfly().args(["up", flag, value]).arg(app.folder()).ends().await.with(2);
    }
}
