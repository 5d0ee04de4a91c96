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
fn a_reader_that_drips_ends_and_a_quick_one_does_not() {
    // What it takes at once is some hundred KB: the system holds as much.
    let (write_timeout, min_rate) = (Duration::from_secs(2), 8 << 20);
    let server = Running::with(ServerConfig { write_timeout, min_rate, ..config() });
    let [mut slow, mut quick] = [server.connect(), server.connect()];
    for tcp in [&mut slow, &mut quick] {
        tcp.write_all(b"GET /zeros/1000000000000 HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    }
    let zeros = server.app.zeros.clone();
    let dripping = std::thread::spawn(move || {
        let began = Instant::now();
        while began.elapsed() < crate::harness::LONG {
            if !matches!(slow.read(&mut [0; 32 << 10]), Ok(1..)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    });
    eventually("both began", || zeros.load(std::sync::atomic::Ordering::SeqCst) == 2);
    while !dripping.is_finished() {
        assert!(quick.read(&mut [0; 64 << 10]).unwrap() > 0);
    }
    assert!(dripping.join().unwrap(), "it was ended");
    assert_eq!(zeros.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn a_sender_that_drips_ends() {
    let body_timeout = Duration::from_millis(300);
    let server = Running::with(ServerConfig { body_timeout, ..config() });
    let mut tcp = server.connect();
    tcp.write_all(b"POST /count HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n").unwrap();
    tcp.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let began = Instant::now();
    let mut head = [0; 12];
    while !matches!(tcp.read(&mut head), Ok(1..)) {
        assert!(began.elapsed() < crate::harness::LONG, "it drips on");
        tcp.write_all(b"x").unwrap();
    }
    assert_eq!(&head, b"HTTP/1.1 400", "what the handler makes of it");
    assert!(began.elapsed() > body_timeout);
}

#[test]
fn a_sender_that_keeps_the_pace_is_not_ended() {
    let body_timeout = Duration::from_millis(300);
    let server = Running::with(ServerConfig { body_timeout, ..config() });
    let mut tcp = server.connect();
    tcp.write_all(b"POST /count HTTP/1.1\r\nhost: a\r\ncontent-length: 20480\r\n\r\n").unwrap();
    for _ in 0..20 {
        tcp.write_all(&[b'x'; 1 << 10]).unwrap();
        std::thread::sleep(body_timeout / 3);
    }
    read_until(&mut tcp, "20480");
}

#[test]
fn a_handler_that_streams_slowly_is_not_the_clients_fault() {
    let short = Duration::from_millis(200);
    let server =
        Running::with(ServerConfig { write_timeout: short, body_timeout: short, ..config() });
    let began = Instant::now();
    let request = "GET /ticks HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = server.raw(request);
    assert_eq!(answer.matches("tick\n").count(), 40, "{answer}");
    assert!(began.elapsed() > short * 5);
}

#[test]
fn at_the_bound_the_slowest_client_gives_way_if_nobody_is_idle() {
    let patient = crate::harness::LONG * 10;
    let bounds = ServerConfig { threads: 1, max_connections: 2, ..config() };
    let server =
        Running::with(ServerConfig { write_timeout: patient, body_timeout: patient, ..bounds });
    let post = b"POST /count HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n";
    let [mut quick, mut slow] = [server.connect(), server.connect()];
    for tcp in [&mut quick, &mut slow] {
        tcp.write_all(post).unwrap();
    }
    let mut third = server.connect();
    third.write_all(GET.as_bytes()).unwrap();
    third.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let began = Instant::now();
    let mut sent = 0;
    while !matches!(third.read(&mut [0]), Ok(1)) {
        assert!(began.elapsed() < crate::harness::LONG, "nobody gave way");
        quick.write_all(&[b'x'; 4 << 10]).unwrap();
        sent += 4 << 10;
    }
    assert!(is_closed(&mut slow));
    quick.write_all(&vec![b'x'; 1_000_000 - sent]).unwrap();
    read_until(&mut quick, "1000000");
}

#[test]
fn at_the_bound_the_connection_that_is_idle_longest_gives_way() {
    let bounds = ServerConfig { threads: 1, max_connections: 3, ..config() };
    // The shortest bound sets the pace of the clock that ages are told by.
    let server =
        Running::with(ServerConfig { handshake_timeout: Duration::from_secs(1), ..bounds });
    let mut connections: Vec<_> = (0..3).map(|_| server.connect()).collect();
    let ask = |tcp: &mut std::net::TcpStream| {
        tcp.write_all(GET.as_bytes()).unwrap();
        read_until(tcp, "hello\n");
    };
    connections.iter_mut().for_each(ask);
    // Neither the first that came nor the last.
    for index in [1, 2, 0] {
        std::thread::sleep(Duration::from_millis(600));
        ask(&mut connections[index]);
    }
    std::thread::sleep(Duration::from_millis(600));
    let mut closed = |wanted: usize| {
        let mut more = server.connect();
        ask(&mut more);
        let is_closed: Vec<bool> = connections
            .iter_mut()
            .map(|tcp| {
                tcp.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                matches!(tcp.read(&mut [0]), Ok(0))
            })
            .collect();
        assert!(is_closed[wanted], "{is_closed:?}");
        (is_closed, more)
    };
    let (first, _more) = closed(1);
    assert_eq!(first, [false, true, false]);
    let (second, _another) = closed(2);
    assert_eq!(second, [false, true, true]);
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
    // Twenty on a core of its own; it may have less.
    assert!(served >= 5, "{served} in the time of the lag");
    assert!(refused.len() >= 50, "{} of those that would have waited", refused.len());
    assert!(refused[0].contains("retry-after: 1"), "{}", refused[0]);
    let one = b"GET /busy HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    std::thread::sleep(max_lag * 2);
    assert!(server.raw(one).starts_with("HTTP/1.1 200"), "when nothing waits any more");
}
