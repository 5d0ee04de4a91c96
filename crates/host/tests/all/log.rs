//! The access log: one line a request, with what is needed and no query.

use std::io::Write as _;

use crate::harness::{Running, eventually, log_lines, read_until};

/// The access log's line of a path that only one test asks for.
fn line_of(path: &str) -> String {
    let (mut found, path) = (None, format!("\"path\":\"{path}\""));
    eventually("the line", || {
        let lines = log_lines();
        let mut ours = lines.lines().filter(|l| l.contains("dayfly::access") && l.contains(&path));
        found = ours.next().map(str::to_owned);
        assert!(ours.next().is_none(), "one line a request");
        found.is_some()
    });
    found.unwrap()
}

fn has(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[test]
fn a_request_has_one_line() {
    let server = Running::start();
    let mut tcp = server.connect();
    tcp.write_all(b"GET /log/one?token=secret HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    read_until(&mut tcp, "hello\n");
    let line = line_of("/log/one");
    let peer = format!("\"peer\":\"{}\"", tcp.local_addr().unwrap());
    has(&line, &["\"method\":\"GET\"", "\"status\":200", "\"bytes\":6", "\"complete\":true"]);
    has(&line, &["\"duration_us\":", "\"protocol\":\"http/1\"", &peer]);
    assert!(!line.contains("secret") && !line.contains("error_id"), "{line}");
}

#[test]
fn an_error_has_its_id_and_fault() {
    let server = Running::start();
    let answer = server.raw("GET /log/two HTTP/1.1\r\n\r\n");
    let id = answer.rsplit_once("(error ").unwrap().1.trim_end_matches(")\n");
    let line = line_of("/log/two");
    has(&line, &[id, "\"fault\":\"client\"", "\"status\":400"]);
}

#[test]
fn a_body_that_breaks_off_says_why() {
    let server = Running::start();
    server.raw("GET /broken HTTP/1.1\r\nhost: a\r\n\r\n");
    let lines =
        || log_lines().lines().any(|l| l.contains("/broken") && l.contains("the guest is gone"));
    eventually("the line", lines);
}

#[test]
fn a_client_that_left_has_a_line() {
    let server = Running::start();
    let mut tcp = server.connect();
    tcp.write_all(b"GET /zeros/1000000000001 HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    read_until(&mut tcp, "\r\n\r\n");
    drop(tcp);
    let line = line_of("/zeros/1000000000001");
    has(&line, &["\"status\":200", "\"complete\":false"]);
}
