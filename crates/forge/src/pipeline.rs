//! The list of the phases between a manifest's source and a component that the engine takes.
//!
//! Compiling is the engine's; packaging ([`crate::package`]) takes a whole app.

use std::path::{Path, PathBuf};

use dayfly_model::{App, Component, Executor, HandlerShape, Middleware, Source};

use crate::componentise::{self, ComponentiseError, Initialiser};
use crate::compose::{self, ComposeError, Composition, OpenedBy};
use crate::fetch::Fetched;
use crate::freeze::{self, FreezeError, FreezeTerms, Freezer};
use crate::fuse;
use crate::inspect::{self, InspectError, World};
use crate::optimise::{self, OptimiseError, Optimised, Optimiser};
use crate::progress::{Made, Observer, Phase, PhaseReport, Progress};
use crate::rename::{self, RenameError};
use crate::resolve::{self, Location, ResolveError};
use crate::script::{self, SettingError};
use crate::shape::{self, ShapeError};

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
    /// What it is composed with, if with anything.
    pub composition: Option<Composition<'a>>,
    /// Where the copies of sources are that are elsewhere.
    pub fetched: Option<&'a Fetched>,
    /// What freezes it, if it is to be frozen.
    pub freezer: Option<Freezer<'a>>,
    /// What optimises it, if it is to be optimised.
    pub optimiser: Option<Optimiser<'a>>,
    /// Who is told of each phase as it ends.
    pub observer: Option<Observer<'a>>,
}

impl<'a> Job<'a> {
    /// The job of preparing `component` of `app` for a trigger with `executor`, which puts
    /// `middleware` before it. `opened_by` says what parts of a composition have to inherit.
    pub fn new(
        app: &'a App,
        component: &'a Component,
        executor: &'a Executor,
        middleware: &'a [Middleware],
        opened_by: OpenedBy,
    ) -> Self {
        let composition = Composition::new(app, component, middleware, opened_by);
        Self {
            composition: Some(composition).filter(|it| !it.is_empty()),
            fetched: None,
            freezer: None,
            optimiser: None,
            observer: None,
            component: &component.id.0,
            root: &app.root,
            source: &component.source,
            build_commands: component.build.as_ref().map_or(&[], |build| &build.commands),
            executor,
        }
    }

    pub(crate) fn location(&self) -> Location<'a> {
        let Self { root, source, build_commands, fetched, optimiser, .. } = *self;
        let engine = self.freezer.map(|it| it.engine).or(optimiser.map(|it| it.engine));
        let cache = engine.and_then(|engine| engine.cache()?.ok());
        Location { root, source, build_commands, fetched, cache, optimiser }
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
    /// The component could not be optimised.
    #[error("failed to optimise the component")]
    Optimise(#[source] Box<OptimiseError>),
    /// What a script needs beside its interpreter could not be put in its place.
    #[error(transparent)]
    Script(#[from] SettingError),
    /// The component could not be frozen.
    #[error("failed to freeze the component")]
    Freeze {
        /// Why.
        #[source]
        error: Box<FreezeError>,
        /// What a person can do about it, where it is a script.
        advice: Option<String>,
    },
    /// The component's names could not be read.
    #[error(transparent)]
    Rename(#[from] RenameError),
    /// The component and its parts do not fit together.
    #[error(transparent)]
    Compose(Box<ComposeError>),
    /// The component's imports and exports could not be read.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The component does not answer events in a way that Dayfly knows.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

impl From<ComposeError> for Failure {
    fn from(error: ComposeError) -> Self {
        Self::Compose(Box::new(error))
    }
}

impl From<OptimiseError> for Failure {
    fn from(error: OptimiseError) -> Self {
        Self::Optimise(Box::new(error))
    }
}

impl ForgeError {
    /// What a person can do about it, where that is known; a sentence fragment without a full stop.
    pub fn hint(&self) -> Option<String> {
        self.failure.hint()
    }

    /// Whether all that is wrong is that a source was not fetched.
    pub fn is_unfetched(&self) -> bool {
        self.failure.is_unfetched()
    }
}

impl Failure {
    pub(crate) fn freeze(error: FreezeError) -> Self {
        Self::Freeze { error: Box::new(error), advice: None }
    }

    /// With what the folder of a script says about it.
    pub(crate) fn advised(self, location: &Location<'_>) -> Self {
        match self {
            Self::Freeze { error, .. } => {
                let advice = script::advice(location, &error);
                Self::Freeze { error, advice }
            }
            other => other,
        }
    }

    fn is_unfetched(&self) -> bool {
        match self {
            Self::Resolve(ResolveError::NotFetched { .. }) => true,
            Self::Optimise(error) => matches!(**error, OptimiseError::NotFetched),
            Self::Compose(error) => match &**error {
                ComposeError::Part { failure, .. } => failure.is_unfetched(),
                _ => false,
            },
            _ => false,
        }
    }

    /// As [`ForgeError::hint`].
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Resolve(error) => error.hint(),
            Self::Componentise(error) => error.hint(),
            Self::Freeze { error, advice } => advice.clone().or_else(|| error.hint()),
            Self::Optimise(error) => error.hint(),
            Self::Compose(error) => error.hint(),
            Self::Shape(error) => error.hint(),
            Self::Script(error) => error.hint(),
            Self::Rename(_) | Self::Inspect(_) => {
                Some("the file looks damaged: build or copy it again".to_owned())
            }
        }
    }
}

/// The files that a component is made of, its own first; none is opened.
///
/// # Errors
/// When one is not there, or a source is none that this version serves.
pub fn files(job: &Job<'_>) -> Result<Vec<PathBuf>, ForgeError> {
    let find =
        || -> Result<Vec<PathBuf>, Failure> {
            let own = job.location();
            let mut files = vec![resolve::find(&own)?];
            let parts = job.composition.as_ref().map(|it| it.locations(&own)).transpose()?;
            for (part, location) in parts.into_iter().flatten() {
                let found = resolve::find(&location);
                files.push(found.map_err(|error| ComposeError::Part {
                    part,
                    failure: Box::new(error.into()),
                })?);
            }
            Ok(files)
        };
    find().map_err(|failure| job.failed(failure))
}

/// A component's source, as binary WebAssembly: a component, or a core module.
///
/// # Errors
/// When it cannot be had, or is no WebAssembly.
pub fn source(job: &Job<'_>) -> Result<Vec<u8>, ForgeError> {
    let resolved = resolve::resolve(&job.location());
    resolved.map(|(wasm, _)| wasm).map_err(|error| job.failed(error))
}

/// Prepares a component that must answer events.
///
/// # Errors
/// When a phase fails, or when nothing that the component exports takes an event.
pub fn prepare(job: &Job<'_>) -> Result<Prepared, ForgeError> {
    let prepared = run(job).map_err(|failure| job.failed(failure))?;
    shaped(job, prepared).map_err(|failure| job.failed(failure))
}

/// Prepares a component that must answer events, whose initialiser may use what these terms say.
///
/// # Errors
/// As [`prepare`].
pub(crate) fn prepare_on(job: &Job<'_>, terms: &FreezeTerms) -> Result<Prepared, Failure> {
    shaped(job, run_on(job, Some(terms))?)
}

fn shaped(job: &Job<'_>, unshaped: Unshaped) -> Result<Prepared, Failure> {
    let Unshaped { wasm, world, phases } = unshaped;
    Ok(Prepared { wasm, shape: shape(job, &world)?, world, phases })
}

/// How a component of this world takes an event.
///
/// # Errors
/// When nothing that it exports takes one.
pub(crate) fn shape(job: &Job<'_>, world: &World) -> Result<HandlerShape, ShapeError> {
    match job.executor {
        Executor::Wagi { .. } => shape::detect_command(world),
        Executor::Detected => shape::detect_shape(world),
    }
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
        .and_then(|wasm| {
            let wasm = flat(wasm, None, None, None, &mut progress)?;
            inspected(wasm, progress)
        })
        .map_err(|failure| ForgeError { component: component.to_owned(), failure })
}

fn run(job: &Job<'_>) -> Result<Unshaped, Failure> {
    let location = job.location();
    let terms = job.freezer.map(|freezer| script::terms(&location, &freezer, None)).transpose()?;
    run_on(job, terms.as_deref())
}

fn run_on(job: &Job<'_>, terms: Option<&FreezeTerms>) -> Result<Unshaped, Failure> {
    let mut progress = Progress::told(job.observer);
    let location = job.location();
    let wasm = progress.bytes(Phase::Resolve, || resolve::resolve(&location))?;
    let freezer = job.freezer.zip(terms);
    let freezer = freezer.map(|(freezer, terms)| Freezer { terms, ..freezer });
    let flat = flat(wasm, job.entrypoint(), job.optimiser, freezer, &mut progress);
    let mut wasm = flat.map_err(|failure| failure.advised(&location))?;
    if let Some(composition) = &job.composition {
        let composed = || compose::compose(wasm, composition, &location).map(|wasm| (wasm, true));
        wasm = progress.bytes(Phase::Compose, composed)?;
    }
    inspected(wasm, progress)
}

/// A component before it is composed: as its source has it, or optimised and frozen where it is to be.
///
/// # Errors
/// When the source cannot be had, or a phase fails.
pub(crate) fn flat_source(job: &Job<'_>) -> Result<Vec<u8>, ForgeError> {
    if job.freezer.is_some() || job.optimiser.is_some() {
        return prepare_unshaped(&Job { composition: None, ..*job }).map(|it| it.wasm);
    }
    source(job)
}

/// A part of a composition, by the phases that a component goes through before it is composed.
///
/// # Errors
/// When one of them fails.
pub(crate) fn part(location: &Location<'_>) -> Result<Vec<u8>, Failure> {
    let mut progress = Progress::default();
    let wasm = progress.bytes(Phase::Resolve, || resolve::resolve(location))?;
    flat(wasm, None, location.optimiser, None, &mut progress)
}

/// Makes a component of its own of a source's bytes.
fn flat(
    wasm: Vec<u8>,
    entrypoint: Option<&str>,
    optimiser: Option<Optimiser<'_>>,
    freezer: Option<Freezer<'_>>,
    progress: &mut Progress<'_>,
) -> Result<Vec<u8>, Failure> {
    let initialiser = freezer.map(|it| Initialiser(it.terms.initialiser.as_deref()));
    let mut wasm = progress
        .bytes(Phase::Componentise, || componentise::componentise(wasm, entrypoint, initialiser))?;
    if let Some(optimiser) = optimiser {
        wasm = progress.made(Phase::Optimise, || optimised(&optimiser, wasm))?;
    }
    if let Some(Freezer { engine, terms, .. }) = freezer {
        let freeze = || {
            let frozen = freeze::freeze(engine, wasm, terms)?;
            let spared = Some(frozen.started_in);
            Ok(Made { wasm: frozen.wasm, changed: true, note: None, spared })
        };
        wasm = progress.made(Phase::Freeze, freeze).map_err(Failure::freeze)?;
    }
    let wasm = progress.bytes(Phase::Rename, || rename::rename(wasm))?;
    // The engine has the image of what was frozen, and knows it as it is.
    if freezer.is_some() && dayfly_engine::is_large(&wasm) {
        return Ok(wasm);
    }
    progress.bytes(Phase::Fuse, || Ok(fuse::fuse(wasm)))
}

fn optimised(optimiser: &Optimiser<'_>, wasm: Vec<u8>) -> Result<Made, OptimiseError> {
    let Optimised { wasm, measured } = optimise::optimise(optimiser, wasm)?;
    let note = Some(measured.to_string());
    Ok(Made { wasm, changed: measured.is_better(), note, spared: None })
}

fn inspected(wasm: Vec<u8>, mut progress: Progress<'_>) -> Result<Unshaped, Failure> {
    let world = progress.read(Phase::Inspect, &wasm, inspect::inspect)?;
    Ok(Unshaped { wasm, world, phases: progress.finish() })
}

impl Job<'_> {
    pub(crate) fn failed(&self, failure: impl Into<Failure>) -> ForgeError {
        ForgeError { component: self.component.to_owned(), failure: failure.into() }
    }
}
