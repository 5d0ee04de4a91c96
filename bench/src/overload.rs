//! Goodput under overload: requests that compute for some milliseconds come faster and faster,
//! up to three times what saturates one core.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::graph::{Graph, Line};
use crate::load::Load;
use crate::open_loop::{OpenLoop, Outcome, pause};
use crate::peer::Peer;

/// Parts of the saturating load.
const LOADS: [f64; 9] = [0.5, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0];

const PATH: &str = "/work?rounds=1000000";

/// How long a client waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// Measures with refusals and without them, and writes `overload.md` and `overload.svg`.
pub(crate) fn run(root: &Path, folder: &Path, seconds: u64) -> Result<()> {
    let guest = "target/guests/rust-http.wasm";
    let refusing = Peer::dayfly(root, "dayfly", guest, "")?;
    let patient = Peer::dayfly(root, "dayfly that refuses nothing", guest, " --max-lag 1h")?;
    let saturation = {
        let server = refusing.start()?;
        Load { path: PATH, ..Load::new(seconds, 8) }.run(&server)?.rate
    };
    eprintln!("saturated by {saturation:.0} requests/s");
    let mut lines = Vec::new();
    let mut text = format!(
        "# Overload, one core\n\nEach request computes for some milliseconds; {saturation:.0} a \
         second saturate the core\n(closed loop, 8 connections). An open loop offers parts and \
         multiples of that for {seconds} s each;\n*goodput* is answers with status 200 within \
         {} s of when the request was due.\n\n\
         | server | offered | goodput/s | of its peak | refused | late | p50 | p99 |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        PATIENCE.as_secs()
    );
    for peer in [&refusing, &patient] {
        let mut outcomes: Vec<(f64, Outcome)> = Vec::new();
        for part in LOADS {
            let server = peer.start()?;
            let load = OpenLoop {
                port: server.port,
                path: PATH.to_owned(),
                rate: saturation * part,
                time: Duration::from_secs(seconds),
                patience: PATIENCE,
            };
            let outcome = load.run()?;
            let goodput = outcome.good_ms.len() as f64 / seconds as f64;
            eprintln!("{}: {part} times: {goodput:.0}/s", peer.name);
            outcomes.push((part, outcome));
            pause();
        }
        let goodput = |outcome: &Outcome| outcome.good_ms.len() as f64 / seconds as f64;
        let peak = outcomes.iter().map(|(_, outcome)| goodput(outcome)).fold(0.0, f64::max);
        for (part, outcome) in &outcomes {
            writeln!(
                text,
                "| {} | {part} × | {:.0} | {:.2} | {} | {} | {:.1} ms | {:.0} ms |",
                peer.name,
                goodput(outcome),
                goodput(outcome) / peak,
                outcome.refused,
                outcome.late + outcome.failed,
                outcome.percentile_ms(50.0),
                outcome.percentile_ms(99.0),
            )?;
        }
        let points = outcomes.iter().map(|(part, outcome)| (*part, goodput(outcome)));
        lines.push(Line { name: peer.name.to_owned(), points: points.collect() });
    }
    let graph = Graph {
        title: "Goodput under overload, one core",
        x: "offered load, as a part of what saturates",
        y: "answers within a second, per second",
        lines,
    };
    graph.write(&folder.join("overload.svg"))?;
    text += "\n![goodput under overload](overload.svg)\n";
    std::fs::write(folder.join("overload.md"), &text)?;
    print!("{text}");
    Ok(())
}
