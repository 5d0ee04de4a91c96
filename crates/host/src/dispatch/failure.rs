//! How a guest can fail, and whose fault each way is.

use std::sync::Arc;
use std::time::Duration;

use dayfly_capabilities::wasi::stdio::Level;
use dayfly_capabilities::{HostState, Over};
use dayfly_engine::{CpuLimitExceeded, Exceeded, StoreData};
use dayfly_model::platform::Quota;
use dayfly_telemetry::ComponentMetrics;
use http::{Response, StatusCode};
use thiserror::Error;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

use super::admission::Full;
use crate::error::one_line;
use crate::{Body, EdgeError, ErrorId, Fault, Problem};

/// A request that the guest did not answer, or not to the end.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("the guest trapped: {0:#}")]
    Trap(wasmtime::Error),
    #[error("the guest used more than its CPU time of {0:?}")]
    Cpu(Duration),
    #[error("the guest used up the CPU time of {0:?} that the component has which called it")]
    CallersCpu(Duration),
    #[error("the guest executed more than its {0} instructions")]
    Instructions(u64),
    #[error("the guest did not answer within its time of {0:?}")]
    Time(Duration),
    #[error("the guest wanted more than its memory of {0} bytes")]
    Memory(u64),
    #[error("the guest wanted more than its {0} elements of tables")]
    Tables(u64),
    #[error("the guest returned without a response")]
    NoResponse,
    #[error("the guest answered with status {0}, which cannot be a final one")]
    Status(StatusCode),
    #[error("the guest answered with an error: {0}")]
    Guest(String),
    #[error("the guest's output is no CGI response: {0}")]
    Cgi(String),
    #[error("the command ended with a failure status")]
    Exit,
    #[error("the guest wrote more than its {0} bytes of output")]
    Output(u64),
    #[error("the guest wrote another number of bytes than its `Content-Length` says")]
    Length,
    #[error("the component could not be loaded: {0}")]
    Load(Arc<str>),
    #[error("the component was not loaded in time")]
    Loading,
    #[error("the request's body is larger than {0} bytes")]
    BodyTooLarge(u64),
    #[error("as many bodies are held whole as there is room for")]
    NoRoom,
    #[error("the client sent the request's body too slowly")]
    BodyTooSlow,
    #[error("the request cannot be passed on: {0}")]
    Request(wasmtime::Error),
    #[error("the component already runs as many instances as it may")]
    ComponentFull,
    #[error("this node already runs as many instances as it can")]
    NodeFull,
    #[error("the component's requests wait too long for a processor")]
    Slow,
    #[error("the tenant already runs as many instances as are its share of this node")]
    ShareFull,
    #[error("the tenant's requests wait too long for its share of a processor")]
    ShareSlow,
    #[error("the tenant already runs as many instances as its quota says")]
    TenantFull,
    #[error(transparent)]
    Over(Over),
}

impl From<Full> for Failure {
    fn from(full: Full) -> Self {
        match full {
            Full::Component => Self::ComponentFull,
            Full::Node => Self::NodeFull,
            Full::Share => Self::ShareFull,
            Full::Concurrency => Self::TenantFull,
        }
    }
}

impl Failure {
    /// What a failed call means, as its store knows: the error alone does not tell a guest that
    /// ran out of memory from one that gave up for another reason.
    pub(super) fn of_call(error: wasmtime::Error, store: &mut Store<HostState>) -> Self {
        let limits = &store.data().grants().limits;
        if error.downcast_ref::<CpuLimitExceeded>().is_some() {
            return Self::Cpu(limits.cpu);
        }
        if error.downcast_ref::<Trap>() == Some(&Trap::OutOfFuel) {
            return Self::Instructions(limits.instructions.unwrap_or_default());
        }
        // The pool can be smaller than configured, where address space is limited.
        if error.is::<PoolConcurrencyLimitError>() {
            return Self::NodeFull;
        }
        let (memory_bytes, table_elements) = (limits.memory_bytes, limits.table_elements);
        match store.data_mut().limiter().exceeded() {
            Some(Exceeded::Memory) => Self::Memory(memory_bytes),
            Some(Exceeded::Tables) => Self::Tables(table_elements),
            None => Self::Trap(error),
        }
    }

    /// What the client may know of it.
    pub(super) fn problem(&self) -> Problem {
        match self {
            Self::Trap(_) => Problem::GuestTrapped,
            Self::Cpu(_) | Self::CallersCpu(_) | Self::Instructions(_) | Self::Time(_) => {
                Problem::OverTime
            }
            Self::Memory(_) | Self::Tables(_) => Problem::OverMemory,
            Self::NoResponse
            | Self::Status(_)
            | Self::Guest(_)
            | Self::Cgi(_)
            | Self::Exit
            | Self::Output(_)
            | Self::Length => Problem::NoResponse,
            Self::Load(_) => Problem::Unavailable,
            Self::Request(_) => Problem::Malformed,
            Self::BodyTooLarge(_) => Problem::BodyTooLarge,
            Self::BodyTooSlow => Problem::BodyTooSlow,
            Self::ComponentFull => Problem::TenantBusy,
            Self::NodeFull | Self::NoRoom | Self::Slow | Self::Loading => Problem::NodeBusy,
            Self::ShareFull | Self::ShareSlow => Problem::ShareBusy,
            Self::TenantFull => Problem::OverQuota(Quota::Concurrency),
            Self::Over(over) => Problem::OverQuota(over.quota),
        }
    }

    /// The answer to a client that has had none yet; its request may have an id already.
    pub(super) fn respond(
        self,
        component: &Arc<ComponentMetrics>,
        id: Option<ErrorId>,
    ) -> Response<Body> {
        let error = match &self {
            Self::Over(over) => EdgeError::over(over),
            _ => EdgeError::new(self.problem()),
        };
        let id = id.unwrap_or_else(ErrorId::random);
        error.of(component.clone()).because(self).respond_as(id)
    }

    /// The log line of a failure that comes too late for an answer.
    pub(super) fn log(self, component: &Arc<ComponentMetrics>, id: Option<ErrorId>) {
        let id = id.unwrap_or_else(ErrorId::random);
        EdgeError::new(self.problem()).of(component.clone()).because(self).log(id);
    }

    /// The same for whoever owns the guest, and how much it matters to them: what the client may know,
    /// and what the guest did. Nothing of the host's is in it.
    pub(super) fn told(&self) -> (Level, String) {
        let problem = self.problem();
        let level = match problem.fault() {
            Fault::Client => Level::Info,
            Fault::Tenant => Level::Warn,
            Fault::Guest | Fault::Operator | Fault::Platform => Level::Error,
        };
        let text = match self {
            // Where it lies is the host's.
            Self::Load(_) => problem.line().to_owned(),
            failure => format!("{problem}: {failure}"),
        };
        (level, one_line(&text))
    }
}
