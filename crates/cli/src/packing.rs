//! An app as a package, for a registry or for a platform.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Result, anyhow};
use dayfly_capabilities::wasi::Folders;
use dayfly_engine::Engine;
use dayfly_forge::Freezer;
use dayfly_forge::fetch::Fetched;
use dayfly_forge::package::{Granted, Package, PackageError, Packer};
use dayfly_model::{App, Component, ComponentId, Executor, Stated};

use crate::app::targets;
use crate::engine::EngineArgs;
use crate::source::{freeze_terms, is_frozen, job, optimise_terms, optimiser};
use crate::{oneshot, report};

/// An app as a package.
pub(crate) struct Packed {
    pub(crate) package: Package,
    /// The copies of files are there as long as what was opened of them.
    _opened: Vec<Folders>,
}

/// Packs an app; frozen and optimised components are made by an engine of these flags. What is copied lies in
/// `scratch`, and has to stay there as long as the package.
///
/// # Errors
/// If a component cannot be packed.
pub(crate) fn pack(
    stated: &Stated,
    fetched: &Fetched,
    engine: &EngineArgs,
    plain: bool,
    scratch: &Path,
) -> Result<Packed> {
    let app = &stated.app;
    let executors: HashMap<&ComponentId, &Executor> =
        targets(app).into_iter().map(|it| (it.component, it.executor)).collect();
    let made = |it: &&Component| is_frozen(it) || optimise_terms(it).is_some();
    let made = || app.components.values().map(Box::as_ref).filter(made);
    let limits = made().map(|component| &component.limits);
    let engine = match made().next() {
        Some(_) => Some(engine.build(oneshot::INSTANCES, 0, limits)?),
        None => None,
    };
    let mut packer = Packer::new(stated, fetched, plain).map_err(hinted)?;
    let mut opened = Vec::new();
    for component in app.components.values() {
        let folders = Folders::of(component, &app.root, scratch)?;
        let executor = executors.get(&component.id).copied().unwrap_or(&Executor::Detected);
        let part = Part { app, component, executor, folders: &folders };
        part.add(&mut packer, fetched, engine.as_ref(), scratch).map_err(hinted)?;
        opened.push(folders);
    }
    Ok(Packed { package: packer.finish().map_err(hinted)?, _opened: opened })
}

/// Says what is not in a package though the app has it, `done` being what was to be done with it, as
/// in `pushed`.
pub(crate) fn warn(app: &App, package: &Package, done: &str, how: &str) {
    for path in &package.left_out {
        report::warn(format_args!(
            "`{path}` is not {done}: it may hold state or secrets, or lie elsewhere"
        ));
    }
    let with_default =
        |variable: &dayfly_model::Variable| variable.secret && variable.default.is_some();
    for (name, _) in app.variables.iter().filter(|(_, variable)| with_default(variable)) {
        report::warn(format_args!(
            "variable `{name}` is secret, so its default is not {done}: {how}"
        ));
    }
}

/// A component that is to be packed.
struct Part<'a> {
    app: &'a App,
    component: &'a Component,
    executor: &'a Executor,
    folders: &'a Folders,
}

impl Part<'_> {
    fn add(
        self,
        packer: &mut Packer<'_>,
        fetched: &Fetched,
        engine: Option<&Engine>,
        scratch: &Path,
    ) -> Result<(), PackageError> {
        let Self { app, component, executor, folders } = self;
        let terms = freeze_terms(component, folders);
        let freezer = engine.filter(|_| is_frozen(component));
        let freezer = freezer.map(|engine| Freezer { engine, terms: &terms, scratch });
        let optimised = optimise_terms(component);
        let optimiser =
            engine.zip(optimised.as_ref()).map(|(engine, terms)| optimiser(engine, terms, fetched));
        let job = job(app, component, executor, &[], fetched);
        let granted = folders.folders.iter().map(|folder| Granted {
            host: folder.host.clone(),
            guest: folder.guest.clone(),
            writable: folder.writable,
        });
        let granted: Vec<_> = granted.collect();
        packer.add(component, &dayfly_forge::Job { freezer, optimiser, ..job }, &granted)
    }
}

/// An error of packages, with how to mend it.
pub(crate) fn hinted(error: PackageError) -> anyhow::Error {
    let hint = error.hint();
    report::hint(anyhow!(error), hint)
}
