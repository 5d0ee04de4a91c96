//! One file that a command runs once: made a component, loaded, linked, and driven to its end on
//! this thread. What it may use comes from flags ([`GrantArgs`]), how it ended is an [`Ending`].

mod ending;
mod grants;

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use dayfly_capabilities::{HostState, Linkers};
use dayfly_engine::{Code, Engine, Metered};
use dayfly_forge::fetch::Fetched;
use dayfly_forge::{ForgeError, Freezer, Job, Unshaped};
use dayfly_model::{App, Executor, HandlerShape, Limits};
use wasmtime::Store;
use wasmtime::component::InstancePre;
use wasmtime_wasi::{p2, p3};

use crate::{app, report, source};

pub(crate) use ending::Ending;
pub(crate) use grants::{GrantArgs, StderrLog, folder};

/// Makes a component of a file.
///
/// # Errors
/// If it is not there, or is no WebAssembly that can be made one.
pub(crate) fn prepare(file: &Path) -> Result<Unshaped> {
    prepare_with(file, None)
}

/// As [`prepare`], and freezes it if there is what does.
///
/// # Errors
/// As [`prepare`], and if it cannot be frozen.
pub(crate) fn prepare_with(file: &Path, freezer: Option<Freezer<'_>>) -> Result<Unshaped> {
    with_job(file, |job| dayfly_forge::prepare_unshaped(&Job { freezer, ..job }))
}

/// Reads a file as it is: a component or a core module, in binary form.
///
/// # Errors
/// If it is not there, or is no WebAssembly.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>> {
    with_job(file, |job| dayfly_forge::source(&job))
}

/// Does something with the job that one file is.
///
/// # Errors
/// If it is not there, and what the forge says.
fn with_job<T>(file: &Path, run: impl FnOnce(Job<'_>) -> Result<T, ForgeError>) -> Result<T> {
    let app = app_of(file)?;
    let component = app.components.values().next().context("a bare file is one component")?;
    let fetched = Fetched::default();
    let job = source::job(&app, component, &Executor::Detected, &[], &fetched);
    run(job).map_err(|error| {
        let hint = error.hint();
        report::hint(error, hint)
    })
}

/// The app that a file of WebAssembly is by itself.
///
/// # Errors
/// If it is not there, or is an app of several.
pub(crate) fn app_of(file: &Path) -> Result<App> {
    if !file.exists() {
        bail!("`{}` does not exist", file.display());
    }
    if app::is_manifest(file) {
        let error =
            anyhow!("`{}` is an app, where one WebAssembly file was expected", file.display());
        return Err(report::hint(
            error,
            Some("`dayfly up` serves apps; name a component's file here"),
        ));
    }
    Ok(App::for_module(file))
}

/// Code of a component, from the artifact cache or by compiling it. It counts its instructions if
/// `limits` bound them.
///
/// # Errors
/// If it does not compile.
pub(crate) fn load(engine: &Engine, wasm: &[u8], limits: &Limits) -> Result<Code> {
    Ok(match limits.instructions {
        None => engine.load(wasm)?,
        Some(_) => engine.load_counted(wasm)?,
    })
}

/// A component whose code is at hand and whose imports are linked.
pub(crate) struct Guest {
    pub(crate) code: Code,
    pub(crate) pre: InstancePre<HostState>,
}

impl Guest {
    /// Links a component.
    ///
    /// # Errors
    /// If it imports what nothing can stand for.
    pub(crate) fn link(code: Code) -> Result<Self> {
        let pre = Linkers::default()
            .link(&code)
            .map_err(|error| anyhow::Error::from(error).context("failed to link the component"))?;
        Ok(Self { code, pre })
    }

    /// Runs a command of that shape to its end.
    pub(crate) async fn run(
        self,
        shape: HandlerShape,
        store: &mut Store<HostState>,
    ) -> wasmtime::Result<Result<(), ()>> {
        if shape == HandlerShape::Command03 {
            let pre = p3::bindings::CommandPre::new(self.pre)?;
            let command = self.code.instantiating(pre.instantiate_async(&mut *store)).await?;
            return store
                .run_concurrent(async |accessor| command.wasi_cli_run().call_run(accessor).await)
                .await?;
        }
        let pre = p2::bindings::CommandPre::new(self.pre)?;
        let command = self.code.instantiating(pre.instantiate_async(&mut *store)).await?;
        command.wasi_cli_run().call_run(store).await
    }
}

/// How many instances may live at once: a one-shot command needs one, which a composed component
/// spreads over several memories.
pub(crate) const INSTANCES: u32 = 8;

/// Runs a guest to its end on this thread, within its CPU time and its wall time; `None` when the
/// latter is over.
///
/// # Errors
/// If the system denies what an asynchronous runtime needs.
pub(crate) fn drive<T>(limits: &Limits, guest: impl Future<Output = T>) -> Result<Option<T>> {
    // A guest that computes comes back at each tick: time limits and connections must be looked
    // at each time, not at every sixty-first.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(1)
        .build()
        .context("failed to start the asynchronous runtime")?;
    let metered = Metered::new(limits.cpu, guest);
    let outcome = runtime.block_on(async { tokio::time::timeout(limits.time, metered).await });
    // A thread that still waits for standard input must not keep the process.
    runtime.shutdown_background();
    Ok(outcome.ok())
}
