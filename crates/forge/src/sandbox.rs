//! What the host holds for something that runs while an app is made: the context of WASI that it is given, and
//! nothing else.

mod command;

use dayfly_engine::{MemoryLimiter, StoreData};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

pub(crate) use command::{Ended, Terms, engine, run};

/// The data of such a store; `own` is what whoever runs it knows beside.
pub(crate) struct Sandbox<T> {
    pub(crate) own: T,
    wasi: WasiCtx,
    table: ResourceTable,
    limiter: MemoryLimiter,
}

impl<T> Sandbox<T> {
    /// One with so much linear memory.
    pub(crate) fn new(wasi: WasiCtx, memory_bytes: u64, own: T) -> Self {
        let limiter = MemoryLimiter::new(memory_bytes);
        Self { own, wasi, table: ResourceTable::new(), limiter }
    }

    /// Whether it wanted more memory than it may have.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.limiter.exceeded()
    }
}

impl<T: Send + 'static> StoreData for Sandbox<T> {
    fn limiter(&mut self) -> &mut MemoryLimiter {
        &mut self.limiter
    }
}

impl<T: Send + 'static> WasiView for Sandbox<T> {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
