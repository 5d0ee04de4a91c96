//! How cost grows: with the requests at one time, with the bytes of a body, and with a second core.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::Request;
use hyper::body::{Bytes, Frame};
use hyper::header::CONTENT_LENGTH;
use hyper_util::rt::TokioIo;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;

use crate::graph::{Graph, Line};
use crate::load::{Load, field_after, milliseconds, refused};
use crate::peer::{Peer, Running};
use crate::stats::median;

/// Requests at one time: a connection each.
const CONNECTIONS: [u32; 5] = [1, 32, 320, 1_000, 10_000];

/// Bytes of bodies.
const BODIES: [(&str, u64); 7] = [
    ("0 B", 0),
    ("1 KiB", 1 << 10),
    ("64 KiB", 64 << 10),
    ("1 MiB", 1 << 20),
    ("16 MiB", 16 << 20),
    ("128 MiB", 128 << 20),
    ("1 GiB", 1 << 30),
];

/// The bytes that a client writes at a time.
const PIECE: usize = 64 << 10;

const ROUNDS: usize = 3;

const ECHO: &str = r#"
dayfly = 1
[application]
name = "echo"
[[trigger.http]]
route = "/echo"
component = "two"
[[trigger.http]]
route = "/pass"
component = "three"
[component.two]
source = "GUESTS/rust-http.wasm"
limits = { body = "2GiB", output = "2GiB", time = "120s", cpu = "120s" }
[component.three]
source = "GUESTS/rust-p3-echo.wasm"
limits = { body = "2GiB", output = "2GiB", time = "120s", cpu = "120s" }
"#;

/// Measures all three, and writes `scale.md` and a graph.
pub(crate) fn run(root: &Path, folder: &Path, seconds: u64) -> Result<()> {
    // A server and its client hold ten thousand connections each; they inherit this.
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
    let seconds = seconds.div_ceil(2);
    let mut text = "# How cost grows\n\n".to_owned();
    connections(root, folder, seconds, &mut text)?;
    bodies(root, &mut text)?;
    cores(root, seconds, &mut text)?;
    std::fs::write(folder.join("scale.md"), &text)?;
    print!("{text}");
    Ok(())
}

fn connections(root: &Path, folder: &Path, seconds: u64, text: &mut String) -> Result<()> {
    writeln!(
        text,
        "## Requests at one time\n\nHello, one core, `wrk -t1` on the other with so many connections, \
         each of which asks again as soon as it is answered; medians of {ROUNDS} rounds of {seconds} s. What a \
         core cannot answer within a bound it refuses with 503.\n\n| connections | native hyper, \
         requests/s | p99 | dayfly, answers/s | refused/s | p99 | memory, MiB | of native |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |"
    )?;
    let native = Peer::native()?;
    let flags = " --max-connections 20000";
    let own = Peer::dayfly(root, "dayfly", "target/guests/rust-hello.wasm", flags)?;
    let mut drawn = [Vec::new(), Vec::new()];
    for count in CONNECTIONS {
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            theirs.push(Crowd::of(&native.start()?, count, seconds)?);
            ours.push(Crowd::of(&own.start()?, count, seconds)?);
        }
        let middle = |all: &[Crowd], get: fn(&Crowd) -> f64| median(all.iter().map(get));
        let (limit, rate) = (middle(&theirs, |it| it.rate), middle(&ours, |it| it.rate));
        writeln!(
            text,
            "| {count} | {limit:.0} | {:.1} ms | {rate:.0} | {:.0} | {:.1} ms | {:.0} | {:.3} |",
            middle(&theirs, |it| it.p99_ms),
            middle(&ours, |it| it.refused),
            middle(&ours, |it| it.p99_ms),
            middle(&ours, |it| it.memory_mib),
            rate / limit,
        )?;
        eprintln!("{count} connections: {rate:.0} answers/s");
        let place = f64::from(count).log10();
        drawn[0].push((place, rate));
        drawn[1].push((place, limit));
    }
    let [own, native] = drawn;
    let graph = Graph {
        title: "Hello, one core: answers a second by requests at one time",
        x: "connections, as a power of ten",
        y: "answers a second",
        lines: vec![
            Line { name: "dayfly".to_owned(), points: own },
            Line { name: "native hyper".to_owned(), points: native },
        ],
    };
    graph.write(&folder.join("scale-connections.svg"))
}

/// What so many connections came to.
struct Crowd {
    /// Answers a second, without those that refuse.
    rate: f64,
    refused: f64,
    p99_ms: f64,
    memory_mib: f64,
}

impl Crowd {
    fn of(server: &Running, connections: u32, seconds: u64) -> Result<Self> {
        let load = Load::new(seconds, connections);
        load.report(server, 1)?;
        let report = load.report(server, seconds)?;
        let all: f64 = field_after(&report, "Requests/sec:")?.parse()?;
        let refused = refused(&report) / seconds as f64;
        Ok(Self {
            rate: all - refused,
            refused,
            p99_ms: milliseconds(&field_after(&report, "99%")?)?,
            memory_mib: server.memory()? as f64 / f64::from(1 << 20),
        })
    }
}

fn bodies(root: &Path, text: &mut String) -> Result<()> {
    text.push_str(
        "\n## Bytes of a body\n\nOne client sends a body, and takes it back while it sends: milliseconds until \
         the last byte, the median, and the largest that the server's memory ever was.\n\n\
         | body | native hyper | dayfly, WASI 0.2 | dayfly, WASI 0.3 | MiB/s of them | memory, MiB |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    let place = root.join("target/bench/scale");
    std::fs::create_dir_all(&place)?;
    let guests = root.join("target/guests");
    let guests = guests.to_str().context("the path of the guests is no text")?;
    std::fs::write(place.join("dayfly.toml"), ECHO.replace("GUESTS", guests))?;
    let app = "target/bench/scale/dayfly.toml";
    let own = Peer::dayfly(root, "dayfly", app, " --engine aot")?.start()?;
    let native = Peer::echo()?.start()?;
    let [native, two, three] =
        [Echo::new(&native, "/echo")?, Echo::new(&own, "/echo")?, Echo::new(&own, "/pass")?];
    for (name, bytes) in BODIES {
        let times = [&native, &two, &three].map(|echo| echo.ask_often(bytes));
        let [limit, two, three] = [times[0].as_ref(), times[1].as_ref(), times[2].as_ref()]
            .map(|time| time.map_err(|error| anyhow::anyhow!("{name}: {error:#}")));
        let (limit, two, three) = (*limit?, *two?, *three?);
        let rate = |time: f64| bytes as f64 / f64::from(1 << 20) / (time / 1e3);
        writeln!(
            text,
            "| {name} | {limit:.2} | {two:.2} | {three:.2} | {:.0}, {:.0}, {:.0} | {:.0} |",
            rate(limit),
            rate(two),
            rate(three),
            own.peak()? as f64 / f64::from(1 << 20),
        )?;
        eprintln!("{name}: {limit:.2}, {two:.2}, {three:.2} ms");
    }
    Ok(())
}

/// A client of something that sends back what it is sent.
struct Echo {
    runtime: tokio::runtime::Runtime,
    port: u16,
    path: &'static str,
}

impl Echo {
    fn new(server: &Running, path: &'static str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, port: server.port, path })
    }

    /// The median of as many requests as there is time for, in milliseconds; the first is not counted.
    fn ask_often(&self, bytes: u64) -> Result<f64> {
        self.ask(bytes)?;
        let begin = Instant::now();
        let mut times = Vec::new();
        while times.len() < ROUNDS
            || begin.elapsed() < Duration::from_secs(1) && times.len() < 1_000
        {
            times.push(self.ask(bytes)?);
        }
        Ok(median(times))
    }

    fn ask(&self, bytes: u64) -> Result<f64> {
        self.runtime.block_on(async {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
            stream.set_nodelay(true)?;
            let io = TokioIo::new(stream);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            tokio::spawn(connection);
            let piece = Bytes::from(vec![b'x'; PIECE]);
            let pieces = stream::unfold(bytes, move |left| {
                let length = left.min(PIECE as u64);
                let piece = piece.slice(..length as usize);
                async move {
                    (length > 0).then_some((Ok::<_, Infallible>(Frame::data(piece)), left - length))
                }
            });
            let request = Request::post(self.path).header("host", "bench");
            let request = request.header(CONTENT_LENGTH, bytes);
            let body = StreamBody::new(Box::pin(pieces));
            let begin = Instant::now();
            let answer = sender.send_request(request.body(body)?).await?;
            ensure!(answer.status().is_success(), "{}", answer.status());
            let (mut body, mut came) = (answer.into_body(), 0);
            while let Some(frame) = body.frame().await {
                came += frame?.data_ref().map_or(0, Bytes::len) as u64;
            }
            ensure!(came == bytes, "{came} bytes came back of {bytes}");
            Ok(begin.elapsed().as_secs_f64() * 1e3)
        })
    }
}

fn cores(root: &Path, seconds: u64, text: &mut String) -> Result<()> {
    writeln!(
        text,
        "\n## Two cores\n\nHello, a fresh instance a request, the server and `wrk -c64` on both cores, which they \
         share; medians of {ROUNDS} alternating rounds of {seconds} s.\n\n| server | requests/s | p99 |\n| --- | \
         --- | --- |"
    )?;
    let guest = "target/guests/rust-hello.wasm";
    let peers = [
        Peer::dayfly(root, "dayfly", guest, "")?.on("0,1").threads("2"),
        Peer::dayfly(root, "dayfly on one of them", guest, "")?,
        Peer::wasmtime(root, guest, "")?.on("0,1"),
    ];
    let load = Load::new(seconds, 64).on("0,1");
    let mut samples: Vec<Vec<_>> = peers.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (peer, samples) in peers.iter().zip(&mut samples) {
            samples.push(load.run(&peer.start()?)?);
        }
    }
    for (peer, samples) in peers.iter().zip(&samples) {
        let rate = median(samples.iter().map(|sample| sample.rate));
        let p99 = median(samples.iter().map(|sample| sample.p99_ms));
        writeln!(text, "| {} | {rate:.0} | {p99:.1} ms |", peer.name)?;
    }
    Ok(())
}
