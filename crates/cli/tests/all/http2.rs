//! The bounds of clients of HTTP/2, and the flags for them, against a client that sends its frames by
//! hand.

use std::time::Duration;

use dayfly_testing::{App, Running};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::dayfly;

// Kinds of frames.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

// Flags.
pub(crate) const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

// Settings.
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

// Errors.
const FLOW_CONTROL_ERROR: u32 = 3;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    stream: u32,
    pub(crate) payload: Vec<u8>,
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

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// The head of a request for a path: its method, scheme, path and authority.
pub(crate) fn headers(flags: u8, stream: u32, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    let block = [&[0x82, 0x86, 0x04, length], path.as_bytes(), &[0x41, 1, b'a']].concat();
    frame(HEADERS, flags | END_HEADERS, stream, &block)
}

pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn of(server: &Running) -> Self {
        let mut client = Self(server.connect().await);
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        client.send(&frame(SETTINGS, 0, 0, &[])).await;
        client
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        // The server may have gone.
        let _ = self.0.write_all(bytes).await;
    }

    /// The next frame of any of these kinds; a test that waits for ever fails.
    pub(crate) async fn next(&mut self, kinds: &[u8]) -> Frame {
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

/// How much of a flood is sent, if it is let in: tens of thousands of frames.
const FLOOD_BYTES: usize = 32 << 20;

/// What a server may grow by in a flood.
const GROWN_BYTES: u64 = 16 << 20;

/// A client that sends `some` again and again, after a beginning, and takes nothing of what comes. The
/// connection ends, or what comes is let in without being kept, or not let in; others are served
/// meanwhile in any case. Afterwards nothing of it is left at work.
async fn flood(beginning: &[u8], some: &[u8]) {
    let (_app, server) = with(&["--write-timeout", "2s", "--max-lag", "1m"]).await;
    assert_eq!(server.text("/hello").await, "hello world");
    let process = server.process();
    let before = process.resident_bytes();
    process.forget_peak();
    let mut client = Client::of(&server).await;
    client.send(beginning).await;
    let some = some.repeat((64 << 10) / some.len() + 1);
    let flooding = async {
        let mut sent = 0;
        while sent < FLOOD_BYTES {
            match timeout(Duration::from_secs(5), client.0.write_all(&some)).await {
                Ok(Ok(())) => sent += some.len(),
                Ok(Err(_)) | Err(_) => break,
            }
        }
        sent
    };
    let neighbour = server.another_client();
    let served = async {
        loop {
            let answer = timeout(Duration::from_secs(5), neighbour.text("/hello")).await;
            assert_eq!(answer.expect("a neighbour is served"), "hello world");
            sleep(Duration::from_millis(5)).await;
        }
    };
    let sent = tokio::select! {
        sent = flooding => sent,
        () = served => unreachable!("it serves for ever"),
    };
    let grown = process.peak_resident_bytes().saturating_sub(before);
    println!("{sent} bytes were sent, and it grew by {grown}");
    assert!(grown < GROWN_BYTES, "it grew by {grown} bytes for {sent}");
    drop(client);
    let computed = process.cpu_time();
    sleep(Duration::from_secs(1)).await;
    let computed = process.cpu_time() - computed;
    assert!(computed < Duration::from_millis(300), "{computed:?} after the flood");
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn a_flood_of_settings_is_bounded() {
    let setting = [&MAX_CONCURRENT_STREAMS.to_be_bytes()[..], &100_u32.to_be_bytes()].concat();
    flood(&[], &frame(SETTINGS, 0, 0, &setting)).await;
    flood(&[], &frame(SETTINGS, 0, 0, &[])).await;
    // Agreement to what was never said.
    flood(&[], &frame(SETTINGS, 1, 0, &[])).await;
}

#[tokio::test]
async fn a_flood_of_window_sizes_is_bounded() {
    // Each changes the windows of all streams that there are.
    let open: Vec<u8> =
        (0..50).flat_map(|n| headers(END_STREAM, 2 * n + 1, "/sleep?ms=20000")).collect();
    let size = |bytes: u32| {
        let setting = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &bytes.to_be_bytes()].concat();
        frame(SETTINGS, 0, 0, &setting)
    };
    flood(&open, &[size(0), size(1 << 20)].concat()).await;
}

#[tokio::test]
async fn a_flood_of_pings_is_bounded() {
    flood(&[], &frame(PING, 0, 0, &[7; 8])).await;
    // Answers to none of ours.
    flood(&[], &frame(PING, 1, 0, &[7; 8])).await;
}

#[tokio::test]
async fn a_flood_of_continuations_is_bounded() {
    let begun = frame(HEADERS, END_STREAM, 1, &[0x82, 0x86, 0x84]);
    // Nothing each; a kilobyte of a header each.
    flood(&begun, &frame(CONTINUATION, 0, 1, &[])).await;
    let name = [&[0x00, 1, b'x', 0x7f, 0x81, 0x07][..], &[b'y'; 1024]].concat();
    flood(&begun, &frame(CONTINUATION, 0, 1, &name)).await;
}

#[tokio::test]
async fn a_flood_of_data_that_is_none_is_bounded() {
    let open = headers(0, 1, "/sleep?ms=20000");
    flood(&open, &frame(DATA, 0, 1, &[])).await;
    // Padding alone (RFC 9113, section 6.1).
    flood(&open, &frame(DATA, 8, 1, &[3, 0, 0, 0])).await;
    flood(&open, &frame(DATA, 0, 1, b"x")).await;
}

#[tokio::test]
async fn a_flood_of_windows_is_bounded() {
    let one = 1_u32.to_be_bytes();
    let open = headers(END_STREAM, 1, "/sleep?ms=20000");
    flood(&open, &frame(WINDOW_UPDATE, 0, 0, &one)).await;
    flood(&open, &frame(WINDOW_UPDATE, 0, 1, &one)).await;
}

#[tokio::test]
async fn a_flood_of_frames_that_mean_nothing_is_bounded() {
    const PRIORITY: u8 = 2;
    const UNKNOWN: u8 = 0xee;
    flood(&[], &frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 7])).await;
    flood(&[], &frame(UNKNOWN, 0, 0, &[7; 16])).await;
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
