//! What a quiet component's clients notice: of guests that loop for ever, and of ten thousand
//! clients that are slow.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::open_loop::{OpenLoop, Outcome, pause, pause_for};
use crate::output;
use crate::peer::{Peer, Running};

/// The guests that loop, on one core, and on both.
const LOOPS: [usize; 4] = [0, 1, 2, 20];
const LOOPS_ON_BOTH: [usize; 4] = [0, 2, 4, 20];

const SLOW_CLIENTS: usize = 10_000;

/// What the busy component is granted where everything is to stay that comes.
const PATIENT: &str = "limits = { cpu = \"1h\", time = \"1h\", concurrency = 20000 }";

const PATIENT_FLAGS: &str =
    " --header-timeout 1h --write-timeout 1h --body-timeout 1h --max-lag 1h --max-instances 12000";

const MANIFEST: &str = "dayfly = 1\n[application]\nname = \"neighbours\"\n\
    [[trigger.http]]\nroute = \"/\"\ncomponent = \"quiet\"\n\
    [[trigger.http]]\nroute = \"/...\"\ncomponent = \"busy\"\n\
    [component.quiet]\nsource = \"GUESTS/rust-hello.wasm\"\n\
    [component.busy]\nsource = \"GUESTS/rust-http.wasm\"\nLIMITS\n";

/// Where the ordinary client's handler is: in the quiet component, or in the busy one.
const PLACES: [(&str, &str); 2] = [("another component", "/"), ("the same component", "/hello")];

/// An app with a quiet component and a busy one.
fn peer(root: &Path, limits: &str, flags: &str) -> Result<Peer> {
    let folder = root.join("target/bench/neighbours");
    std::fs::create_dir_all(&folder)?;
    let guests = root.join("target/guests");
    let guests = guests.to_str().context("the path of the guests is no text")?;
    let manifest = MANIFEST.replace("GUESTS", guests).replace("LIMITS", limits);
    std::fs::write(folder.join("dayfly.toml"), manifest)?;
    Peer::dayfly(root, "dayfly", "target/bench/neighbours/dayfly.toml", flags)
}

/// A request each 5 ms.
fn ask(server: &Running, path: &str, seconds: u64) -> OpenLoop {
    OpenLoop {
        port: server.port,
        path: path.to_owned(),
        rate: 200.0,
        time: Duration::from_secs(seconds),
        patience: Duration::from_secs(10),
    }
}

fn row(text: &mut String, what: &str, outcome: &Outcome, quiet: &Outcome) -> Result<()> {
    let lost = outcome.refused + outcome.late + outcome.failed;
    let p99 = outcome.percentile_ms(99.0);
    writeln!(
        text,
        "| {what} | {} | {lost} | {:.2} ms | {p99:.2} ms | {:+.2} ms | {:.2} ms |",
        outcome.good_ms.len(),
        outcome.percentile_ms(50.0),
        p99 - quiet.percentile_ms(99.0),
        outcome.percentile_ms(100.0),
    )?;
    Ok(())
}

const HEAD: &str = "| beside | answers | lost | p50 | p99 | p99 over quiet | longest |\n\
    | --- | --- | --- | --- | --- | --- | --- |\n";

/// Measures both, and writes `neighbours.md`.
pub(crate) fn run(root: &Path, folder: &Path, seconds: u64) -> Result<()> {
    let mut text = format!(
        "# Neighbours\n\nOn one core. A hello handler is asked 200 times a second (open loop, {seconds} \
         s) while another component of\nthe same app computes without end, in so many instances, \
         on the same core.\n\n{HEAD}"
    );
    beside_loops(LOOPS, seconds, &mut text, || peer(root, PATIENT, ""))?;
    text += &format!(
        "\nThe same on both cores, by two threads; the client, which has no core of its own then, goes \
         before them\n(`chrt --rr`).\n\n{HEAD}"
    );
    let on_both = || Ok(peer(root, PATIENT, "")?.on("0,1").threads("2"));
    beside_loops(LOOPS_ON_BOTH, seconds, &mut text, on_both)?;
    text += &format!(
        "\nOn one core beside {SLOW_CLIENTS} slow clients: half of them send a head, a quarter a body, \
         one byte a\nsecond each; a quarter reads a large answer as slowly. By their leave: with \
         `{}`\nand `{PATIENT}` all of them stay.\n\n{HEAD}",
        PATIENT_FLAGS.trim()
    );
    beside_slow(root, (PATIENT, PATIENT_FLAGS), seconds, &mut text)?;
    text += &format!(
        "\nWith the limits and flags that are the defaults, under which they are ended and come \
         again at\nonce, so that they take all places of their component whenever they can. So \
         many of them as are told\nwere connected at the end.\n\n{HEAD}"
    );
    beside_slow(root, ("", ""), seconds, &mut text)?;
    std::fs::write(folder.join("neighbours.md"), &text)?;
    print!("{text}");
    Ok(())
}

/// Gives this process another policy and priority of scheduling, which what it starts has as well.
fn schedule(policy: &str, priority: &str) -> Result<()> {
    let process = std::process::id().to_string();
    output(Command::new("chrt").args(["--all-tasks", policy, "--pid", priority, &process]))?;
    Ok(())
}

fn beside_loops(
    counts: [usize; 4],
    seconds: u64,
    text: &mut String,
    peer: impl Fn() -> Result<Peer>,
) -> Result<()> {
    let mut quiet = None;
    for loops in counts {
        let server = peer()?.start()?;
        ask(&server, "/", 1).run()?;
        let _spinning = spin(&server, loops)?;
        pause();
        schedule("--rr", "1")?;
        let outcome = ask(&server, "/", seconds).run();
        schedule("--other", "0")?;
        let outcome = outcome?;
        let quiet = quiet.get_or_insert_with(|| outcome.clone());
        eprintln!("{loops} loops: p99 {:.2} ms", outcome.percentile_ms(99.0));
        row(text, &format!("{loops} endless loops"), &outcome, quiet)?;
    }
    Ok(())
}

/// Measures an ordinary client beside slow ones, in another component and in theirs.
fn beside_slow(
    root: &Path,
    (limits, flags): (&str, &str),
    seconds: u64,
    text: &mut String,
) -> Result<()> {
    let is_patient = !flags.is_empty();
    for (place, path) in PLACES {
        let server = peer(root, limits, flags)?.start()?;
        ask(&server, path, 1).run()?;
        let quiet = ask(&server, path, seconds).run()?;
        row(text, &format!("nobody, {place}"), &quiet, &quiet)?;
        let (outcome, connected) = beside_slow_clients(&server, path, seconds, !is_patient)?;
        eprintln!(
            "{connected} slow clients, {place}: p99 {:.2} ms, {} refused, {} late, {} failed",
            outcome.percentile_ms(99.0),
            outcome.refused,
            outcome.late,
            outcome.failed
        );
        ensure!(
            !is_patient || connected == SLOW_CLIENTS,
            "only {connected} of {SLOW_CLIENTS} slow clients stayed"
        );
        row(text, &format!("{connected} slow clients, {place}"), &outcome, &quiet)?;
    }
    Ok(())
}

/// Requests that loop, for as long as their connections are kept.
fn spin(server: &Running, loops: usize) -> Result<Vec<TcpStream>> {
    let start = |_| {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port))?;
        stream.write_all(b"GET /spin HTTP/1.1\r\nhost: bench\r\n\r\n")?;
        stream.set_read_timeout(Some(Duration::from_millis(1)))?;
        // It never answers.
        let _ = stream.read(&mut [0]);
        Ok(stream)
    };
    (0..loops).map(start).collect()
}

/// Measures beside slow clients, which are a process of their own that runs only when its core has nothing
/// else to do: what they cost the client that is measured would be taken for what they cost the server.
fn beside_slow_clients(
    server: &Running,
    path: &str,
    seconds: u64,
    again: bool,
) -> Result<(Outcome, usize)> {
    let mut slow = Command::new("chrt")
        .args(["--idle", "0"])
        .arg(std::env::current_exe()?)
        .args(["slow-clients", &server.port.to_string()])
        .args(again.then_some("--again"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(slow.stdout.take().context("a pipe")?).lines();
    said.next().context("the slow clients ended")??;
    let outcome = ask(server, path, seconds).run();
    // The end of its input is its signal.
    drop(slow.stdin.take());
    let connected = said.next().context("the slow clients ended")??.parse()?;
    slow.wait()?;
    Ok((outcome?, connected))
}

/// Ten thousand slow clients, until standard input ends. Prints a line when all have come, and how
/// many are connected at the end.
pub(crate) fn slow_clients(port: u16, again: bool) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let connected = Rc::<Cell<usize>>::default();
    let clients = async {
        for number in 0..SLOW_CLIENTS {
            let connected = connected.clone();
            tokio::task::spawn_local(async move {
                loop {
                    // How it ended makes no difference.
                    let _ = slow_client(address, number, &connected).await;
                    if !again {
                        return;
                    }
                    pause_for(Duration::from_millis(100)).await;
                }
            });
            if number % 50 == 0 {
                pause_for(Duration::from_millis(60)).await;
            }
        }
        pause_for(Duration::from_secs(4)).await;
        println!("all have come");
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        ended.await??;
        println!("{}", connected.get());
        Ok(())
    };
    tokio::task::LocalSet::new().block_on(&runtime, clients)
}

/// Counts a connection for as long as it lives.
struct Connected<'a>(&'a Cell<usize>);

impl<'a> Connected<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// One that moves a byte a second until the server ends it.
async fn slow_client(
    address: SocketAddr,
    number: usize,
    connected: &Cell<usize>,
) -> std::io::Result<()> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4 << 10)?;
    let mut stream = socket.connect(address).await?;
    let _connected = Connected::new(connected);
    let begin: &[u8] = match number % 4 {
        0 | 1 => b"GET / HTTP/1.1\r\nhost: bench\r\nx: ",
        2 => b"POST /sink HTTP/1.1\r\nhost: bench\r\ncontent-length: 100000\r\n\r\n",
        _ => b"GET /large?bytes=10000000 HTTP/1.1\r\nhost: bench\r\n\r\n",
    };
    stream.write_all(begin).await?;
    // Those that know nothing of one another do not come all at once.
    pause_for(Duration::from_millis(number as u64 * 7919 % 1000)).await;
    loop {
        pause_for(Duration::from_secs(1)).await;
        if number % 4 == 3 {
            if stream.read(&mut [0]).await? == 0 {
                return Ok(());
            }
        } else {
            stream.write_all(b"a").await?;
        }
    }
}
