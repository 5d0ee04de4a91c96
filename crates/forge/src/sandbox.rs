//! What the host holds for something that runs while an app is made: the context of WASI that it is given, and
//! nothing else.

mod command;

use dayfly_engine::{Exceeded, MemoryLimiter, StoreData};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::freeze::Seen;

pub(crate) use command::{Ended, Terms, engine, run};

/// The data of such a store. It is one type for all of them, because all that links WASI is compiled for each.
pub(crate) struct Sandbox {
    /// What an initialiser has looked at.
    pub(crate) seen: Seen,
    wasi: WasiCtx,
    table: ResourceTable,
    limiter: MemoryLimiter,
}

impl Sandbox {
    /// One with so much linear memory.
    pub(crate) fn new(wasi: WasiCtx, memory_bytes: u64) -> Self {
        let limiter = MemoryLimiter::new(memory_bytes);
        Self { seen: Seen::default(), wasi, table: ResourceTable::new(), limiter }
    }

    /// Whether it wanted more memory than it may have.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.limiter.exceeded() == Some(Exceeded::Memory)
    }
}

impl StoreData for Sandbox {
    fn limiter(&mut self) -> &mut MemoryLimiter {
        &mut self.limiter
    }
}

impl WasiView for Sandbox {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
