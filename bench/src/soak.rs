//! The gallery of hostile guests, faulty clients and ordinary load mixed for a long time: what
//! memory, descriptors, threads and an ordinary client's latency do meanwhile.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::graph::{Graph, Line};
use crate::open_loop::{OpenLoop, Outcome};
use crate::peer::{Peer, Running};

/// How long one point of the graphs is measured.
const STEP: Duration = Duration::from_secs(10);

/// Those that attack at once, each one request after the other.
const ATTACKERS: usize = 8;

/// What the gallery offers, of both releases of WASI.
const ATTACKS: &[&str] = &[
    "/p2/spin",
    "/p2/recurse",
    "/p2/unreachable",
    "/p2/memory",
    "/p2/fields",
    "/p2/pollables",
    "/p2/log-flood",
    "/p2/endless",
    "/p2/late",
    "/p2/trap-after",
    "/p2/no-response",
    "/p3/spin",
    "/p3/spin-in-a-task",
    "/p3/streams",
    "/p3/thousand-left-open",
    "/p3/endless",
    "/p3/panic-after",
    "/modules/start-spin",
    "/modules/grow-table",
    "/modules/bad-pointers",
];

const LIMITS: &str = "limits = { memory = \"32MiB\", tables = 50000, cpu = \"200ms\", time = \"2s\", \
    output = \"4MiB\", log = \"64KiB\" }\n";

/// An app with the gallery and an ordinary component.
fn manifest(root: &Path) -> String {
    let mut text = "dayfly = 1\n[application]\nname = \"soak\"\n".to_owned();
    let mut add = |route: &str, id: &str, source: &str, lines: &str| {
        let source = root.join(source);
        let _ = write!(
            text,
            "[[trigger.http]]\nroute = {route:?}\ncomponent = {id:?}\n\
             [component.{id}]\nsource = {source:?}\n{lines}"
        );
    };
    add("/", "quiet", "target/guests/rust-hello.wasm", "");
    add("/p2/...", "hostile", "target/guests/hostile.wasm", LIMITS);
    add("/p3/...", "hostile-p3", "target/guests/hostile-p3.wasm", LIMITS);
    for module in ATTACKS.iter().filter_map(|path| path.strip_prefix("/modules/")) {
        let source = format!("guests/hostile/modules/{module}.wat");
        add(&format!("/modules/{module}"), module, &source, LIMITS);
    }
    text
}

/// What was seen in one step.
struct Point {
    minutes: f64,
    memory_mib: f64,
    descriptors: f64,
    threads: f64,
    p99_ms: f64,
}

/// Mixes all of it for so many seconds, and writes `soak.md` and its graphs.
pub(crate) fn run(root: &Path, folder: &Path, seconds: u64) -> Result<()> {
    let app = root.join("target/bench/soak");
    std::fs::create_dir_all(&app)?;
    std::fs::write(app.join("dayfly.toml"), manifest(root))?;
    let server = Peer::dayfly(root, "dayfly", "target/bench/soak/dayfly.toml", "")?.start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let before = look(&server, 0.0, &Outcome::default())?;
    let points = LocalSet::new().block_on(&runtime, mix(&server, seconds))?;
    std::thread::sleep(STEP);
    let after = look(&server, 0.0, &Outcome::default())?;
    let text = report(seconds, &before, &points, &after)?;
    std::fs::write(folder.join("soak.md"), &text)?;
    draw(folder, &points)?;
    print!("{text}");
    Ok(())
}

/// One of the values of a step.
type Reading = fn(&Point) -> f64;

async fn mix(server: &Running, seconds: u64) -> Result<Vec<Point>> {
    let port = server.port;
    for number in 0..ATTACKERS {
        tokio::task::spawn_local(async move {
            for turn in 0.. {
                let path = ATTACKS[(turn * ATTACKERS + number * 3 + turn / 7) % ATTACKS.len()];
                // Every third client leaves in the middle.
                let patience = Duration::from_millis(if turn % 3 == 0 { 120 } else { 3000 });
                let _ = timeout(patience, attack(port, path)).await;
            }
        });
    }
    tokio::task::spawn_local(async move {
        for turn in 0_u64.. {
            let _ = timeout(Duration::from_secs(1), fault(port, turn)).await;
        }
    });
    let began = Instant::now();
    let mut points = Vec::new();
    while began.elapsed().as_secs() < seconds {
        let load = OpenLoop {
            port,
            path: "/".to_owned(),
            rate: 200.0,
            time: STEP,
            patience: Duration::from_secs(5),
        };
        let outcome = load.offer().await;
        let minutes = began.elapsed().as_secs_f64() / 60.0;
        let point = look(server, minutes, &outcome)?;
        eprintln!(
            "{minutes:.1} min: p99 {:.1} ms, {:.0} MiB, {} lost",
            point.p99_ms,
            point.memory_mib,
            outcome.refused + outcome.late + outcome.failed
        );
        points.push(point);
    }
    Ok(points)
}

async fn attack(port: u16, path: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut buffer = vec![0; 64 << 10];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// A client that does something wrong, each time another thing.
async fn fault(port: u16, turn: u64) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let words: &[u8] = match turn % 5 {
        0 => b"GET / HTTP/1.1\r\nhost: bench\r\nx: ",
        1 => b"POST /p2/unread-body HTTP/1.1\r\nhost: bench\r\ncontent-length: 1000000\r\n\r\nabc",
        2 => b"nonsense\r\n\r\n",
        3 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x08\x06\0\0\0\0\0",
        _ => b"GET /p2/endless HTTP/1.1\r\nhost: bench\r\n\r\n",
    };
    stream.write_all(words).await?;
    let mut buffer = [0; 512];
    let _ = stream.read(&mut buffer).await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(())
}

fn look(server: &Running, minutes: f64, outcome: &Outcome) -> Result<Point> {
    Ok(Point {
        minutes,
        memory_mib: server.memory()? as f64 / f64::from(1 << 20),
        descriptors: server.count("fd")? as f64,
        threads: server.count("task")? as f64,
        p99_ms: outcome.percentile_ms(99.0),
    })
}

fn report(seconds: u64, before: &Point, points: &[Point], after: &Point) -> Result<String> {
    let last = points.last().context("nothing was measured")?;
    let quarter = points.len().div_ceil(4);
    let mean = |points: &[Point], of: Reading| {
        points.iter().map(of).sum::<f64>() / points.len().max(1) as f64
    };
    let mut text = format!(
        "# Soak, one core\n\nFor {} minutes {ATTACKERS} clients ask for the gallery of hostile guests, \
         every third of them leaves\nearly, another one breaks HTTP's rules in five ways, and an \
         ordinary client asks a hello handler\n200 times a second. Measured each {} s.\n\n\
         | | before | first quarter | last quarter | at the end | 10 s after |\n\
         | --- | --- | --- | --- | --- | --- |\n",
        seconds / 60,
        STEP.as_secs()
    );
    let rows: [(&str, Reading); 4] = [
        ("memory, MiB", |point| point.memory_mib),
        ("descriptors", |point| point.descriptors),
        ("threads", |point| point.threads),
        ("p99 of the ordinary client, ms", |point| point.p99_ms),
    ];
    for (name, of) in rows {
        let (first, end) =
            (mean(&points[..quarter], of), mean(&points[points.len() - quarter..], of));
        let shown =
            |value: f64| if value.is_nan() { "–".to_owned() } else { format!("{value:.1}") };
        let cells = [of(before), first, end, of(last), of(after)].map(shown);
        writeln!(text, "| {name} | {} |", cells.join(" | "))?;
    }
    text += "\n![memory](soak-memory.svg)\n\n![latency](soak-latency.svg)\n";
    Ok(text)
}

fn draw(folder: &Path, points: &[Point]) -> Result<()> {
    let line = |name: &str, of: Reading| Line {
        name: name.to_owned(),
        points: points.iter().map(|point| (point.minutes, of(point))).collect(),
    };
    Graph {
        title: "Memory, descriptors and threads during the soak",
        x: "minutes",
        y: "MiB, or how many",
        lines: vec![
            line("memory, MiB", |point| point.memory_mib),
            line("descriptors", |point| point.descriptors),
            line("threads", |point| point.threads),
        ],
    }
    .write(&folder.join("soak-memory.svg"))?;
    Graph {
        title: "An ordinary client's p99 during the soak",
        x: "minutes",
        y: "milliseconds",
        lines: vec![line("p99", |point| point.p99_ms)],
    }
    .write(&folder.join("soak-latency.svg"))
}
