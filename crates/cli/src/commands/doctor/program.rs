//! Facts about this program: versions, engine modes, the artifact cache.

use dayfly_engine::{CacheError, Engine, EngineConfig, EngineError, Flavour, Mode};

use super::fact::Fact;
use crate::engine::EngineArgs;
use crate::oneshot;
use crate::output::Size;

/// Wasmtime's version, as the build's lock file says.
const WASMTIME: &str = env!("DAYFLY_WASMTIME_VERSION");

pub(super) fn facts(arguments: &EngineArgs) -> Vec<Fact> {
    let build = if cfg!(debug_assertions) { "debug build" } else { "release build" };
    let version = format!("{} ({build})", env!("CARGO_PKG_VERSION"));
    let mut facts = vec![
        if cfg!(debug_assertions) {
            Fact::warn(
                "dayfly",
                version,
                "a debug build is many times slower: build with `--release`",
            )
        } else {
            Fact::ok("dayfly", version)
        },
        Fact::ok("wasmtime", WASMTIME),
        modes(),
    ];
    match arguments.build(oneshot::INSTANCES, 0, []) {
        Ok(engine) => facts.push(cache(&engine)),
        Err(error) => {
            facts.push(Fact::fail("artifact cache", format!("{error:#}"), "see the other facts"));
        }
    }
    facts
}

/// Which modes build an engine of both flavours here.
fn modes() -> Fact {
    let name = "engine modes";
    let (available, broken): (Vec<_>, Vec<_>) = Mode::ALL
        .into_iter()
        .map(|mode| (mode, try_mode(mode)))
        .partition(|(_, tried)| tried.is_ok());
    let list = available.iter().map(|(mode, _)| mode.as_str()).collect::<Vec<_>>().join(", ");
    let why: Vec<String> = broken
        .into_iter()
        .filter_map(|(mode, tried)| tried.err().map(|error| format!("{mode}: {error}")))
        .collect();
    match (available.is_empty(), why.is_empty()) {
        (_, true) => Fact::ok(name, list),
        (true, _) => Fact::fail(name, "none", why.join("; ")),
        (false, _) => Fact::warn(name, list, why.join("; ")),
    }
}

fn try_mode(mode: Mode) -> Result<(), EngineError> {
    let engine = Engine::new(EngineConfig {
        mode,
        max_instances: oneshot::INSTANCES,
        ..EngineConfig::default()
    })?;
    for flavour in Flavour::ALL {
        engine.wasmtime(flavour)?;
    }
    Ok(())
}

fn cache(engine: &Engine) -> Fact {
    let name = "artifact cache";
    match engine.cache() {
        None => Fact::warn(name, "none", "each start compiles again: set `--cache-dir` or HOME"),
        Some(Err(error)) => Fact::warn(name, broken(error), "each start compiles again"),
        Some(Ok(cache)) => {
            let stats = cache.stats();
            let (bytes, limit) = (Size(stats.bytes), Size(stats.limit_bytes));
            let path = stats.path.display();
            let value = format!("{path}: {} artifacts, {bytes} of {limit}", stats.entries);
            if stats.writable {
                Fact::ok(name, value)
            } else {
                Fact::warn(
                    name,
                    value,
                    "it cannot be written to: new components compile at each start",
                )
            }
        }
    }
}

fn broken(error: &CacheError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
