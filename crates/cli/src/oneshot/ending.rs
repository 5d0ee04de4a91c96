//! How a guest ended, and the exit status that tells so.

use std::process::ExitCode;

use anyhow::{Error, Result, anyhow};
use dayfly_capabilities::HostState;
use dayfly_engine::{CpuLimitExceeded, Exceeded, StoreData};
use dayfly_model::Limits;
use wasmtime::{Store, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::output::Size;
use crate::report;

/// The exit status of a guest that trapped or was stopped at a limit: what a shell says of a
/// process that aborted (128 and SIGABRT), and what `wasmtime run` ends with.
const STOPPED: u8 = 134;

/// How a guest ended.
pub(crate) enum Ending<T> {
    /// It returned.
    Returned(T),
    /// It chose its status.
    Exited(u8),
    /// It trapped or was stopped at a limit.
    Stopped(Error),
}

impl<T> Ending<T> {
    /// Tells from what a call came to.
    ///
    /// # Errors
    /// If the guest never started.
    pub(crate) fn of(result: wasmtime::Result<T>, store: &mut Store<HostState>) -> Result<Self> {
        let error = match result {
            Ok(value) => return Ok(Self::Returned(value)),
            Err(error) => error,
        };
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            // The system keeps the lower eight bits of a status.
            return Ok(Self::Exited((exit.0 & 0xff) as u8));
        }
        let limits = store.data().grants().limits.clone();
        if error.is::<CpuLimitExceeded>() {
            let text = anyhow!("the guest used more than its CPU time of {:?}", limits.cpu);
            return Ok(Self::Stopped(report::hint(text, Some("raise it with `--limit cpu=…`"))));
        }
        if error.downcast_ref::<Trap>() == Some(&Trap::OutOfFuel) {
            let bound = limits.instructions.unwrap_or_default();
            let text = anyhow!("the guest executed more than its {bound} instructions");
            return Ok(Self::Stopped(report::hint(
                text,
                Some("raise it with `--limit instructions=…`"),
            )));
        }
        let trapped = error.is::<Trap>() || error.is::<WasmBacktrace>();
        if let Some(exceeded) = store.data_mut().limiter().exceeded() {
            let (wanted, hint) = match exceeded {
                Exceeded::Memory => {
                    let memory = Size(limits.memory_bytes);
                    (format!("memory of {memory}"), "raise it with `--limit memory=…`")
                }
                Exceeded::Tables => {
                    let elements = limits.table_elements;
                    (format!("{elements} elements of tables"), "raise it with `--limit tables=…`")
                }
            };
            let text = format!("the guest wanted more than its {wanted}");
            return Ok(Self::Stopped(report::hint(Error::from(error).context(text), Some(hint))));
        }
        if trapped {
            return Ok(Self::Stopped(Error::from(error).context("the guest trapped")));
        }
        Err(Error::from(error).context("failed to start the guest"))
    }

    /// That the guest's wall time was over.
    pub(crate) fn out_of_time(limits: &Limits) -> Self {
        let text = anyhow!("the guest did not end within its time of {:?}", limits.time);
        Self::Stopped(report::hint(text, Some("raise it with `--limit time=…`")))
    }

    /// The process's exit status; `returned` says what a returned value means.
    ///
    /// # Errors
    /// As `returned`.
    pub(crate) fn status(self, returned: impl FnOnce(T) -> Result<ExitCode>) -> Result<ExitCode> {
        match self {
            Self::Returned(value) => returned(value),
            Self::Exited(status) => Ok(ExitCode::from(status)),
            Self::Stopped(error) => {
                report::print(&error);
                Ok(ExitCode::from(STOPPED))
            }
        }
    }
}
