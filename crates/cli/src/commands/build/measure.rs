//! How long an instance of a component takes to start: measured here and now, in the engine that serves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use dayfly_capabilities::wasi::stdio::{LogSink, OutputKind};
use dayfly_capabilities::{Grants, HostState};
use dayfly_engine::Engine;
use dayfly_model::{Limits, OutboundHosts};

use crate::oneshot::{self, Guest};

/// How many instances are made, of which the first only warms up, and within which time.
const ROUNDS: usize = 16;
const LONGEST: Duration = Duration::from_secs(5);

/// The median time from a component's code to an instance that can be called. It is granted nothing, and
/// no function of it is called but what runs by itself as it starts.
///
/// # Errors
/// If it does not start.
pub(super) fn start(engine: &Engine, wasm: &[u8], limits: &Limits) -> Result<Duration> {
    let limits = Limits { cpu: LONGEST, time: LONGEST * 2, ..limits.clone() };
    let guest = Guest::link(oneshot::load(engine, wasm, &limits)?)?;
    let none = OutboundHosts::none();
    let grants =
        Grants::for_command("build", limits.clone(), Vec::new(), &[], none, Arc::new(Silence))?;
    let grants = Arc::new(grants);
    let mut times = Vec::with_capacity(ROUNDS);
    let measured = oneshot::drive(&limits, async {
        let began = Instant::now();
        while times.len() < ROUNDS && (times.len() < 2 || began.elapsed() < LONGEST / 2) {
            let mut store = guest.code.store(HostState::new(grants.clone()));
            let begin = Instant::now();
            let made = guest.pre.instantiate_async(&mut store);
            guest.code.instantiating(made).await?;
            times.push(begin.elapsed());
        }
        Ok::<_, wasmtime::Error>(())
    })?;
    match measured {
        Some(measured) => measured?,
        None => anyhow::bail!("it does not start within {LONGEST:?}"),
    }
    let mut times = times.split_off(1);
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

/// What an instance says as it starts is of no interest.
struct Silence;

impl LogSink for Silence {
    fn line(&self, _: OutputKind, _: &str) {}
}
