//! Measures what a tiny component costs on this machine: compiled, loaded, started and called.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dayfly_engine::{Code, Engine, EngineConfig, MemoryLimiter, Metered, Mode};
use wasmtime::component::{InstancePre, Linker};

use super::fact::Fact;
use crate::oneshot;

/// The smallest component that has a memory and a function.
const TINY: &str = r#"(component
    (core module $tiny
        (memory (export "memory") 1)
        (func (export "answer") (result i32) (i32.const 42)))
    (core instance $tiny (instantiate $tiny))
    (func (export "answer") (result u32) (canon lift (core func $tiny "answer"))))"#;

/// How often an instance is started; the median counts.
const ROUNDS: usize = 200;
const MEMORY_BYTES: u64 = 1 << 20;

/// What each step took.
struct Times {
    compile: Duration,
    load: Duration,
    call: Duration,
}

pub(super) fn facts() -> Vec<Fact> {
    match measure() {
        Ok(Times { compile, load, call }) => {
            let time = |duration: Duration| format!("{duration:.1?}");
            vec![
                Fact::ok("compile", format!("{} for a tiny component", time(compile))),
                Fact::ok("load", format!("{} from a fresh artifact cache", time(load))),
                Fact::ok("fresh instance", format!("{} to start, call and drop", time(call))),
            ]
        }
        Err(error) => {
            let hint = "a component that only returns a number does not run here";
            vec![Fact::fail("fresh instance", format!("{error:#}"), hint)]
        }
    }
}

fn measure() -> Result<Times> {
    let wasm = dayfly_forge::prepare_bytes("tiny", TINY.into())?.wasm;
    let folder = Folder::new()?;
    let start = Instant::now();
    let compiled = engine(&folder.0)?.load(&wasm)?;
    let compile = start.elapsed();
    drop(compiled);
    // A new engine knows nothing of what the first one loaded.
    let engine = engine(&folder.0)?;
    engine.wasmtime(dayfly_engine::Flavour::SEQUENTIAL)?;
    let start = Instant::now();
    let code = engine.load(&wasm)?;
    let load = start.elapsed();
    let call = median_call(&code)?;
    Ok(Times { compile, load, call })
}

fn engine(folder: &Path) -> Result<Engine> {
    let config = EngineConfig {
        mode: Mode::Auto,
        cache_dir: Some(folder.to_owned()),
        max_instances: oneshot::INSTANCES,
        ..EngineConfig::default()
    };
    let engine = Engine::new(config)?;
    // Building it is not what is measured.
    engine.wasmtime(dayfly_engine::Flavour::SEQUENTIAL)?;
    Ok(engine)
}

fn median_call(code: &Code) -> Result<Duration> {
    let linker = Linker::new(code.component().engine());
    let pre = linker.instantiate_pre(code.component())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let answer = runtime.block_on(Metered::new(Duration::from_secs(10), call(code, &pre)))?;
        times.push(start.elapsed());
        anyhow::ensure!(answer == 42, "the guest answered {answer} in place of 42");
    }
    times.sort_unstable();
    Ok(times[ROUNDS / 2])
}

async fn call(code: &Code, pre: &InstancePre<MemoryLimiter>) -> wasmtime::Result<u32> {
    let mut store = code.store(MemoryLimiter::new(MEMORY_BYTES));
    let instance = code.instantiating(pre.instantiate_async(&mut store)).await?;
    let answer = instance.get_typed_func::<(), (u32,)>(&mut store, "answer")?;
    Ok(answer.call_async(&mut store, ()).await?.0)
}

/// A folder of this process's own, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("dayfly-doctor-{}", std::process::id()));
        std::fs::create_dir(&path)
            .with_context(|| format!("failed to make the folder `{}`", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it is small, and the system's to remove.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
