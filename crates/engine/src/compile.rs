//! Compiles components, on threads of the engine's own.

use rayon::ThreadPool;
use wasmtime::CodeBuilder;
use wasmtime::component::Component;

use crate::{EngineConfig, EngineError, Mode};

/// Stack of a compiling thread: Cranelift recurses on what it compiles.
const STACK_BYTES: usize = 8 << 20;

/// What compiles. Its threads are started by the first compilation and stay.
pub(crate) struct Compiler {
    mode: Mode,
    threads: usize,
    pool: std::sync::OnceLock<ThreadPool>,
}

impl Compiler {
    pub(crate) fn new(config: &EngineConfig) -> Compiler {
        let threads = config.compile_threads;
        Compiler { mode: config.mode, threads, pool: std::sync::OnceLock::new() }
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
        let mode = self.mode;
        self.pool()?
            .install(|| {
                let mut builder = CodeBuilder::new(engine);
                builder.wasm_binary(wasm, None)?;
                compile(&mut builder)
            })
            .map_err(|source| EngineError::Compile { mode, source })
    }

    fn pool(&self) -> Result<&ThreadPool, EngineError> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .stack_size(STACK_BYTES)
            .thread_name(|i| format!("dayfly-compile-{i}"))
            .build()
            .map_err(|e| EngineError::Threads { threads: self.threads, source: e.into() })?;
        Ok(self.pool.get_or_init(|| pool))
    }
}
