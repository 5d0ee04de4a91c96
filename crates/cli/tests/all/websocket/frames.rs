//! Clients that break the protocol, by frames that no library would write.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Client, PATIENCE, up};

/// A bare connection, behind its handshake.
async fn raw(server: &dayfly_testing::Running) -> TcpStream {
    let mut stream = server.connect().await;
    let head = format!(
        "GET /chat/a HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.authority()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    stream
}

/// A frame with a mask of zeros, which changes nothing.
fn frame(head: u8, data: &[u8]) -> Vec<u8> {
    let mut frame = vec![head];
    match data.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend((long as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(data);
    frame
}

/// The code with which the server closes, once it got these bytes.
async fn code(server: &dayfly_testing::Running, bytes: &[u8]) -> u16 {
    let mut stream = raw(server).await;
    // It may be closed before all of it has gone.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is closed");
    // Pongs and answers may come first.
    let mut rest = &answer[..];
    while rest.len() >= 2 {
        let (head, length) = (rest[0], usize::from(rest[1]));
        if head == 0x88 {
            return u16::from_be_bytes([rest[2], rest[3]]);
        }
        rest = &rest[2 + length..];
    }
    panic!("closed without a word: {answer:?}");
}

#[tokio::test]
async fn what_breaks_the_protocol_is_closed_with_its_code() {
    let (_app, server) = up("true").await;
    let unmasked = b"\x81\x05hello";
    for (what, bytes, expected) in [
        ("no mask", &unmasked[..], 1002),
        ("reserved bits", &frame(0xc1, b"hello"), 1002),
        ("an operation that there is not", &frame(0x83, b"hello"), 1002),
        ("a control frame in pieces", &frame(0x09, b"hello"), 1002),
        ("a control frame that is too long", &frame(0x89, &[0; 126]), 1002),
        ("an end without a beginning", &frame(0x80, b"hello"), 1002),
        ("a beginning in a beginning", &[frame(0x01, b"a"), frame(0x01, b"b")].concat(), 1002),
        ("text that is none", &frame(0x81, b"\xff\xfe"), 1007),
        ("a length without end", b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009),
        ("a reserved code", &frame(0x88, &1005u16.to_be_bytes()), 1002),
    ] {
        assert_eq!(code(&server, bytes).await, expected, "{what}");
    }
    // All of that hurt nobody else.
    assert_eq!(Client::connect(&server, "/chat/a").await.ask("hello").await, "hello");
    server.stop().await;
}

#[tokio::test]
async fn floods_are_ended() {
    let (_app, server) = up("true").await;
    let pings = frame(0x89, b"").repeat(5_000);
    assert_eq!(code(&server, &pings).await, 1008, "pings");
    let fragments = [frame(0x01, b"a"), frame(0x00, b"").repeat(200_000)].concat();
    assert_eq!(code(&server, &fragments).await, 1009, "fragments of nothing");
    server.stop().await;
}

#[tokio::test]
async fn frames_may_come_with_the_request_and_in_any_pieces() {
    let (_app, server) = up("true").await;
    let mut stream = raw(&server).await;
    for byte in [frame(0x01, b"hel"), frame(0x89, b"!"), frame(0x80, b"lo")].concat() {
        stream.write_u8(byte).await.unwrap();
        stream.flush().await.unwrap();
    }
    let mut answer = [0; 10];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"\x8a\x01!\x81\x05hello");
    server.stop().await;
}

#[tokio::test]
async fn messages_that_do_not_end_are_bounded_together() {
    const CLIENTS: usize = 64;
    let (_app, server) = up("{ message = \"16MiB\" }").await;
    assert_eq!(Client::connect(&server, "/chat/a").await.ask("hello").await, "hello");
    let before = server.process().resident_bytes();
    server.process().forget_peak();
    let piece = vec![b'x'; 60_000];
    let unfinished = [frame(0x02, &piece), frame(0x00, &piece).repeat(200)].concat();
    let clients = (0..CLIENTS).map(async |_| {
        let mut stream = raw(&server).await;
        let _ = timeout(PATIENCE, stream.write_all(&unfinished)).await;
        let mut goodbye = [0; 4];
        let read = timeout(Duration::from_secs(3), stream.read_exact(&mut goodbye)).await;
        let is_closed = read.is_ok();
        if let Ok(Ok(_)) = read {
            assert_eq!(u16::from_be_bytes([goodbye[2], goodbye[3]]), 1013);
        }
        (stream, is_closed)
    });
    let clients = join_all(clients).await;
    let closed = clients.iter().filter(|(_, is_closed)| *is_closed).count();
    assert!(closed >= CLIENTS / 2, "{closed} are closed");
    let peak = server.process().peak_resident_bytes().saturating_sub(before);
    assert!(peak < 500 << 20, "{} MiB", peak >> 20);
    // Who says little says it all the same.
    assert_eq!(Client::connect(&server, "/chat/a").await.ask("hello").await, "hello");
    drop(clients);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let much = "x".repeat(1 << 20);
    assert_eq!(Client::connect(&server, "/chat/a").await.ask(&much).await, much);
    server.stop().await;
}
