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
    /// Optimises the core modules in the component.
    Optimise,
    /// Runs what initialises the component, and makes what it becomes its beginning.
    Freeze,
    /// Gives the names of served release candidates the form that links.
    Rename,
    /// Makes one core module of several.
    Fuse,
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
            Self::Optimise => "optimise",
            Self::Freeze => "freeze",
            Self::Rename => "rename",
            Self::Fuse => "fuse",
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
    /// What else there is to say, such as why a result was dropped.
    pub note: Option<String>,
    /// What each instance is spared of its start, by this phase.
    pub spared: Option<Duration>,
}

/// What a phase made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) wasm: Vec<u8>,
    pub(crate) changed: bool,
    pub(crate) note: Option<String>,
    pub(crate) spared: Option<Duration>,
}

/// Who is told of each phase as it ends, with the bytes after it.
#[derive(Clone, Copy)]
pub struct Observer<'a>(pub &'a dyn Fn(&PhaseReport, &[u8]));

impl fmt::Debug for Observer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// The phases done so far, the running one timed.
#[derive(Debug, Default)]
pub(crate) struct Progress<'a> {
    reports: Vec<PhaseReport>,
    observer: Option<Observer<'a>>,
}

impl<'a> Progress<'a> {
    /// Phases that somebody is told of.
    pub(crate) fn told(observer: Option<Observer<'a>>) -> Self {
        Self { reports: Vec::new(), observer }
    }

    /// Runs a phase that gives bytes and says whether it changed them.
    pub(crate) fn bytes<E>(
        &mut self,
        phase: Phase,
        run: impl FnOnce() -> Result<(Vec<u8>, bool), E>,
    ) -> Result<Vec<u8>, E> {
        self.made(phase, || {
            run().map(|(wasm, changed)| Made { wasm, changed, note: None, spared: None })
        })
    }

    /// As [`Progress::bytes`], of a phase that may have more to say.
    pub(crate) fn made<E>(
        &mut self,
        phase: Phase,
        run: impl FnOnce() -> Result<Made, E>,
    ) -> Result<Vec<u8>, E> {
        let started = Instant::now();
        let Made { wasm, changed, note, spared } = run()?;
        let (took, bytes) = (started.elapsed(), wasm.len());
        self.push(PhaseReport { phase, took, bytes, changed, note, spared }, &wasm);
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
        let (took, bytes) = (started.elapsed(), wasm.len());
        let report = PhaseReport { phase, took, bytes, changed: false, note: None, spared: None };
        self.push(report, wasm);
        Ok(value)
    }

    pub(crate) fn finish(self) -> Vec<PhaseReport> {
        self.reports
    }

    fn push(&mut self, report: PhaseReport, wasm: &[u8]) {
        let PhaseReport { phase, took, bytes, changed, .. } = &report;
        tracing::debug!(%phase, ?took, bytes, changed, "phase done");
        if let Some(Observer(tell)) = self.observer {
            tell(&report, wasm);
        }
        self.reports.push(report);
    }
}
