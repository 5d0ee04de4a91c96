//! The list of the phases between a manifest's source and a component that the engine takes.
//!
//! Freezing, composing, optimising, compiling and packaging are phases of later versions.

use std::path::{Path, PathBuf};

use dayfly_model::{App, Component, Executor, HandlerShape, Source};

use crate::componentise::{self, ComponentiseError};
use crate::inspect::{self, InspectError, World};
use crate::progress::{Phase, PhaseReport, Progress};
use crate::rename::{self, RenameError};
use crate::resolve::{self, ResolveError};
use crate::shape::{self, ShapeError};
use crate::unshim;

/// One component to prepare: what it is called, where its code is, and how it will be called.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The component's name, for messages.
    pub component: &'a str,
    /// The folder that a relative source is relative to.
    pub root: &'a Path,
    /// Where the code is.
    pub source: &'a Source,
    /// The commands that build the source, for the hint when it is missing.
    pub build_commands: &'a [String],
    /// How it will be called: `Wagi` asks for a command and may name its entry point.
    pub executor: &'a Executor,
}

impl<'a> Job<'a> {
    /// The job of preparing `component` of `app` for a trigger with `executor`.
    pub fn new(app: &'a App, component: &'a Component, executor: &'a Executor) -> Self {
        Self {
            component: &component.id.0,
            root: &app.root,
            source: &component.source,
            build_commands: component.build.as_ref().map_or(&[], |build| &build.commands),
            executor,
        }
    }

    fn entrypoint(&self) -> Option<&'a str> {
        match self.executor {
            Executor::Wagi { entrypoint, .. } => Some(entrypoint),
            Executor::Detected => None,
        }
    }
}

/// A component that the engine can take and that answers events.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The component's bytes.
    pub wasm: Vec<u8>,
    /// How it takes an event.
    pub shape: HandlerShape,
    /// What it imports and exports.
    pub world: World,
    /// What each phase took and made, in order.
    pub phases: Vec<PhaseReport>,
}

/// A component that the engine can take, whether or not it answers events: what `call` and `check`
/// need.
#[derive(Debug, Clone)]
pub struct Unshaped {
    /// The component's bytes.
    pub wasm: Vec<u8>,
    /// What it imports and exports.
    pub world: World,
    /// What each phase took and made, in order.
    pub phases: Vec<PhaseReport>,
}

/// A component could not be prepared. The causes are the chain of sources; [`ForgeError::hint`]
/// says what a person can do.
#[derive(Debug, thiserror::Error)]
#[error("failed to prepare component `{component}`")]
pub struct ForgeError {
    /// The component's name.
    pub component: String,
    /// What failed.
    #[source]
    pub failure: Failure,
}

/// The phase that failed, with its error.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The source could not be read.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A core module could not be made a component.
    #[error(transparent)]
    Componentise(#[from] ComponentiseError),
    /// The component's names could not be read.
    #[error(transparent)]
    Rename(#[from] RenameError),
    /// The component's imports and exports could not be read.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The component does not answer events in a way that Dayfly knows.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

impl ForgeError {
    /// What a person can do about it, where that is known; a sentence fragment without a full stop.
    pub fn hint(&self) -> Option<String> {
        match &self.failure {
            Failure::Resolve(error) => error.hint(),
            Failure::Componentise(error) => error.hint(),
            Failure::Shape(error) => error.hint(),
            Failure::Rename(_) | Failure::Inspect(_) => {
                Some("the file looks damaged: build or copy it again".to_owned())
            }
        }
    }
}

/// Finds the file of a component; it is not opened.
///
/// # Errors
/// When it is not there, or the source is none that this version serves.
pub fn find(job: &Job<'_>) -> Result<PathBuf, ForgeError> {
    resolve::find(job).map_err(|error| job.failed(error))
}

/// Prepares a component that must answer events.
///
/// # Errors
/// When a phase fails, or when nothing that the component exports takes an event.
pub fn prepare(job: &Job<'_>) -> Result<Prepared, ForgeError> {
    let Unshaped { wasm, world, phases } = prepare_unshaped(job)?;
    let shape = match job.executor {
        Executor::Wagi { .. } => shape::detect_command(&world),
        Executor::Detected => shape::detect_shape(&world),
    }
    .map_err(|error| job.failed(error))?;
    Ok(Prepared { wasm, shape, world, phases })
}

/// Prepares a component without asking whether it answers events.
///
/// # Errors
/// When a phase fails.
pub fn prepare_unshaped(job: &Job<'_>) -> Result<Unshaped, ForgeError> {
    run(job).map_err(|failure| job.failed(failure))
}

/// Prepares a component from bytes of WebAssembly, binary or text, that are at hand already.
///
/// # Errors
/// As [`prepare_unshaped`].
pub fn prepare_bytes(component: &str, bytes: Vec<u8>) -> Result<Unshaped, ForgeError> {
    let mut progress = Progress::default();
    progress
        .bytes(Phase::Resolve, || resolve::binary(bytes))
        .map_err(Failure::from)
        .and_then(|wasm| phases(wasm, None, progress))
        .map_err(|failure| ForgeError { component: component.to_owned(), failure })
}

fn run(job: &Job<'_>) -> Result<Unshaped, Failure> {
    let mut progress = Progress::default();
    let wasm = progress.bytes(Phase::Resolve, || resolve::resolve(job))?;
    phases(wasm, job.entrypoint(), progress)
}

fn phases(
    wasm: Vec<u8>,
    entrypoint: Option<&str>,
    mut progress: Progress,
) -> Result<Unshaped, Failure> {
    let wasm =
        progress.bytes(Phase::Componentise, || componentise::componentise(wasm, entrypoint))?;
    let wasm = progress.bytes(Phase::Rename, || rename::rename(wasm))?;
    let wasm = progress.bytes(Phase::Unshim, || Ok::<_, Failure>(unshim::unshim(wasm)))?;
    let world = progress.read(Phase::Inspect, &wasm, inspect::inspect)?;
    Ok(Unshaped { wasm, world, phases: progress.finish() })
}

impl Job<'_> {
    fn failed(&self, failure: impl Into<Failure>) -> ForgeError {
        ForgeError { component: self.component.to_owned(), failure: failure.into() }
    }
}
