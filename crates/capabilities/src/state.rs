//! The state of one instance: one field a capability, filled when the guest first asks for it.

use std::sync::Arc;

use dayfly_engine::{MemoryLimiter, StoreData};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView};

use crate::Grants;
use crate::http::Outbound;
use crate::wasi::{Invocation, Stdio};

/// What one instance's store holds.
pub struct HostState {
    grants: Arc<Grants>,
    limiter: MemoryLimiter,
    table: ResourceTable,
    stdio: Stdio,
    invocation: Invocation,
    wasi: Option<WasiCtx>,
    http: WasiHttpCtx,
    outbound: Outbound,
}

impl HostState {
    /// The state of an event handler: nothing on standard input, its output to the app's log.
    pub fn new(grants: Arc<Grants>) -> Self {
        let stdio = Stdio::Log(grants.log.clone());
        Self::for_command(grants, stdio, Invocation::default())
    }

    /// The state of a command.
    pub fn for_command(grants: Arc<Grants>, stdio: Stdio, invocation: Invocation) -> Self {
        Self {
            limiter: MemoryLimiter::new(grants.limits.memory_bytes),
            table: ResourceTable::new(),
            stdio,
            invocation,
            wasi: None,
            http: WasiHttpCtx::new(),
            outbound: Outbound(grants.clone()),
            grants,
        }
    }

    /// The share of the instance's component.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// The instance's resources.
    pub fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    pub(crate) fn http_view(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}

impl StoreData for HostState {
    fn limiter(&mut self) -> &mut MemoryLimiter {
        &mut self.limiter
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self { grants, stdio, invocation, wasi, table, .. } = self;
        let ctx = wasi.get_or_insert_with(|| grants.wasi.context(stdio, invocation));
        WasiCtxView { ctx, table }
    }
}
