//! The end: graceful, at once, by signals, with descriptors running out.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use dayfly_host::{Server, ServerConfig, Shutdown};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process};

use crate::harness::{App, LONG, Running, config, connect, eventually, is_closed, read_until};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const WAIT: &str = "GET /wait HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn what_runs_is_finished_and_what_is_idle_closed() {
    let server = Running::start();
    let (mut busy, mut idle, mut silent) = (server.connect(), server.connect(), server.connect());
    busy.write_all(WAIT.as_bytes()).unwrap();
    idle.write_all(GET.as_bytes()).unwrap();
    read_until(&mut idle, "hello\n");
    eventually("the request begins", || server.app.began.load(SeqCst) == 1);
    let addr = server.addr();
    server.shutdown.start();
    assert!(is_closed(&mut idle));
    assert!(is_closed(&mut silent));
    eventually("nobody listens", || std::net::TcpStream::connect(addr).is_err());
    server.app.release.notify_waiters();
    let answer = read_until(&mut busy, "waited\n");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(is_closed(&mut busy));
    assert!(server.wait().is_clean());
}

#[test]
fn what_leaves_answers_once_more_and_closes_what_stays_idle() {
    let server = Running::start();
    let (mut used, mut idle) = (server.connect(), server.connect());
    for tcp in [&mut used, &mut idle] {
        tcp.write_all(GET.as_bytes()).unwrap();
        let answer = read_until(tcp, "hello\n");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    let addr = server.addr();
    let began = Instant::now();
    server.shutdown.leave();
    eventually("nobody listens", || std::net::TcpStream::connect(addr).is_err());
    // What a client sends on a connection that it has is answered, and the answer says that it ends.
    used.write_all(GET.as_bytes()).unwrap();
    let answer = read_until(&mut used, "hello\n");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(is_closed(&mut used));
    assert!(began.elapsed() < Duration::from_secs(4), "it was closed before it was asked");
    assert!(is_closed(&mut idle));
    assert!(began.elapsed() > Duration::from_secs(4), "the idle one had no time");
    assert!(server.wait().is_clean());
}

#[test]
fn what_leaves_closes_after_no_answer_that_did_not_say_so() {
    let server = Running::start();
    let mut tcp = server.connect();
    let post = "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    tcp.write_all(format!("{post}3\r\nabc\r\n").as_bytes()).unwrap();
    let head = read_until(&mut tcp, "abc\r\n");
    assert!(!head.contains("connection: close"), "{head}");
    let addr = server.addr();
    server.shutdown.leave();
    eventually("nobody listens", || std::net::TcpStream::connect(addr).is_err());
    tcp.write_all(b"0\r\n\r\n").unwrap();
    read_until(&mut tcp, "0\r\n\r\n");
    // The client knows of nothing, and asks once more.
    tcp.write_all(GET.as_bytes()).unwrap();
    let answer = read_until(&mut tcp, "hello\n");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(is_closed(&mut tcp));
    assert!(server.wait().is_clean());
}

#[test]
fn a_post_connection_that_is_idle_is_closed_at_once_too() {
    let server = Running::start();
    let mut tcp = server.connect();
    tcp.write_all(b"POST /count HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc").unwrap();
    read_until(&mut tcp, "\r\n\r\n3");
    let began = Instant::now();
    assert!(server.stop().is_clean());
    assert!(began.elapsed() < Duration::from_secs(20));
    drop(tcp);
}

#[test]
fn what_takes_longer_than_its_grace_is_dropped_and_told() {
    let server = Running::with(ServerConfig { grace: Duration::from_millis(50), ..config() });
    let mut busy = server.connect();
    busy.write_all(WAIT.as_bytes()).unwrap();
    eventually("the request begins", || server.app.began.load(SeqCst) == 1);
    let app = server.app.clone();
    assert_eq!(server.stop().unfinished, 1);
    assert!(is_closed(&mut busy));
    assert_eq!(app.ended.load(SeqCst), 1);
}

#[test]
fn the_end_at_once_waits_for_nothing() {
    let server = Running::start();
    let mut busy = server.connect();
    busy.write_all(WAIT.as_bytes()).unwrap();
    eventually("the request begins", || server.app.began.load(SeqCst) == 1);
    server.shutdown.start();
    server.shutdown.now();
    assert_eq!(server.wait().unfinished, 1);
}

#[test]
fn a_shutdown_before_the_start_ends_it() {
    let shutdown = Shutdown::new();
    shutdown.start();
    let outcome = Server::bind(config()).unwrap().run(Arc::new(App::default()), shutdown);
    assert!(outcome.unwrap().is_clean());
}

/// Not a test but the process that the tests below start: a server that signals end.
#[test]
#[ignore = "the child of other tests"]
fn child_server() {
    if let Some(limit) = std::env::var("DAYFLY_TEST_NOFILE").ok().and_then(|n| n.parse().ok()) {
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        rustix::process::setrlimit(Resource::Nofile, limit).unwrap();
    }
    let server = Server::bind(ServerConfig { grace: LONG, ..config() }).unwrap();
    println!("\naddr {}", server.local_addrs()[0]);
    let outcome = server.run(Arc::new(App::default()), Shutdown::on_signals().unwrap()).unwrap();
    println!("\nunfinished {}", outcome.unfinished);
}

struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    addr: std::net::SocketAddr,
}

impl Process {
    fn start(nofile: Option<u32>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "--nocapture", "shutdown::child_server"]);
        command.envs(nofile.map(|n| ("DAYFLY_TEST_NOFILE", n.to_string())));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut process = Self { child, lines, addr: ([0, 0, 0, 0], 0).into() };
        process.addr = process.line("addr ").parse().unwrap();
        process
    }

    fn line(&mut self, prefix: &str) -> String {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        let line = lines.find_map(|line| line.strip_prefix(prefix).map(str::to_owned));
        line.unwrap_or_else(|| panic!("no line `{prefix}`"))
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_signal_ends_in_good_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut process = Process::start(None);
        let mut idle = connect(process.addr);
        idle.write_all(GET.as_bytes()).unwrap();
        read_until(&mut idle, "hello\n");
        process.signal(signal);
        assert_eq!(process.line("unfinished "), "0");
        assert!(process.child.wait().unwrap().success());
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut process = Process::start(None);
    let (mut busy, mut idle) = (connect(process.addr), connect(process.addr));
    busy.write_all(WAIT.as_bytes()).unwrap();
    idle.write_all(GET.as_bytes()).unwrap();
    read_until(&mut idle, "hello\n");
    // That the other connection's request has begun shows in what is unfinished at the end.
    std::thread::sleep(Duration::from_millis(300));
    process.signal(Signal::TERM);
    assert!(is_closed(&mut idle), "the first signal has arrived");
    process.signal(Signal::INT);
    assert_eq!(process.line("unfinished "), "1");
    assert!(is_closed(&mut busy));
}

#[test]
fn running_out_of_descriptors_ends_nothing() {
    let process = Process::start(Some(64));
    let mut first = connect(process.addr);
    let crowd: Vec<_> = (0..200).map(|_| connect(process.addr)).collect();
    // Idle ones give way, so that new ones are served even now.
    let mut late = connect(process.addr);
    late.write_all(GET.as_bytes()).unwrap();
    read_until(&mut late, "hello\n");
    drop(crowd);
    let mut after = connect(process.addr);
    after.write_all(GET.as_bytes()).unwrap();
    read_until(&mut after, "hello\n");
    let _ = first.write_all(GET.as_bytes());
}
