//! Freezes a component: runs what initialises it, and makes what it has become the beginning of each
//! of its instances.
//!
//! The initialiser runs with nothing but the files that it is granted, to read: no network, no
//! environment, no arguments. Its clocks begin alike, and its randomness is drawn from what is frozen,
//! so the same component and files give the same bytes; what is drawn from them is in the frozen
//! memory, and a guest that wants other values in each instance has to draw them anew.

mod error;
mod files;
mod initialiser;
mod kept;
mod refusals;
mod seed;
mod world;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use blake3::Hash;
use dayfly_engine::{Engine, Freezing, Metered};
use wasmtime::Store;
use wasmtime::component::{Instance, Linker, Val};

pub use error::FreezeError;
pub(crate) use error::told;
pub(crate) use files::Seen;
pub use initialiser::INITIALISERS;
pub use initialiser::LiftError;
pub(crate) use initialiser::lift;
pub use refusals::define as define_refusals;
pub(crate) use seed::of as seed;

use crate::sandbox::Sandbox;

/// What an initialiser may use.
#[derive(Debug, Clone)]
pub struct FreezeTerms {
    /// The name of the function that initialises; one of [`INITIALISERS`] if `None`.
    pub initialiser: Option<String>,
    /// The folders that it may read, in the order that the guest is told of them.
    pub folders: Vec<FrozenFolder>,
    /// The linear memory that it may have, in bytes.
    pub memory_bytes: u64,
    /// The CPU time that it may use.
    pub cpu: Duration,
    /// How long it may take.
    pub time: Duration,
    /// The bytes that it may write to standard output and error, each.
    pub output_bytes: usize,
}

/// A folder that an initialiser may read.
#[derive(Debug, Clone)]
pub struct FrozenFolder {
    /// Where it is.
    pub host: PathBuf,
    /// What the guest calls it.
    pub guest: String,
}

/// What freezes components: an engine, and what their initialisers may use.
#[derive(Clone, Copy)]
pub struct Freezer<'a> {
    /// Where they run.
    pub engine: &'a Engine,
    /// What they may use.
    pub terms: &'a FreezeTerms,
    /// A folder for what a script's interpreter reads to begin with; it may be used again.
    pub scratch: &'a Path,
}

impl fmt::Debug for Freezer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Freezer").field("terms", self.terms).finish_non_exhaustive()
    }
}

impl Default for FreezeTerms {
    fn default() -> Self {
        Self {
            initialiser: None,
            folders: Vec::new(),
            memory_bytes: 1 << 30,
            cpu: Duration::from_secs(60),
            time: Duration::from_secs(120),
            output_bytes: 1 << 20,
        }
    }
}

/// A component that begins where another was after its initialiser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// The component's bytes.
    pub wasm: Vec<u8>,
    /// What the initialiser wrote to standard output and to standard error, together.
    pub output: String,
    /// How long its start took up to there, with the code at hand: what each instance is spared.
    pub started_in: Duration,
}

/// Freezes a component. It blocks, for as long as its initialiser runs; the code is compiled first if
/// it is not at hand. What took long is kept in the engine's cache, and found there when the component
/// and the files are the same again.
///
/// # Errors
/// [`FreezeError`]; there is no partial result.
pub fn freeze(engine: &Engine, wasm: Vec<u8>, terms: &FreezeTerms) -> Result<Frozen, FreezeError> {
    let name = initialiser::find(&wasm, terms.initialiser.as_deref())?;
    let (seed, is_whole) = seed::of(&wasm, terms);
    let kept = is_whole.then(|| kept::name(&seed, terms));
    if let Some(frozen) = kept.and_then(|name| kept::find(engine, &name)) {
        return Ok(frozen);
    }
    let freezing = engine.freezing(wasm).map_err(FreezeError::Engine)?;
    let end = async |freezing: Freezing, store, instance| freezing.finish(store, instance).await;
    let (wasm, started_in, output) = run_blocking(freezing, (terms, &seed), &name, end)?;
    let frozen = Frozen { wasm, output, started_in };
    if let Some(name) = kept {
        kept::keep(engine, &name, &frozen);
    }
    Ok(frozen)
}

/// Runs the function `name` of an instance, and takes what that has become by `end`; says how long that
/// took, and what was written.
pub(crate) fn run_blocking<T>(
    freezing: Freezing,
    (terms, seed): (&FreezeTerms, &Hash),
    name: &str,
    end: impl AsyncFnOnce(Freezing, Store<Sandbox>, Instance) -> wasmtime::Result<T>,
) -> Result<(T, Duration, String), FreezeError> {
    let (sandbox, output) = world::new(terms, seed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(FreezeError::Runtime)?;
    let ended = runtime.block_on(async {
        let work = Metered::new(terms.cpu, run(freezing, sandbox, name, end));
        tokio::time::timeout(terms.time, work).await
    });
    // What files the guest has open may be used by a thread still.
    runtime.shutdown_background();
    let output = output.text();
    match ended {
        Ok(Ok((taken, started_in))) => Ok((taken, started_in, output)),
        Ok(Err(ended)) => Err(FreezeError::of_call(ended, name, terms, output)),
        Err(_) => {
            Err(FreezeError::TooLong { initialiser: name.to_owned(), time: terms.time, output })
        }
    }
}

/// How an initialiser ended that did not end well.
enum Ended {
    /// By a trap, or in the host.
    Failed(wasmtime::Error),
    /// It said that it failed.
    Refused(Option<String>),
    /// It wanted more memory than it may have.
    OutOfMemory,
    /// It takes parameters, so nobody can call it.
    Parameters,
}

impl From<wasmtime::Error> for Ended {
    fn from(error: wasmtime::Error) -> Self {
        Self::Failed(error)
    }
}

async fn run<T>(
    freezing: Freezing,
    sandbox: Sandbox,
    name: &str,
    end: impl AsyncFnOnce(Freezing, Store<Sandbox>, Instance) -> wasmtime::Result<T>,
) -> Result<(T, Duration), Ended> {
    let code = freezing.code().clone();
    let mut linker = Linker::<Sandbox>::new(code.component().engine());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    files::define(&mut linker)?;
    refusals::define(&mut linker, code.component())?;
    let mut store = code.store(sandbox);
    let begin = Instant::now();
    let called = async {
        let made = linker.instantiate_async(&mut store, code.component());
        let instance = freezing.instantiating(made).await?;
        let refused = initialise(&mut store, &instance, name).await?;
        Ok::<_, Ended>((instance, refused))
    };
    let (instance, refused) = match called.await {
        Ok(called) => called,
        Err(_) if store.data().is_out_of_memory() => return Err(Ended::OutOfMemory),
        Err(ended) => return Err(ended),
    };
    let started_in = begin.elapsed();
    match refused {
        Some(reason) => Err(Ended::Refused(reason)),
        None => Ok((end(freezing, store, instance).await?, started_in)),
    }
}

/// Calls the initialiser; says what it said if it failed.
async fn initialise(
    store: &mut Store<Sandbox>,
    instance: &Instance,
    name: &str,
) -> Result<Option<Option<String>>, Ended> {
    let function = instance
        .get_func(&mut *store, name)
        .ok_or_else(|| wasmtime::Error::msg("the initialiser is gone"))?;
    let ty = function.ty(&*store);
    if ty.params().len() > 0 {
        return Err(Ended::Parameters);
    }
    let results = ty.results().len();
    let mut results = vec![Val::Bool(false); results];
    function.call_async(&mut *store, &[], &mut results).await?;
    Ok(match results.first() {
        Some(Val::Result(Err(reason))) => Some(match reason.as_deref() {
            Some(Val::String(text)) => Some(text.clone()),
            _ => None,
        }),
        _ => None,
    })
}
