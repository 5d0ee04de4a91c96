//! The processes of a platform come and go, and whoever asks an app notices nothing.

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use dayfly_testing::{Client, Process, program};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{Platform, numbered};
use crate::dayfly;

/// How long a process may take to come or to go.
const PATIENCE: Duration = Duration::from_secs(60);

/// The host of the app that is asked, unless another is said.
const HOST: &str = "test.localhost";

/// The process of a role, which is a child of the supervisor.
pub(super) fn child(supervisor: Process, role: &str) -> Option<Process> {
    let file = format!("/proc/{0}/task/{0}/children", supervisor.id());
    let children = std::fs::read_to_string(file).unwrap();
    let is_role = |id: &&str| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&format!("--role\0{role}\0"))
    };
    // Of two the latest.
    let id = children.split_whitespace().rfind(is_role)?;
    Some(Process::of(id.parse().unwrap()))
}

/// Waits until another process has taken a former one's place, and that is gone.
pub(super) async fn followed(supervisor: Process, role: &str, former: Process) -> Process {
    let since = Instant::now();
    loop {
        let is_gone = !std::path::Path::new(&format!("/proc/{}", former.id())).exists();
        match child(supervisor, role) {
            Some(next) if next.id() != former.id() && is_gone => return next,
            _ => {}
        }
        assert!(since.elapsed() < PATIENCE, "the {role} is not replaced");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Sends a request, and reads the answer; whether the connection stays.
async fn ask(stream: &mut TcpStream, host: &str) -> std::io::Result<bool> {
    stream.write_all(format!("GET /env HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await?;
    let mut read = Vec::new();
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(std::io::Error::other(format!("it ends after {} bytes", read.len())));
        }
        let text = String::from_utf8_lossy(&read).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let is_whole = match length {
            Some(length) => body.len() >= length.parse().unwrap(),
            None => body.ends_with("0\r\n\r\n"),
        };
        if is_whole {
            if !head.starts_with("http/1.1 200") {
                return Err(std::io::Error::other(format!("{head}\r\n\r\n{body}")));
            }
            return Ok(!head.contains("connection: close"));
        }
    }
}

/// What clients do all the time: some over connections that they keep, a few of them now and then, some
/// over a new one each time.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    pub(super) answers: Arc<AtomicU32>,
    clients: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        Self::start_on(address, HOST)
    }

    /// The same of a host's app.
    pub(super) fn start_on(address: SocketAddr, host: &'static str) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let client = |keeps: bool, pause: Duration| {
            let (stop, answers) = (stop.clone(), answers.clone());
            tokio::spawn(async move {
                let (mut failures, mut kept) = (Vec::new(), None);
                while !stop.load(Relaxed) {
                    let exchange = async {
                        let mut stream = match kept.take() {
                            Some(stream) => stream,
                            None => TcpStream::connect(address).await?,
                        };
                        let stays = ask(&mut stream, host).await?;
                        Ok::<_, std::io::Error>(Some(stream).filter(|_| stays && keeps))
                    };
                    match timeout(PATIENCE, exchange).await {
                        Ok(Ok(stream)) => {
                            kept = stream;
                            answers.fetch_add(1, Relaxed);
                            // Whoever waits sends on a connection that the server has had for idle.
                            sleep(pause).await;
                        }
                        Ok(Err(error)) => failures.push(format!("keeps {keeps}: {error}")),
                        Err(_) => failures.push(format!("keeps {keeps}: no answer")),
                    }
                }
                failures
            })
        };
        let pauses = [0, 0, 40, 110].map(Duration::from_millis);
        let keeping = pauses.map(|pause| client(true, pause));
        let clients = keeping.into_iter().chain((0..4).map(|_| client(false, pauses[0]))).collect();
        Self { stop, answers, clients }
    }

    /// Ends it; how many answers there were, and what failed.
    pub(super) async fn stop(self) -> (u32, Vec<String>) {
        self.stop.store(true, Relaxed);
        let mut failures = Vec::new();
        for client in self.clients {
            failures.extend(client.await.unwrap());
        }
        (self.answers.load(Relaxed), failures)
    }
}

pub(super) fn address(platform: &Platform) -> SocketAddr {
    platform.apps.base().strip_prefix("http://").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_all_processes_are_replaced() {
    // A machine that is busy with other tests refuses nothing.
    let platform = Platform::start_with(dayfly().env("DAYFLY_MAX_LAG", "60s")).await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    let supervisor = platform.server.process();
    let load = Load::start(address(&platform));
    for _ in 0..3 {
        let node = child(supervisor, "node").unwrap();
        let control = child(supervisor, "control").unwrap();
        let before = load.answers.load(Relaxed);
        supervisor.hang_up();
        followed(supervisor, "node", node).await;
        followed(supervisor, "control", control).await;
        assert!(load.answers.load(Relaxed) > before, "nothing is answered");
    }
    let (answers, failures) = load.stop().await;
    assert!(failures.is_empty(), "{} of {answers} failed: {:?}", failures.len(), failures.first());
    assert!(answers > 100, "{answers}");
    // What is deployed then is served by the node that is there now.
    platform.deploy(&numbered(2, "", ""), &[]).await.with(0);
    assert_eq!(platform.release().await, "2");
    platform.stop().await;
}

#[tokio::test]
async fn what_cannot_follow_leaves_the_former_one_serving() {
    let platform = Platform::start().await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    let supervisor = platform.server.process();
    let node = child(supervisor, "node").unwrap();
    let db = rusqlite::Connection::open(platform.server.state("platform.sqlite")).unwrap();
    let version: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    // Of a version that the program does not know.
    db.pragma_update(None, "user_version", 1000).unwrap();
    supervisor.hang_up();
    platform.server.stderr().containing("is not replaced, and goes on").await;
    assert_eq!(child(supervisor, "node").unwrap().id(), node.id());
    assert_eq!(platform.release().await, "1");
    db.pragma_update(None, "user_version", version).unwrap();
    // The control plane was not either, and is the former one.
    platform.deploy(&numbered(2, "", ""), &[]).await.with(0);
    supervisor.hang_up();
    followed(supervisor, "node", node).await;
    assert_eq!(platform.release().await, "2");
    platform.stop().await;
}

#[tokio::test]
async fn an_event_is_one_process_s_alone() {
    let platform = Platform::start().await;
    let triggers = "[[trigger.cron]]\ncron_expression = \"* * * * * *\"\ncomponent = \"cron\"\n\
                    [component.cron]\nsource = \"cron.wasm\"\n";
    let app =
        numbered(1, "", triggers).file("cron.wasm", dayfly_testing::Guest::bytes("rust-cron"));
    platform.deploy(&app, &[]).await.with(0);
    let path = platform.server.state("apps/t1/1/log/0000000001.jsonl");
    let due = || -> Vec<u64> {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines =
            text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let due = lines.filter_map(|line| {
            let due = line["text"].as_str()?.strip_prefix("due ")?;
            Some(due.trim().parse().unwrap())
        });
        due.collect()
    };
    let until = async |count: usize| {
        let since = Instant::now();
        while due().len() < count {
            assert!(since.elapsed() < PATIENCE, "{:?}", due());
            sleep(Duration::from_millis(20)).await;
        }
    };
    until(2).await;
    let supervisor = platform.server.process();
    for _ in 0..4 {
        let node = child(supervisor, "node").unwrap();
        supervisor.hang_up();
        followed(supervisor, "node", node).await;
        until(due().len() + 1).await;
    }
    let due = due();
    assert!(due.windows(2).all(|two| two[1] > two[0]), "one came twice: {due:?}");
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_with_queues_is_served_by_each_node_and_its_messages_are_handled_once() {
    let platform = Platform::start_with(dayfly().env("DAYFLY_MAX_LAG", "60s")).await;
    platform.deploy(&super::own::working(), &[]).await.with(0);
    let supervisor = platform.server.process();
    let load = Load::start(address(&platform));
    let mut put = std::collections::BTreeSet::new();
    for round in 0..3 {
        let node = child(supervisor, "node").unwrap();
        supervisor.hang_up();
        for number in 0..20 {
            let word = format!("word {round} {number}");
            // A connection of its own, which nobody closes meanwhile.
            let client = Client::http1(platform.apps.base());
            let answer = client.post_with("/jobs", &[("host", HOST)], word.clone()).await;
            assert!((200..300).contains(&answer.status), "{}", answer.text());
            put.insert(word.to_uppercase());
            sleep(Duration::from_millis(20)).await;
        }
        followed(supervisor, "node", node).await;
    }
    let (answers, failures) = load.stop().await;
    assert!(failures.is_empty(), "{} of {answers} failed: {:?}", failures.len(), failures.first());
    let state = platform.server.state("apps/t1/1");
    let heard = crate::events::heard(&state, put.len()).await;
    assert_eq!(heard.len(), put.len(), "some came twice");
    assert_eq!(heard.into_iter().collect::<std::collections::BTreeSet<_>>(), put);
    platform.stop().await;
}

#[tokio::test]
async fn a_node_that_is_killed_leaves_clients_waiting_and_refuses_none() {
    let platform = Platform::start().await;
    platform.deploy(&numbered(1, "", ""), &[]).await.with(0);
    let (supervisor, address) = (platform.server.process(), address(&platform));
    for _ in 0..3 {
        let node = child(supervisor, "node").unwrap();
        node.kill();
        let since = Instant::now();
        let mut stream = TcpStream::connect(address).await.expect("it is not refused");
        timeout(PATIENCE, ask(&mut stream, HOST)).await.expect("an answer in time").unwrap();
        assert!(since.elapsed() > Duration::from_millis(50), "the node did not die");
        followed(supervisor, "node", node).await;
    }
    // The control plane's clients wait as well.
    let control = child(supervisor, "control").unwrap();
    control.kill();
    let admin = Client::http1(&platform.admin);
    assert_eq!(admin.get("/v1/ready").await.status, 204);
    let facts = |folder: std::path::PathBuf| async move {
        let doctor = dayfly().args(["doctor", "--state-dir"]).arg(folder);
        doctor.ends().await.with_stdout(0)
    };
    let folder = platform.server.state("");
    let told = facts(folder.clone()).await;
    assert!(told.contains("served from") && told.contains("ports 80 and 443"), "{told}");
    let told = facts(folder.join("apps")).await;
    assert!(told.contains("none in"), "{told}");
    platform.stop().await;
}

/// Opens a socket as systemd does, and becomes the program that is named.
const ACTIVATE: &str = "
import os, socket, sys
opened = socket.socket()
opened.bind(('127.0.0.1', 0))
opened.listen(64)
print(opened.getsockname()[1], flush=True)
os.dup2(opened.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='http')
os.execv(sys.argv[1], sys.argv[1:])
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_are_taken_from_systemd_which_is_told_how_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let notify = folder.path().join("notify");
    let told = UnixDatagram::bind(&notify).unwrap();
    told.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut text = [0; 512];
        let length = told.recv(&mut text).expect("systemd is told something");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let mut child = program("python3")
        .args(["-c", ACTIVATE, env!("CARGO_BIN_EXE_dayfly"), "serve"])
        .args(["--admin-listen", "127.0.0.1:0", "--state-dir"])
        .arg(folder.path().join("state"))
        .env("NOTIFY_SOCKET", &notify)
        .env("WATCHDOG_USEC", "200000")
        .env("DAYFLY_CACHE_DIR", dayfly_testing::shared_cache())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut said = Vec::new();
    while !said.contains(&b'\n') {
        assert!(out.read_buf(&mut said).await.unwrap() > 0, "it ends");
    }
    let said = String::from_utf8(said).unwrap();
    let port: u16 = said.lines().next().unwrap().parse().unwrap();
    tokio::task::block_in_place(|| {
        while !hear().contains("READY=1") {}
        while hear() != "WATCHDOG=1" {}
    });
    let client = Client::http1(&format!("http://127.0.0.1:{port}"));
    assert_eq!(client.text("/.well-known/dayfly/health").await, "OK");
    Process::of(i32::try_from(child.id().unwrap()).unwrap()).terminate();
    tokio::task::block_in_place(|| while !hear().contains("STOPPING=1") {});
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_socket_of_another_name_is_refused() {
    let script = ACTIVATE.replace("'http'", "'ftp'");
    let folder = tempfile::tempdir().unwrap();
    let output = program("python3")
        .args(["-c", &script, env!("CARGO_BIN_EXE_dayfly"), "serve", "--state-dir"])
        .arg(folder.path())
        .output();
    let output = timeout(PATIENCE, output).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("socket `ftp`"), "{said}");
    assert!(said.contains("http, https, metrics or admin"), "{said}");
    // An address that is taken is said at once, by the process that was started.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = ["serve", "--listen", &address];
    let said = dayfly().args(words).ends().await.with(1);
    assert!(said.contains("is already in use"), "{said}");
}
