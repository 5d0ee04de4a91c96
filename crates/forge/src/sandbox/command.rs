//! Runs a tool that is a command of WebAssembly itself, with nothing but what it is given: its arguments,
//! bytes to read from standard input, a folder to read where it needs one, and bounds on all it uses.

use std::path::Path;
use std::time::Duration;

use dayfly_engine::{Code, CpuLimitExceeded, Engine, EngineConfig, EngineError, Metered, Mode};
use wasmtime::component::Linker;
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

use super::Sandbox;

const SAID_BYTES: usize = 1 << 20;

/// What a tool is given, and how much it may use.
pub(crate) struct Terms<'a> {
    /// Its name and its arguments.
    pub(crate) arguments: &'a [&'a str],
    /// What it reads from standard input.
    pub(crate) input: Vec<u8>,
    /// The folder that it sees as `/`, to read.
    pub(crate) folder: Option<&'a Path>,
    pub(crate) memory_bytes: u64,
    pub(crate) cpu: Duration,
    /// What it may write to standard output.
    pub(crate) output_bytes: usize,
}

/// How a tool ended that did not end well.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It cannot be run.
    Engine(EngineError),
    /// Its folder cannot be opened.
    Folder(wasmtime::Error),
    /// There is no runtime to run it in.
    Runtime(std::io::Error),
    /// It says that it failed, and why.
    Failed(String),
    /// It used up its time.
    Cpu,
    /// It wanted more memory than it may have.
    Memory,
    /// It, or the host, failed; with what it said before.
    Trapped(wasmtime::Error, String),
}

impl From<EngineError> for Ended {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// An engine for one instance at a time. Code of [`Mode::Baseline`] is made soon, and runs slower.
///
/// # Errors
/// As [`Engine::new`].
pub(crate) fn engine(of: &Engine, mode: Mode, stack_bytes: u64) -> Result<Engine, EngineError> {
    let mode = if of.mode() == Mode::Interpreter { Mode::Interpreter } else { mode };
    let config = of.config().clone();
    Engine::new(EngineConfig {
        mode,
        max_instances: 1,
        kept_instances: 0,
        max_stack_bytes: stack_bytes,
        ..config
    })
}

/// Runs a component that is a command to its end, and gives what it wrote to standard output. It
/// blocks.
pub(crate) fn run(code: &Code, terms: Terms<'_>) -> Result<Vec<u8>, Ended> {
    let output = MemoryOutputPipe::new(terms.output_bytes);
    let said = MemoryOutputPipe::new(SAID_BYTES);
    let cpu = terms.cpu;
    let state = sandbox(terms, [output.clone(), said.clone()])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Ended::Runtime)?;
    let mut store = code.store(state);
    let ran = runtime.block_on(Metered::new(cpu, async {
        let mut linker = Linker::new(code.component().engine());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        let made = Command::instantiate_async(&mut store, code.component(), &linker);
        let command = code.instantiating(made).await?;
        command.wasi_cli_run().call_run(&mut store).await
    }));
    // What files it has open may be used by a thread still.
    runtime.shutdown_background();
    let said = || String::from_utf8_lossy(&said.contents()).into_owned();
    match ran {
        Ok(Ok(())) => Ok(output.contents().to_vec()),
        Ok(Err(())) => Err(Ended::Failed(said())),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(0)) => Ok(output.contents().to_vec()),
            Some(I32Exit(1)) => Err(Ended::Failed(said())),
            _ if store.data().is_out_of_memory() => Err(Ended::Memory),
            _ if error.is::<CpuLimitExceeded>() => Err(Ended::Cpu),
            _ => Err(Ended::Trapped(error, said())),
        },
    }
}

/// What the host holds for a tool.
fn sandbox(terms: Terms<'_>, [output, said]: [MemoryOutputPipe; 2]) -> Result<Sandbox, Ended> {
    let mut wasi = WasiCtxBuilder::new();
    wasi.args(terms.arguments)
        .env("PWD", "/")
        .stdin(MemoryInputPipe::new(terms.input))
        .stdout(output)
        .stderr(said)
        .allow_tcp(false)
        .allow_udp(false);
    if let Some(folder) = terms.folder {
        wasi.preopened_dir(folder, "/", FsPerms::ReadOnly).map_err(Ended::Folder)?;
    }
    Ok(Sandbox::new(wasi.build(), terms.memory_bytes))
}
