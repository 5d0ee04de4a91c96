//! The file that a component of an app is, as the host asks for it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use dayfly_engine::Stamp;
use dayfly_forge::Job;
use dayfly_host::{BoxError, ImageSource, Prepared};
use dayfly_model::{App, ComponentId, Executor};

use crate::report;

/// A component's file, called in one way.
pub(crate) struct Source {
    app: Arc<App>,
    component: ComponentId,
    executor: Executor,
    file: PathBuf,
}

impl Source {
    /// Finds the file; it is not opened.
    ///
    /// # Errors
    /// If it is not there, or is none that this version serves.
    pub(crate) fn find(app: &Arc<App>, id: &ComponentId, executor: &Executor) -> Result<Self> {
        let component = app.components.get(id).ok_or_else(|| {
            anyhow!("a trigger names component `{id}`, which the app does not have")
        })?;
        let file = dayfly_forge::find(&Job::new(app, component, executor)).map_err(|error| {
            let hint = error.hint();
            report::hint(error, hint)
        })?;
        Ok(Self { app: app.clone(), component: id.clone(), executor: executor.clone(), file })
    }
}

impl ImageSource for Source {
    fn stamp(&self) -> io::Result<Stamp> {
        self.file.metadata().map(|file| Stamp::of(&file))
    }

    fn prepare(&self) -> Result<Prepared, BoxError> {
        let component = self.app.components.get(&self.component).ok_or("the component is gone")?;
        let job = Job::new(&self.app, component, &self.executor);
        let dayfly_forge::Prepared { wasm, shape, .. } = dayfly_forge::prepare(&job)?;
        Ok(Prepared { wasm, shape })
    }
}
