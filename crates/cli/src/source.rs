//! The files that a component of an app is made of, as the host asks for them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use dayfly_capabilities::opened_by;
use dayfly_engine::{Digest, Stamp};
use dayfly_forge::Job;
use dayfly_forge::fetch::Fetched;
use dayfly_host::{BoxError, ImageSource, Prepared};
use dayfly_model::{App, Component, ComponentId, Executor, Middleware};

use crate::app::Target;
use crate::report;

/// A component's files, called in one way: its own, and those of what it is composed with.
pub(crate) struct Source {
    app: Arc<App>,
    component: ComponentId,
    executor: Executor,
    middleware: Vec<Middleware>,
    fetched: Arc<Fetched>,
    files: Vec<PathBuf>,
}

impl Source {
    /// Finds the files; none is opened.
    ///
    /// # Errors
    /// If one is not there, or is none that this version serves.
    pub(crate) fn find(app: &Arc<App>, target: Target<'_>, fetched: &Arc<Fetched>) -> Result<Self> {
        let Target { component: id, executor, middleware } = target;
        let component = app.components.get(id).ok_or_else(|| {
            anyhow!("a trigger names component `{id}`, which the app does not have")
        })?;
        let job = job(app, component, executor, middleware, fetched);
        let files = dayfly_forge::files(&job).map_err(|error| {
            let hint = error.hint();
            report::hint(error, hint)
        })?;
        Ok(Self {
            app: app.clone(),
            component: id.clone(),
            executor: executor.clone(),
            middleware: middleware.to_vec(),
            fetched: fetched.clone(),
            files,
        })
    }
}

/// The job of preparing a component of an app.
pub(crate) fn job<'a>(
    app: &'a App,
    component: &'a Component,
    executor: &'a Executor,
    middleware: &'a [Middleware],
    fetched: &'a Fetched,
) -> Job<'a> {
    let job = Job::new(app, component, executor, middleware, opened_by);
    Job { fetched: Some(fetched), ..job }
}

impl ImageSource for Source {
    fn stamp(&self) -> io::Result<Stamp> {
        let mut stamps = self.files.iter().map(|file| file.metadata().map(|it| Stamp::of(&it)));
        let own = stamps.next().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))?;
        stamps.try_fold(own, |all, stamp| Ok(all.and(stamp?)))
    }

    fn recipe(&self) -> Option<Digest> {
        let component = self.app.components.get(&self.component)?;
        let Self { app, executor, middleware, fetched, .. } = self;
        let job = job(app, component, executor, middleware, fetched);
        // Of a composition, tables of several components decide.
        let [file] = &*self.files else { return None };
        let text = || format!("{file:?} {:?} {executor:?}", component.source);
        job.composition.is_none().then(|| Digest::of(text().as_bytes()))
    }

    fn prepare(&self) -> Result<Prepared, BoxError> {
        let component = self.app.components.get(&self.component).ok_or("the component is gone")?;
        let Self { app, executor, middleware, fetched, .. } = self;
        let job = job(app, component, executor, middleware, fetched);
        let dayfly_forge::Prepared { wasm, shape, .. } = dayfly_forge::prepare(&job)?;
        Ok(Prepared { wasm, shape })
    }
}
