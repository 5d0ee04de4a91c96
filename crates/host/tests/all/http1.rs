//! HTTP/1: keep-alive, pipelining, `Expect`, HEAD, trailers, clients that leave.

use std::io::Write as _;
use std::net::Shutdown as Half;
use std::sync::atomic::Ordering::SeqCst;

use crate::harness::{Running, eventually, is_closed, read_all, read_until};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn a_connection_serves_many_requests() {
    let server = Running::start();
    let mut tcp = server.connect();
    for _ in 0..5 {
        tcp.write_all(GET.as_bytes()).unwrap();
        let answer = read_until(&mut tcp, "hello\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("content-length: 6\r\n"), "{answer}");
        assert!(answer.contains("date: "), "{answer}");
    }
    assert!(server.stop().is_clean());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Running::start();
    let mut tcp = server.connect();
    let count = "POST /count HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    tcp.write_all(format!("{GET}{count}{GET}").as_bytes()).unwrap();
    read_until(&mut tcp, "hello\n");
    read_until(&mut tcp, "\r\n\r\n3");
    read_until(&mut tcp, "hello\n");
}

#[test]
fn connection_close_is_obeyed() {
    let server = Running::start();
    let answer = server.raw("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(answer.ends_with("hello\n"), "{answer}");
    let answer = server.raw("GET / HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("hello\n"), "{answer}");
}

#[test]
fn continue_is_said_when_the_body_is_wanted() {
    let server = Running::start();
    let mut tcp = server.connect();
    let head = "HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n";
    tcp.write_all(format!("POST /count {head}").as_bytes()).unwrap();
    let first = read_until(&mut tcp, "\r\n\r\n");
    assert_eq!(first, "HTTP/1.1 100 Continue\r\n\r\n");
    tcp.write_all(b"abc").unwrap();
    read_until(&mut tcp, "\r\n\r\n3");
}

#[test]
fn continue_is_not_said_when_the_body_is_refused() {
    let server = Running::start();
    let mut tcp = server.connect();
    let head = "HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n";
    tcp.write_all(format!("POST /refuse {head}").as_bytes()).unwrap();
    let answer = read_until(&mut tcp, "no\n");
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[test]
fn head_has_the_headers_and_no_body() {
    let server = Running::start();
    let mut tcp = server.connect();
    tcp.write_all(b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let answer = read_until(&mut tcp, "\r\n\r\n");
    assert!(answer.contains("content-length: 6\r\n"), "{answer}");
    // Had there been a body, it would stand before the next answer.
    tcp.write_all(GET.as_bytes()).unwrap();
    let answer = read_until(&mut tcp, "hello\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn trailers_go_both_ways() {
    let server = Running::start();
    let mut tcp = server.connect();
    let request = "POST /echo HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntrailer: sum\r\n\
                   transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nsum: 7\r\n\r\n";
    tcp.write_all(request.as_bytes()).unwrap();
    let answer = read_until(&mut tcp, "sum: 7\r\n\r\n");
    assert!(answer.contains("3\r\nabc\r\n0\r\n"), "{answer}");
}

#[test]
fn the_answer_streams_while_the_request_is_being_sent() {
    let server = Running::start();
    let mut tcp = server.connect();
    tcp.write_all(b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    for word in ["one", "two", "six"] {
        tcp.write_all(format!("3\r\n{word}\r\n").as_bytes()).unwrap();
        read_until(&mut tcp, &format!("3\r\n{word}\r\n"));
    }
    tcp.write_all(b"0\r\n\r\n").unwrap();
    read_until(&mut tcp, "0\r\n\r\n");
}

#[test]
fn a_client_that_leaves_cancels_its_request() {
    let server = Running::start();
    for request in [
        "GET /wait HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST /wait HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
    ] {
        let before = server.app.ended.load(SeqCst);
        let mut tcp = server.connect();
        tcp.write_all(request.as_bytes()).unwrap();
        eventually("the request begins", || server.app.began.load(SeqCst) == before + 1);
        drop(tcp);
        eventually("the request is dropped", || server.app.ended.load(SeqCst) == before + 1);
    }
    assert_eq!(server.app.answered.load(SeqCst), 0);
}

#[test]
fn a_client_that_leaves_a_body_unread_cancels_it() {
    let server = Running::start();
    let mut tcp = server.connect();
    tcp.write_all(b"GET /zeros/1000000000000 HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    read_until(&mut tcp, "\r\n\r\n");
    drop(tcp);
    assert!(server.stop().is_clean());
}

#[test]
fn a_client_that_leaves_cancels_a_request_whose_body_nobody_reads() {
    let server = Running::start();
    let mut tcp = server.connect();
    // More than hyper reads ahead, and little enough for the socket: behind a full one, the end
    // of the client does not arrive.
    let length = 48 << 10;
    let head = format!("POST /wait HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    tcp.write_all(head.as_bytes()).unwrap();
    tcp.write_all(&vec![b'x'; length]).unwrap();
    eventually("the request begins", || server.app.began.load(SeqCst) == 1);
    drop(tcp);
    eventually("the request is dropped", || server.app.ended.load(SeqCst) == 1);
    assert_eq!(server.app.answered.load(SeqCst), 0);
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let server = Running::start();
    let mut tcp = server.connect();
    let length = 4 << 20;
    let head = format!("POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    tcp.write_all(head.as_bytes()).unwrap();
    tcp.write_all(&vec![b'x'; length]).unwrap();
    let answer = read_all(&mut tcp);
    assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with("no\n"), "{answer}");
}

#[test]
fn an_answer_that_breaks_off_is_not_taken_for_whole() {
    let server = Running::start();
    let answer = server.raw("GET /broken HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(answer.contains("abc") && !answer.contains("0\r\n\r\n"), "{answer}");
}

#[test]
fn a_panic_costs_one_request() {
    let server = Running::start();
    let mut tcp = server.connect();
    tcp.write_all(b"GET /panic HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let answer = read_until(&mut tcp, ")\n");
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    assert!(answer.contains("internal error (error "), "{answer}");
    tcp.write_all(GET.as_bytes()).unwrap();
    read_until(&mut tcp, "hello\n");
}

#[test]
fn a_handler_knows_its_connection() {
    let server = Running::start();
    let mut tcp = server.connect();
    tcp.write_all(b"GET /who HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let (peer, local) = (tcp.local_addr().unwrap(), tcp.peer_addr().unwrap());
    read_until(&mut tcp, &format!("\r\n\r\n{peer} {local} http http/1"));
}

#[test]
fn a_connection_that_says_nothing_ends_when_it_closes() {
    let server = Running::start();
    let mut tcp = server.connect();
    tcp.shutdown(Half::Write).unwrap();
    assert!(is_closed(&mut tcp));
}
