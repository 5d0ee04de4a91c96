//! Compiles components, on threads of the engine's own.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::ThreadPool;
use wasmparser::{Validator, WasmFeatures};
use wasmtime::CodeBuilder;
use wasmtime::component::Component;

use crate::{EngineConfig, EngineError, Mode};

/// Stack of one thread: Cranelift recurses on what it compiles.
const STACK_BYTES: usize = 8 << 20;

/// What compiles. Its threads are started by the first compilation, and stay until it rests.
pub(crate) struct Compiler {
    mode: Mode,
    threads: usize,
    pool: Mutex<Option<Arc<ThreadPool>>>,
}

impl Compiler {
    pub(crate) fn new(config: &EngineConfig) -> Compiler {
        let threads = config.compile_threads;
        Compiler { mode: config.mode, threads, pool: Mutex::default() }
    }

    /// Ends the threads, when what they compile now is done.
    pub(crate) fn rest(&self) {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).take();
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

    fn pool(&self) -> Result<Arc<ThreadPool>, EngineError> {
        let mut kept = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = &*kept {
            return Ok(pool.clone());
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .stack_size(STACK_BYTES)
            .thread_name(|i| format!("dayfly-compile-{i}"))
            .build()
            .map_err(|e| EngineError::Threads { threads: self.threads, source: e.into() })?;
        Ok(kept.insert(Arc::new(pool)).clone())
    }
}
