//! Requests that break the rules of HTTP/1 are refused and their connection closed.

use std::io::Write as _;

use crate::harness::Running;

const MALFORMED: &[(&str, &str)] = &[
    ("no request", "hello\r\n\r\n"),
    ("no version", "GET /\r\n\r\n"),
    ("unknown version", "GET / HTTP/3.0\r\nhost: a\r\n\r\n"),
    ("space in the target", "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("no host", "GET / HTTP/1.1\r\n\r\n"),
    ("two hosts", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
    ("host with a path", "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n"),
    ("host with a user", "GET / HTTP/1.1\r\nhost: x@a\r\n\r\n"),
    ("space before the colon", "GET / HTTP/1.1\r\nhost : a\r\n\r\n"),
    ("space in a name", "GET / HTTP/1.1\r\nhost: a\r\nx y: z\r\n\r\n"),
    ("folded header", "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n"),
    ("nameless header", "GET / HTTP/1.1\r\nhost: a\r\n: z\r\n\r\n"),
    ("zero byte in a value", "GET / HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n"),
    ("lone carriage return", "GET / HTTP/1.1\r\nhost: a\r\nx: y\rz\r\n\r\n"),
    ("length is a word", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n"),
    ("length is signed", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\nx"),
    ("length is negative", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\nx"),
    ("length is empty", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n\r\nx"),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
    ),
    ("list of lengths", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1, 2\r\n\r\nxx"),
    (
        "length too large",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999999\r\n\r\n",
    ),
    ("unknown coding", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n"),
    (
        "chunked is not last",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    ),
    (
        "coding in HTTP/1.0",
        "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunk length is a word",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
    ),
    (
        "chunk is too long",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    ),
    ("another host in the target", "GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("a user in the target", "GET http://u:p@a/ HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("no path but a star", "GET * HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("a tunnel", "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n"),
    ("two spaces before the target", "GET  / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("tab in the request line", "GET /\tHTTP/1.1\r\nhost: a\r\n\r\n"),
    ("space before the method", " GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("lower-case protocol", "GET / http/1.1\r\nhost: a\r\n\r\n"),
    ("words after the version", "GET / HTTP/1.1 x\r\nhost: a\r\n\r\n"),
    ("version of two digits", "GET / HTTP/1.10\r\nhost: a\r\n\r\n"),
    ("method of other characters", "GE(T / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("control character in the target", "GET /\x01 HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("target of another scheme's shape", "GET a:b/c HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("host of two names", "GET / HTTP/1.1\r\nhost: a, b\r\n\r\n"),
    ("host with a query", "GET / HTTP/1.1\r\nhost: a?b\r\n\r\n"),
    ("host with a space", "GET / HTTP/1.1\r\nhost: a b\r\n\r\n"),
    ("host with a port that is none", "GET / HTTP/1.1\r\nhost: a:b\r\n\r\n"),
    ("host with an open bracket", "GET / HTTP/1.1\r\nhost: [::1\r\n\r\n"),
    ("header without a colon", "GET / HTTP/1.1\r\nhost: a\r\nx\r\n\r\n"),
    ("vertical tab in a name", "GET / HTTP/1.1\r\nhost: a\r\nx\x0b: y\r\n\r\n"),
    ("delete in a value", "GET / HTTP/1.1\r\nhost: a\r\nx: y\x7f\r\n\r\n"),
    ("first header folded", "GET / HTTP/1.1\r\n host: a\r\n\r\n"),
    ("length in hexadecimal", "POST /count HTTP/1.1\r\nhost: a\r\ncontent-length: 0x1\r\n\r\nx"),
    ("length with a fraction", "POST /count HTTP/1.1\r\nhost: a\r\ncontent-length: 1.0\r\n\r\nx"),
    ("length of two numbers", "POST /count HTTP/1.1\r\nhost: a\r\ncontent-length: 1 1\r\n\r\nx"),
    (
        "length behind a space in its name",
        "POST /count HTTP/1.1\r\nhost: a\r\ncontent-length : 1\r\n\r\nx",
    ),
    (
        "coding behind a space in its name",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "coding folded",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "coding in quotes",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    ),
    (
        "coding with a vertical tab",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    ),
    ("coding identity", "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\n\r\n"),
    ("coding empty", "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\r\n\r\n"),
    (
        "coding named after chunked",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "coding before chunked",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "coding with a parameter",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunk length in 0x",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n",
    ),
    (
        "chunk length signed",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n",
    ),
    (
        "chunk length negative",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
    ),
    (
        "chunk length empty",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\r\nx\r\n0\r\n\r\n",
    ),
    (
        "chunk length too large",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nx\r\n0\r\n\r\n",
    ),
    (
        "chunk without its end",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx0\r\n\r\n",
    ),
    (
        "line feed alone after a chunk's length",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
    ),
    (
        "line feed alone in a chunk's extension",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1;a\nb\r\nx\r\n0\r\n\r\n",
    ),
    (
        "carriage return alone in a chunk's extension",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1;a\rb\r\nx\r\n0\r\n\r\n",
    ),
    (
        "trailer folded",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n z\r\n\r\n",
    ),
    (
        "trailer with a space before the colon",
        "POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx : y\r\n\r\n",
    ),
];

#[test]
fn malformed_requests_are_refused() {
    let server = Running::start();
    let mut wrong = Vec::new();
    for (what, request) in MALFORMED {
        // What follows must never be taken for a request of its own.
        let answer = server.raw(format!("{request}GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"));
        if !answer.starts_with("HTTP/1.1 400") && !answer.starts_with("HTTP/1.0 400")
            || answer.matches("HTTP/1.").count() != 1
        {
            wrong.push(format!("{what}: {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(server.stop().is_clean());
}

#[test]
fn every_refusal_is_one_line_with_an_error_id_that_the_log_has_too() {
    let server = Running::start();
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(17 << 10));
    let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(70 << 10));
    for (request, line) in [
        // The first and the third are refused by us, the others by hyper.
        ("GET / HTTP/1.1\r\n\r\n", "the request is malformed"),
        ("nonsense\r\n\r\n", "the request is malformed"),
        (&long, "the request's address is too long"),
        (&large, "the request's headers are too large"),
    ] {
        let mut tcp = server.connect();
        // After a request that is in order, too.
        tcp.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        crate::harness::read_until(&mut tcp, "hello\n");
        let _ = tcp.write_all(request.as_bytes());
        let answer = crate::harness::read_all(&mut tcp);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("connection: close"), "{head}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        let id = body.strip_prefix(&format!("{line} (error ")).unwrap();
        let id = id.strip_suffix(")\n").unwrap();
        crate::harness::eventually("the log line", || crate::harness::log_lines().contains(id));
    }
}

#[test]
fn a_length_beside_chunks_is_ignored_and_the_connection_closed() {
    let server = Running::start();
    let answer = server.raw(
        "POST /count HTTP/1.1\r\nhost: a\r\ncontent-length: 40\r\ntransfer-encoding: chunked\r\n\r\n\
         0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n0"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
}
