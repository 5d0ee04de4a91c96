//! Writing too much, and breaking the rules of HTTP.

use std::hint::black_box;

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

use crate::answer::{begin, say};

pub fn log_flood() {
    loop {
        println!("a line of a flood, which goes on and on and on and on and on and on");
    }
}

pub fn log_line(out: ResponseOutparam) {
    println!("{}", "x".repeat(4 << 20));
    say(out, 200, "logged");
}

/// What a terminal would obey: a new title, a cleared screen, a line that looks like the host's.
pub fn log_escapes(out: ResponseOutparam) {
    println!("\x1b]0;owned\x07\x1b[2J\x1b[31mred\r2026-01-01T00:00:00Z ERROR dayfly: forged\x08\x7f");
    say(out, 200, "logged");
}

/// A body without end, as fast as it is taken.
pub fn endless(out: ResponseOutparam) {
    let (_body, stream) = begin(out, 200, Fields::new());
    while stream.blocking_write_and_flush(&[b'x'; 4096]).is_ok() {}
}

/// Says how it went to take something, and keeps that until it is ended.
pub fn hold<T>(out: ResponseOutparam, (_held, text): (T, String)) {
    let (_body, stream) = begin(out, 200, Fields::new());
    let _ = stream.blocking_write_and_flush(text.as_bytes());
    subscribe_duration(3_600_000_000_000).block();
}

/// A body without end, a byte at a time.
pub fn trickle(out: ResponseOutparam) {
    let (_body, stream) = begin(out, 200, Fields::new());
    while stream.blocking_write_and_flush(b"x").is_ok() {
        subscribe_duration(50_000_000).block();
    }
}

/// Says that its body has five bytes, and goes on with the next answer, for a client that believed it.
pub fn long_body(out: ResponseOutparam) {
    sized(out, 5, b"xxxxxHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged");
}

/// Says that its body has `said` bytes, and writes `written`.
pub fn sized(out: ResponseOutparam, said: usize, written: &[u8]) {
    let headers = Fields::new();
    headers.append("content-length", said.to_string().as_bytes()).expect("a legal header");
    let (body, stream) = begin(out, 200, headers);
    let _ = stream.blocking_write_and_flush(written);
    drop(stream);
    if let Err(error) = OutgoingBody::finish(body, None) {
        eprintln!("finish: {error:?}");
    }
}

pub fn forbidden_header(out: ResponseOutparam) {
    let names = ["connection", "keep-alive", "transfer-encoding", "upgrade", "host", "te"];
    let answers = names.map(|name| format!("{name} {:?}\n", Fields::new().append(name, b"x")));
    say(out, 200, &answers.concat());
}

pub fn malformed_header(out: ResponseOutparam) {
    let pairs: [(&str, &[u8]); 6] = [
        ("a b", b"x"),
        ("", b"x"),
        ("a\r\nb", b"x"),
        ("x", b"a\r\nset-cookie: forged"),
        ("x", b"a\0b"),
        ("x:", b"y"),
    ];
    let answers = pairs.map(|(name, value)| format!("{:?}\n", Fields::new().append(name, value)));
    say(out, 200, &answers.concat());
}

pub fn huge_header(out: ResponseOutparam) {
    let answer = Fields::new().append("x", &vec![b'x'; 1 << 20]);
    say(out, 200, &format!("{answer:?}"));
}

pub fn many_headers(out: ResponseOutparam) {
    let headers = Fields::new();
    for number in 0..1_000_000 {
        headers.append(&format!("x-{number}"), b"x").expect("a legal header");
    }
    let _ = begin(out, 200, headers);
}

pub fn status(out: ResponseOutparam) {
    let codes = [0, 99, 1000, 65535];
    let response = OutgoingResponse::new(Fields::new());
    let answers = codes.map(|code| format!("{:?}\n", response.set_status_code(code)));
    say(out, 200, &answers.concat());
}

/// A status that cannot be an answer's last.
pub fn informational(out: ResponseOutparam) {
    let (body, stream) = begin(out, 101, Fields::new());
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

pub fn twice_the_body(out: ResponseOutparam) {
    let response = OutgoingResponse::new(Fields::new());
    let first = response.body();
    let second = response.body();
    let text = format!("{} {}", first.is_ok(), second.is_ok());
    drop(first);
    say(out, 200, &text);
}

pub fn error_code(out: ResponseOutparam) {
    let secret = "a text that is the log's, not the client's".to_owned();
    ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some(secret))));
}

/// Answers when nobody waits any more.
pub fn late(out: ResponseOutparam) {
    subscribe_duration(5_000_000_000).block();
    say(out, 200, "too late");
}

pub fn spin_after(out: ResponseOutparam) {
    say(out, 200, "answered");
    loop {
        black_box(0);
    }
}

pub fn trap_after(out: ResponseOutparam) {
    let (_body, stream) = begin(out, 200, Fields::new());
    let _ = stream.blocking_write_and_flush(b"the first half");
    panic!("in the middle of its body");
}

/// Takes the request's body, reads one byte, and keeps its client waiting.
pub fn hoard_body(request: IncomingRequest, out: ResponseOutparam) {
    let body = request.consume().expect("the first time");
    let stream = body.stream().expect("the first time");
    let _ = stream.blocking_read(1);
    subscribe_duration(3_600_000_000_000).block();
    say(out, 200, "never");
}
