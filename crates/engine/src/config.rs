//! The one place where Wasmtime is configured.

use std::path::PathBuf;
use std::sync::Arc;

use wasmtime::{
    Config, InstanceAllocationStrategy, OptLevel, Strategy, WasmBacktraceDetails, WasmFeatures,
};

use crate::image::{Memories, PAGE_BYTES, Stacks};
use crate::{Flavour, Mode, pool};

/// Bytes of stack that are left to host functions when a guest has used all of its own.
const HOST_STACK_BYTES: u64 = 1 << 20;
/// Initialised memory up to this size is kept as one copy-on-write image, however sparse it is;
/// above it Wasmtime decides by density.
const DENSE_IMAGE_BYTES: u64 = 64 << 20;
/// Frames of a guest that an error names.
const BACKTRACE_FRAMES: std::num::NonZeroUsize = std::num::NonZeroUsize::new(20).unwrap();

/// Part of each artifact's key: what Wasmtime's compatibility hash leaves out though it changes
/// the code that is made. Raise it when [`wasmtime_config`] changes such a setting.
pub(crate) const CONFIG_REVISION: u32 = 2;

/// What an [`crate::Engine`] is built from.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// How code is made.
    pub mode: Mode,
    /// The folder of the artifact cache; without one nothing is kept.
    pub cache_dir: Option<PathBuf>,
    /// The size in bytes that the artifact cache stays within.
    pub cache_bytes: u64,
    /// Instances that may live at one time, of each [`Flavour`]. Each costs 8 GiB of address space,
    /// two of the process's mappings, and 2.5 µs when the flavour is built, but no memory.
    pub max_instances: u32,
    /// Instances that may wait for another request beside those, of each flavour.
    pub kept_instances: u32,
    /// The most that one linear memory may have, in bytes; at most 4 GiB. An instance's own limit
    /// is its [`crate::MemoryLimiter`]'s.
    pub max_memory_bytes: u64,
    /// The stack that a guest may use, in bytes. Each instance reserves this and 1 MiB for host
    /// functions.
    pub max_stack_bytes: u64,
    /// Threads that compile; 0 means one a core.
    pub compile_threads: usize,
    /// Whether this process compiles what the artifact cache has not; else that is an error, because
    /// another process compiles for it.
    pub compiles: bool,
    /// Whether instances may be reset by writing over the pages that they changed, which the kernel
    /// lists. That is done only where nothing can be swapped; otherwise their pages are given up.
    pub scan_pages: bool,
}

impl Default for EngineConfig {
    fn default() -> EngineConfig {
        EngineConfig {
            mode: Mode::Auto,
            cache_dir: None,
            cache_bytes: 4 << 30,
            max_instances: 1_000,
            kept_instances: 0,
            max_memory_bytes: 4 << 30,
            max_stack_bytes: 1 << 20,
            compile_threads: 0,
            compiles: true,
            scan_pages: true,
        }
    }
}

impl EngineConfig {
    /// The stack that an instance reserves, its guest's and the host's, in bytes.
    pub(crate) fn stack_bytes(&self) -> u64 {
        self.max_stack_bytes.saturating_add(HOST_STACK_BYTES)
    }
}

/// Wasmtime's configuration for guests of one flavour, and for this many of them at a time.
pub(crate) fn wasmtime_config(
    config: &EngineConfig,
    flavour: Flavour,
    instances: u32,
) -> wasmtime::Result<Config> {
    let mut wasmtime = Config::new();
    choose_compiler(&mut wasmtime, config.mode)?;
    choose_features(&mut wasmtime, config.mode, flavour);
    if flavour.is_imaged() {
        wasmtime
            .allocation_strategy(InstanceAllocationStrategy::OnDemand)
            .with_host_memory(Arc::new(Memories::new(pool::may_scan_pages(config))))
            // A heap of objects, which exceptions are too, is made by the same and before the memory:
            // one that is not empty at first is not taken for it.
            .gc_heap_initial_size(PAGE_BYTES)
            .with_host_stack(Arc::new(Stacks::default()));
    } else {
        let pool = pool::pool(config, instances);
        wasmtime.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    wasmtime
        // Memories of the host's can begin as no image of Wasmtime's own: those of parts that keep theirs are
        // copied into place.
        .memory_init_cow(!flavour.is_imaged())
        .memory_guaranteed_dense_image_size(DENSE_IMAGE_BYTES)
        .epoch_interruption(true)
        .consume_fuel(flavour.is_counted())
        .max_wasm_stack(usize::try_from(config.max_stack_bytes)?)
        .async_stack_size(usize::try_from(config.stack_bytes())?)
        .parallel_compilation(true);
    // Wasmtime walks guests' frames by their frame pointers. Unwind tables would serve only a
    // debugger, and registering them is slow in a process that loads many components.
    wasmtime.native_unwind_info(false);
    // Errors name functions but not source lines, whatever WASMTIME_BACKTRACE_DETAILS says: reading
    // DWARF of a large guest takes seconds, and symbols would only enlarge the artifact.
    wasmtime
        .wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES))
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .generate_address_map(false)
        .debug_symbols(false);
    Ok(wasmtime)
}

fn choose_compiler(wasmtime: &mut Config, mode: Mode) -> wasmtime::Result<()> {
    match mode {
        Mode::Auto | Mode::Jit | Mode::Aot => {
            wasmtime.strategy(Strategy::Cranelift).cranelift_opt_level(OptLevel::Speed);
            harden(wasmtime);
        }
        Mode::Baseline => {
            wasmtime.strategy(Strategy::Winch);
        }
        Mode::Interpreter => {
            wasmtime.target("pulley64")?.strategy(Strategy::Cranelift);
        }
    }
    Ok(())
}

/// Spectre mitigations are Cranelift's default; they are named here so that they stay.
fn harden(wasmtime: &mut Config) {
    // SAFETY: both settings only make the generated code more careful.
    unsafe {
        wasmtime
            .cranelift_flag_set("enable_heap_access_spectre_mitigation", "true")
            .cranelift_flag_set("enable_table_access_spectre_mitigation", "true");
    }
}

/// Which WebAssembly proposals a guest may use. Each is set, so that a new Wasmtime brings none in.
fn choose_features(wasmtime: &mut Config, mode: Mode, flavour: Flavour) {
    // What Winch does not compile.
    let optimising = mode != Mode::Baseline;
    // Artifacts and results must be the same on every machine.
    wasmtime.relaxed_simd_deterministic(true);
    wasmtime
        .wasm_bulk_memory(true)
        .wasm_multi_value(true)
        .wasm_reference_types(true)
        .wasm_simd(true)
        .wasm_relaxed_simd(optimising)
        .wasm_multi_memory(true)
        .wasm_extended_const(true)
        .wasm_tail_call(optimising)
        .wasm_function_references(optimising)
        .wasm_gc(optimising)
        .wasm_exceptions(optimising)
        .wasm_wide_arithmetic(true)
        .wasm_memory64(false)
        .wasm_custom_page_sizes(false)
        .wasm_stack_switching(false)
        .wasm_component_model(true);
    // One thread runs an instance, and memory that instances share would make a clock of each.
    wasmtime.wasm_threads(false).shared_memory(false).wasm_shared_everything_threads(false);

    let concurrent = flavour.is_concurrent();
    wasmtime
        .concurrency_support(concurrent)
        .wasm_component_model_async(concurrent)
        .wasm_component_model_more_async_builtins(concurrent)
        // No part of WASI 0.3.0, and each of its tasks takes a stack of its own.
        .wasm_component_model_async_stackful(false)
        .wasm_component_model_error_context(concurrent)
        .wasm_component_model_threading(false)
        .wasm_component_model_gc(false)
        .wasm_component_model_memory64(false);
    wasmtime.wasm_features(WasmFeatures::LEGACY_EXCEPTIONS, false);
}
