//! The state of one instance: one field a capability, filled when the guest first asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use dayfly_engine::{Bounds, CpuBudget, MemoryLimiter, StoreData};
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{FieldMap, WasiHttpCtx, WasiHttpCtxView};

use crate::Grants;
use crate::connections::Leave;
use crate::http::Outbound;
use crate::http::budget::Budget;
use crate::logging::Logged;
use crate::otel::Told;
use crate::sqlite::Places;
use crate::supply::Part as Descriptor;
use crate::wasi::open::Open;
use crate::wasi::tcp::Streaming;
use crate::wasi::{Invocation, LogBound, Stdio};

/// What led to an instance.
#[derive(Debug, Clone, Default)]
pub struct Behind {
    /// How many calls between components.
    pub depth: u32,
    /// How many steps of a topology the messages have behind them that it puts.
    pub hops: u32,
    /// What the components that it calls spend of the CPU, too: what its own guest does, once there is one;
    /// before, what its caller does.
    pub cpu: Option<Arc<CpuBudget>>,
}

/// What one instance's store holds.
pub struct HostState {
    grants: Arc<Grants>,
    limiter: MemoryLimiter,
    table: ResourceTable,
    open_files: Open,
    file_streams: Open,
    streaming: Streaming,
    sockets: Vec<(Descriptor, Leave)>,
    stdio: Stdio,
    invocation: Invocation,
    wasi: Option<WasiCtx>,
    http: WasiHttpCtx,
    /// How many requests the instance has served, if it may serve several.
    served: Option<Arc<AtomicU32>>,
    budget: Budget,
    told: Told,
    logged: Logged,
    outbound: Outbound,
    /// How many key-value stores the guest holds.
    pub(crate) open_stores: u32,
    databases: Places,
}

impl HostState {
    /// The state of an event handler: nothing on standard input, its output to the app's log.
    pub fn new(grants: Arc<Grants>) -> Self {
        let stdio = Stdio::Log(grants.log.clone());
        Self::for_command(grants, stdio, Invocation::default())
    }

    /// The state of a command.
    pub fn for_command(grants: Arc<Grants>, stdio: Stdio, invocation: Invocation) -> Self {
        let limits = &grants.limits;
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.resources as usize);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(usize::try_from(limits.header_bytes).unwrap_or(usize::MAX));
        Self {
            limiter: MemoryLimiter::new(limits.memory_bytes).with_tables(limits.table_elements),
            table,
            open_files: Open::default(),
            file_streams: Open::default(),
            streaming: Streaming::default(),
            sockets: Vec::new(),
            stdio,
            invocation,
            wasi: None,
            http,
            served: None,
            budget: Budget::new(limits),
            told: Told::default(),
            logged: Logged::default(),
            outbound: Outbound::new(grants.clone()),
            open_stores: 0,
            databases: Places::default(),
            grants,
        }
    }

    /// The same where this led to it.
    #[must_use]
    pub fn behind(mut self, behind: Behind) -> Self {
        self.outbound.set_behind(behind);
        self
    }

    /// The same for an instance that may serve several requests.
    #[must_use]
    pub fn kept(mut self) -> Self {
        self.served = Some(Arc::default());
        self
    }

    /// Makes what bounds one request whole again, for the next one of the same instance, which something
    /// else led to.
    pub fn renew(&mut self, behind: Behind) {
        self.budget = Budget::new(&self.grants.limits);
        (self.told, self.logged) = Default::default();
        self.outbound = Outbound::new(self.grants.clone());
        self.outbound.set_behind(behind);
        if let Some(served) = &self.served {
            served.fetch_add(1, Relaxed);
        }
    }

    /// What led to the instance.
    pub(crate) fn led_to_it(&self) -> Behind {
        self.outbound.behind()
    }

    /// The share of the instance's component.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// The same, for a task that may outlive the instance.
    pub(crate) fn shared_grants(&self) -> Arc<Grants> {
        self.grants.clone()
    }

    /// The instance's resources.
    pub fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    /// Takes one of the outbound requests and connections that the instance may make; false if none
    /// is left.
    pub(crate) fn spend_outbound(&mut self) -> bool {
        self.outbound.spend()
    }

    /// The files and folders that the instance holds open.
    pub(crate) fn open_files(&mut self) -> &mut Open {
        &mut self.open_files
    }

    /// The instance's resources and the files among them that it holds open.
    pub(crate) fn table_and_open_files(&mut self) -> (&mut ResourceTable, &mut Open) {
        (&mut self.table, &mut self.open_files)
    }

    /// The streams of files that it holds.
    pub(crate) fn file_streams(&mut self) -> &mut Open {
        &mut self.file_streams
    }

    /// The connections whose streams it has.
    pub(crate) fn streaming(&mut self) -> &mut Streaming {
        &mut self.streaming
    }

    /// Takes a descriptor for one more socket beside those that the instance still holds; false if
    /// there is none.
    pub(crate) fn hold_socket(&mut self, held: usize) -> bool {
        self.release_sockets(held);
        let grants = &self.grants;
        let taken = grants.take_descriptor();
        let taken = taken.and_then(|taken| Some((taken, grants.leave_for_socket()?)));
        let took = taken.is_some();
        self.sockets.extend(taken);
        took
    }

    /// Gives back the descriptors of all sockets but those that the instance still holds.
    pub(crate) fn release_sockets(&mut self, held: usize) {
        self.sockets.truncate(held);
    }

    /// The connections to SQL databases that the instance has open.
    pub(crate) fn databases(&mut self) -> &mut Places {
        &mut self.databases
    }

    /// What the instance may still put into headers and requests.
    pub(crate) fn budget(&mut self) -> &mut Budget {
        &mut self.budget
    }

    /// What the instance has told by `wasi:otel`.
    pub(crate) fn told(&mut self) -> &mut Told {
        &mut self.told
    }

    /// What it has logged by `wasi:logging`.
    pub(crate) fn logged(&mut self) -> &mut Logged {
        &mut self.logged
    }

    /// Pays for a copy of fields; their interface has no error for what cannot be paid.
    pub(crate) fn pay_for_copy(&mut self, fields: &Resource<FieldMap>) -> wasmtime::Result<()> {
        Ok(self.budget.copy(self.table.get(fields)?)?)
    }

    pub(crate) fn http_view(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}

impl Drop for HostState {
    fn drop(&mut self) {
        let bytes = self.limiter.used_bytes();
        self.grants.metrics.instance(bytes);
        if let Some(usage) = &self.grants.usage {
            usage.instance(bytes);
        }
    }
}

impl StoreData for HostState {
    fn limiter(&mut self) -> &mut MemoryLimiter {
        &mut self.limiter
    }

    fn bounds(&self) -> Bounds {
        let limits = &self.grants.limits;
        let memory_bytes = usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX);
        let bounds = Bounds::default();
        Bounds {
            instructions: limits.instructions,
            resources: limits.resources as usize,
            hostcall_bytes: bounds.hostcall_bytes.min(memory_bytes),
        }
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self { grants, stdio, invocation, wasi, table, served, .. } = self;
        let ctx = wasi.get_or_insert_with(|| {
            let log = LogBound { bytes: grants.limits.log_bytes, served: served.clone() };
            grants.wasi.context(stdio, invocation, log)
        });
        WasiCtxView { ctx, table }
    }
}
