//! Compiles components, on threads that live as long as that takes and leave the cores to others.

use wasmparser::{Validator, WasmFeatures};
use wasmtime::CodeBuilder;
use wasmtime::component::Component;

use crate::{EngineConfig, EngineError, Mode, Weight};

/// Stack of one thread: Cranelift recurses on what it compiles.
const STACK_BYTES: usize = 8 << 20;

/// What compiles.
pub(crate) struct Compiler {
    mode: Mode,
    threads: usize,
    compiles: bool,
}

impl Compiler {
    pub(crate) fn new(config: &EngineConfig) -> Compiler {
        let EngineConfig { mode, compile_threads: threads, compiles, .. } = *config;
        Compiler { mode, threads, compiles }
    }

    /// Code in memory.
    pub(crate) fn component(
        &self,
        engine: &wasmtime::Engine,
        wasm: &[u8],
    ) -> Result<Component, EngineError> {
        self.run(engine, wasm, |builder| builder.compile_component())
    }

    /// Code as an artifact.
    pub(crate) fn artifact(
        &self,
        engine: &wasmtime::Engine,
        wasm: &[u8],
    ) -> Result<Vec<u8>, EngineError> {
        self.run(engine, wasm, |builder| builder.compile_component_serialized())
    }

    fn run<T: Send>(
        &self,
        engine: &wasmtime::Engine,
        wasm: &[u8],
        compile: impl FnOnce(&mut CodeBuilder<'_>) -> wasmtime::Result<T> + Send,
    ) -> Result<T, EngineError> {
        if !self.compiles {
            return Err(EngineError::CompilesNothing);
        }
        // It cannot be interrupted once it has begun.
        Weight::of(wasm)?;
        let compiled = self.pool()?.install(|| {
            let mut builder = CodeBuilder::new(engine);
            builder.wasm_binary(wasm, None)?;
            compile(&mut builder)
        });
        compiled.map_err(|source| self.blame(wasm, source))
    }

    /// Whether a failure is the component's, or the compiler's that lacks something: Wasmtime
    /// reports both alike.
    fn blame(&self, wasm: &[u8], source: wasmtime::Error) -> EngineError {
        let features = WasmFeatures::WASM3
            | WasmFeatures::WIDE_ARITHMETIC
            | WasmFeatures::GC_TYPES
            | WasmFeatures::COMPONENT_MODEL
            | WasmFeatures::CM_ASYNC
            | WasmFeatures::CM_ASYNC_STACKFUL
            | WasmFeatures::CM_MORE_ASYNC_BUILTINS
            | WasmFeatures::CM_ERROR_CONTEXT;
        let features = features - WasmFeatures::MEMORY64 - WasmFeatures::THREADS;
        match Validator::new_with_features(features).validate_all(wasm) {
            Ok(_) => EngineError::Compile { mode: self.mode, source },
            Err(error) => EngineError::Invalid(wasmtime::Error::msg(error.to_string())),
        }
    }

    fn pool(&self) -> Result<rayon::ThreadPool, EngineError> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .stack_size(STACK_BYTES)
            .thread_name(|i| format!("dayfly-compile-{i}"))
            .start_handler(|_| step_back())
            .build()
            .map_err(|e| EngineError::Threads { threads: self.threads, source: e.into() })
    }
}

/// The niceness of threads that compile: what serves goes first, and beside it they get a quarter of a
/// core. With less they would hold the process's locks on its memory for long: at 10 requests waited
/// more than a second for a thread that could not go on.
#[cfg(target_os = "linux")]
const LOW: i32 = 4;

/// Lets threads that serve go first; where that cannot be had, this one is as they are.
fn step_back() {
    // On Linux a priority is a thread's; elsewhere it would be the whole process's.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, LOW);
}
