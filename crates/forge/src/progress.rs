//! What each phase took and made, for a summary at the end.

use std::fmt;
use std::time::{Duration, Instant};

/// A phase of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Reads the source that the manifest names.
    Resolve,
    /// Makes a component of a core module.
    Componentise,
    /// Runs what initialises the component, and makes what it becomes its beginning.
    Freeze,
    /// Gives the names of served release candidates the form that links.
    Rename,
    /// Lets core modules call the host directly.
    Unshim,
    /// Makes one component of it, its dependencies and its middleware.
    Compose,
    /// Reads what the component imports and exports, and how it takes events.
    Inspect,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolve",
            Self::Componentise => "componentise",
            Self::Freeze => "freeze",
            Self::Rename => "rename",
            Self::Unshim => "unshim",
            Self::Compose => "compose",
            Self::Inspect => "inspect",
        })
    }
}

/// What one phase did to one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseReport {
    /// Which phase.
    pub phase: Phase,
    /// Wall time.
    pub took: Duration,
    /// Bytes of WebAssembly after the phase.
    pub bytes: usize,
    /// Whether the phase changed the bytes that the phase before it handed on.
    pub changed: bool,
}

/// The phases done so far, the running one timed.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    reports: Vec<PhaseReport>,
}

impl Progress {
    /// Runs a phase that gives bytes and says whether it changed them.
    pub(crate) fn bytes<E>(
        &mut self,
        phase: Phase,
        run: impl FnOnce() -> Result<(Vec<u8>, bool), E>,
    ) -> Result<Vec<u8>, E> {
        let started = Instant::now();
        let (wasm, changed) = run()?;
        self.push(phase, started, wasm.len(), changed);
        Ok(wasm)
    }

    /// Runs a phase that only reads.
    pub(crate) fn read<T, E>(
        &mut self,
        phase: Phase,
        wasm: &[u8],
        run: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Result<T, E> {
        let started = Instant::now();
        let value = run(wasm)?;
        self.push(phase, started, wasm.len(), false);
        Ok(value)
    }

    pub(crate) fn finish(self) -> Vec<PhaseReport> {
        self.reports
    }

    fn push(&mut self, phase: Phase, started: Instant, bytes: usize, changed: bool) {
        let took = started.elapsed();
        tracing::debug!(%phase, ?took, bytes, changed, "phase done");
        self.reports.push(PhaseReport { phase, took, bytes, changed });
    }
}
