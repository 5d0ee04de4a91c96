//! The world that an initialiser sees: files to read, and nothing else that differs between two runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{FsPerms, HostMonotonicClock, HostWallClock, WasiCtx};

use super::files::Seen;
use super::{FreezeError, FreezeTerms, State};
use crate::sandbox::Sandbox;

/// The time at which every initialiser begins: the first second of 2025, in seconds since 1970.
pub(super) const EPOCH: Duration = Duration::from_secs(1_735_689_600);

/// How far the clocks go on each time they are asked.
const TICK: Duration = Duration::from_micros(1);

/// Random bytes until they repeat.
const RANDOM_BYTES: usize = 64 << 10;

/// What is known of an initialiser beside what it may use.
pub(crate) struct Own {
    pub(super) output: Output,
    pub(super) seen: Seen,
}

/// What an initialiser writes.
#[derive(Clone)]
pub(super) struct Output {
    stdout: MemoryOutputPipe,
    stderr: MemoryOutputPipe,
}

impl Output {
    /// Standard output, then standard error.
    pub(super) fn text(&self) -> String {
        let all = [self.stdout.contents(), self.stderr.contents()].concat();
        String::from_utf8_lossy(&all).into_owned()
    }
}

/// The world of one instance.
pub(super) fn new(terms: &FreezeTerms, seed: &blake3::Hash) -> Result<State, FreezeError> {
    let output = Output {
        stdout: MemoryOutputPipe::new(terms.output_bytes),
        stderr: MemoryOutputPipe::new(terms.output_bytes),
    };
    let mut wasi = WasiCtx::builder();
    wasi.stdout(output.stdout.clone())
        .stderr(output.stderr.clone())
        .secure_random(random("secure", seed))
        .insecure_random(random("insecure", seed))
        .insecure_random_seed(u128::from_le_bytes(number(seed)))
        .wall_clock(Wall::default())
        .monotonic_clock(Monotonic::default())
        .allow_tcp(false)
        .allow_udp(false);
    for folder in &terms.folders {
        wasi.preopened_dir(&folder.host, &folder.guest, FsPerms::ReadOnly)
            .map_err(|source| FreezeError::Folder { folder: folder.host.clone(), source })?;
    }
    let own = Own { output, seen: Seen::default() };
    Ok(Sandbox::new(wasi.build(), terms.memory_bytes, own))
}

/// Bytes that look random, and are the same each time that the same is frozen.
fn random(of: &str, seed: &blake3::Hash) -> Deterministic {
    let mut hasher = blake3::Hasher::new_derive_key("dayfly 1 randomness of initialisers");
    let mut bytes = vec![0; RANDOM_BYTES];
    hasher.update(seed.as_bytes()).update(of.as_bytes()).finalize_xof().fill(&mut bytes);
    Deterministic::new(bytes)
}

fn number(seed: &blake3::Hash) -> [u8; 16] {
    let mut bytes = [0; 16];
    let mut hasher = blake3::Hasher::new_derive_key("dayfly 1 seed of initialisers");
    hasher.update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A clock that goes on by a tick each time it is asked.
#[derive(Default)]
struct Ticks(AtomicU64);

impl Ticks {
    fn next(&self) -> Duration {
        TICK.saturating_mul(self.0.fetch_add(1, Ordering::Relaxed).min(u64::from(u32::MAX)) as u32)
    }
}

#[derive(Default)]
struct Wall(Ticks);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        TICK
    }

    fn now(&self) -> Duration {
        EPOCH + self.0.next()
    }
}

#[derive(Default)]
struct Monotonic(Ticks);

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        TICK.as_nanos() as u64
    }

    fn now(&self) -> u64 {
        self.0.next().as_nanos() as u64
    }
}
