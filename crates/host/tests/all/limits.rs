//! The bounds of clients: sizes, times, numbers of connections.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use dayfly_host::ServerConfig;

use crate::harness::{Running, config, eventually, is_closed, read_all, read_until};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn headers_over_their_bounds_are_431() {
    let server = Running::start();
    let large = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(70 << 10));
    let answer = server.raw(large);
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(101));
    let answer = server.raw(many);
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let just = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{}x: {}\r\n\r\n",
        "x: y\r\n".repeat(97),
        "y".repeat(50 << 10)
    );
    let answer = server.raw(just);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn the_number_of_headers_may_be_configured() {
    for (max_headers, sent, status) in [(5, 4, 200), (5, 6, 431), (300, 299, 200), (300, 301, 431)]
    {
        let server = Running::with(ServerConfig { max_headers, ..config() });
        let headers = "x: y\r\n".repeat(sent - 2);
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n");
        let answer = server.raw(request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{max_headers} {sent} {answer}");
    }
}

#[test]
fn a_long_address_is_414() {
    let server = Running::start();
    let answer = server.raw(format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(17 << 10)));
    assert!(answer.starts_with("HTTP/1.1 414"), "{answer}");
}

#[test]
fn slow_headers_end_and_quick_ones_do_not() {
    let header_timeout = Duration::from_millis(300);
    let server = Running::with(ServerConfig { header_timeout, ..config() });
    let mut slow = server.connect();
    let mut quick = server.connect();
    slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let dripping = std::thread::spawn(move || {
        let began = Instant::now();
        slow.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        while began.elapsed() < crate::harness::LONG {
            let closed =
                slow.write_all(b"x: y\r\n").is_err() || matches!(slow.read(&mut [0]), Ok(0));
            if closed {
                return true;
            }
        }
        false
    });
    while !dripping.is_finished() {
        quick.write_all(GET.as_bytes()).unwrap();
        read_until(&mut quick, "hello\n");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(dripping.join().unwrap());
    // Between requests, the bound of headers does not apply.
    std::thread::sleep(header_timeout * 3);
    quick.write_all(GET.as_bytes()).unwrap();
    read_until(&mut quick, "hello\n");
}

#[test]
fn idle_connections_end() {
    let idle_timeout = Duration::from_millis(200);
    let server = Running::with(ServerConfig { idle_timeout, ..config() });
    let (mut silent, mut used) = (server.connect(), server.connect());
    used.write_all(GET.as_bytes()).unwrap();
    read_until(&mut used, "hello\n");
    assert!(is_closed(&mut silent));
    assert!(is_closed(&mut used));
}

#[test]
fn a_running_request_is_not_idle() {
    let short = Duration::from_millis(100);
    let server =
        Running::with(ServerConfig { idle_timeout: short, header_timeout: short, ..config() });
    let mut tcp = server.connect();
    tcp.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let began = &server.app.began;
    eventually("the request begins", || began.load(std::sync::atomic::Ordering::SeqCst) == 1);
    std::thread::sleep(short * 8);
    server.app.release.notify_waiters();
    read_until(&mut tcp, "waited\n");
}

#[test]
fn a_client_that_takes_no_byte_ends() {
    let write_timeout = Duration::from_millis(300);
    let server = Running::with(ServerConfig { write_timeout, ..config() });
    let mut tcp = server.connect();
    tcp.write_all(b"GET /zeros/1000000000000 HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    // Never reads; the server's end shows when the graceful end has nothing to wait for.
    std::thread::sleep(write_timeout);
    let began = Instant::now();
    assert!(server.stop().is_clean());
    assert!(began.elapsed() < Duration::from_secs(25), "not by the end of grace");
    drop(tcp);
}

#[test]
fn at_the_bound_the_connection_that_is_idle_longest_gives_way() {
    let server = Running::with(ServerConfig { threads: 1, max_connections: 2, ..config() });
    let mut connections: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for tcp in &mut connections {
        tcp.write_all(GET.as_bytes()).unwrap();
        read_until(tcp, "hello\n");
    }
    let mut third = server.connect();
    third.write_all(GET.as_bytes()).unwrap();
    read_until(&mut third, "hello\n");
    let (old, new) = connections.split_at_mut(1);
    let closed = |tcp: &mut std::net::TcpStream| {
        tcp.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        matches!(tcp.read(&mut [0]), Ok(0))
    };
    assert!(closed(&mut old[0]) != closed(&mut new[0]), "one of the two");
}

#[test]
fn at_the_bound_new_connections_wait_for_busy_ones() {
    let server = Running::with(ServerConfig { threads: 1, max_connections: 1, ..config() });
    let mut busy = server.connect();
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let began = &server.app.began;
    eventually("the request begins", || began.load(std::sync::atomic::Ordering::SeqCst) == 1);
    let mut waiting = server.connect();
    waiting.write_all(GET.as_bytes()).unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(waiting.read(&mut [0]).is_err(), "has to wait");
    waiting.set_read_timeout(Some(crate::harness::LONG)).unwrap();
    server.app.release.notify_waiters();
    read_until(&mut busy, "waited\n");
    read_until(&mut waiting, "hello\n");
}

#[test]
fn a_core_that_cannot_keep_up_refuses() {
    let max_lag = Duration::from_millis(100);
    let server = Running::with(ServerConfig { threads: 1, max_lag, ..config() });
    // Five milliseconds each, so all of them would take a second and a half.
    let clients: Vec<_> = (0..300)
        .map(|_| {
            let mut tcp = server.connect();
            tcp.write_all(b"GET /busy HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
            tcp
        })
        .collect();
    let answers: Vec<String> = clients.into_iter().map(|mut tcp| read_all(&mut tcp)).collect();
    let served = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 200")).count();
    let refused: Vec<_> = answers.iter().filter(|a| a.starts_with("HTTP/1.1 503")).collect();
    assert_eq!(served + refused.len(), answers.len());
    assert!(served >= 20, "{served} in the time of the lag");
    assert!(refused.len() >= 50, "{} of those that would have waited", refused.len());
    assert!(refused[0].contains("retry-after: 1"), "{}", refused[0]);
    let one = b"GET /busy HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    std::thread::sleep(max_lag * 2);
    assert!(server.raw(one).starts_with("HTTP/1.1 200"), "when nothing waits any more");
}
