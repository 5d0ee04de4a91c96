//! The files that a component of an app is made of, as the host asks for them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use dayfly_capabilities::opened_by;
use dayfly_capabilities::wasi::{FilesError, Folder, Folders};
use dayfly_engine::{Digest, Engine, Stamp};
use dayfly_forge::fetch::Fetched;
use dayfly_forge::optimise::OPTIMISER;
use dayfly_forge::script::{self, Language};
use dayfly_forge::{
    Draft, Drafted, Drafts, ForgeError, FreezeTerms, Freezer, FrozenFolder, Job, OptimiseTerms,
    Optimiser,
};
use dayfly_host::{BoxError, ImageSource, Made, Prepared};
use dayfly_model::{App, Component, ComponentId, Executor, Initialiser, Middleware};

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
    /// The app's state folder.
    state: PathBuf,
    /// What scripts are made to while somebody works on them, if somebody does.
    drafts: Option<Arc<Drafts>>,
}

impl Source {
    /// Finds the files; none is opened.
    ///
    /// # Errors
    /// If one is not there, or is none that this version serves.
    pub(crate) fn find(
        app: &Arc<App>,
        target: Target<'_>,
        fetched: &Arc<Fetched>,
        state: &Path,
    ) -> Result<Self> {
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
            state: state.to_owned(),
            drafts: None,
        })
    }

    /// The same, where somebody works on the app.
    pub(crate) fn drafting(self, drafts: Option<Arc<Drafts>>) -> Self {
        Self { drafts, ..self }
    }

    /// The folders that the component's initialiser may read, if it is to be frozen.
    fn frozen_folders(&self, component: &Component) -> Result<Option<Folders>, FilesError> {
        let folders = || Folders::of(component, &self.app.root, &self.state);
        is_frozen(component).then(folders).transpose()
    }

    /// What tells one version of the files that an initialiser may read from another.
    fn stamp_of_folders(&self, component: &Component) -> io::Result<Option<Stamp>> {
        let folders = self.frozen_folders(component).map_err(io::Error::other)?;
        let mut left = folders.map_or_else(Vec::new, |found| {
            found.folders.into_iter().map(|folder| folder.host).collect()
        });
        let own = self.files.first().and_then(|file| script::folder(&self.app.root, file));
        left.extend(own.map(Path::to_owned));
        let mut all: Option<Stamp> = None;
        let mut seen = 0;
        while let Some(path) = left.pop() {
            seen += 1;
            if seen > MAX_FROZEN_FILES {
                return Err(io::Error::other("its initialiser may read too many files"));
            }
            let metadata = path.symlink_metadata()?;
            let stamp = Stamp::of(&metadata);
            all = Some(all.map_or(stamp, |all| all.and(stamp)));
            if metadata.is_dir() {
                let entries = path.read_dir()?.collect::<io::Result<Vec<_>>>()?;
                // What is hidden is no part of an app: `.git`, `.dayfly`.
                let shown = entries
                    .iter()
                    .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
                let mut inner: Vec<_> = shown.map(|entry| entry.path()).collect();
                inner.sort_unstable();
                left.extend(inner);
            }
        }
        Ok(all)
    }
}

impl Source {
    /// A draft, if it is a script; what the next one begins with is made behind the first.
    fn draft(
        &self,
        job: &Job<'_>,
        engine: &Engine,
        drafts: &Arc<Drafts>,
    ) -> Result<Option<Drafted>, ForgeError> {
        let drafted = dayfly_forge::draft(job, drafts, &|| self.stamp().ok())?;
        if let Some(Drafted::Component(_)) = drafted {
            let (drafts, engine, fetched) = (drafts.clone(), engine.clone(), self.fetched.clone());
            std::thread::spawn(move || drafts.start(&engine, &fetched));
        }
        Ok(drafted)
    }
}

/// Files that a frozen component's initialiser may have to read.
const MAX_FROZEN_FILES: usize = 100_000;

/// Whether a component's start-up work is done once, before it serves.
pub(crate) fn is_frozen(component: &Component) -> bool {
    initialiser(component).is_some() || is_script(component)
}

fn initialiser(component: &Component) -> Option<&Initialiser> {
    component.build.as_ref()?.freeze.as_ref()
}

fn is_script(component: &Component) -> bool {
    matches!(&component.source, dayfly_model::Source::File(file) if Language::of(file).is_some())
}

/// What a component's initialiser may use.
pub(crate) fn freeze_terms(component: &Component, folders: &Folders) -> FreezeTerms {
    let folder = |it: &Folder| FrozenFolder { host: it.host.clone(), guest: it.guest.clone() };
    let initialiser = initialiser(component).and_then(Initialiser::name);
    FreezeTerms {
        initialiser: initialiser.map(str::to_owned),
        folders: folders.folders.iter().map(folder).collect(),
        memory_bytes: component.limits.memory_bytes,
        ..FreezeTerms::default()
    }
}

/// How a component is optimised, if it is.
pub(crate) fn optimise_terms(component: &Component) -> Option<OptimiseTerms> {
    component.build.as_ref()?.optimize.map(OptimiseTerms::new)
}

/// What optimises a component by these terms.
pub(crate) fn optimiser<'a>(
    engine: &'a Engine,
    terms: &'a OptimiseTerms,
    fetched: &'a Fetched,
) -> Optimiser<'a> {
    Optimiser { engine, tool: fetched.package(&OPTIMISER), terms }
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
        let own: io::Result<_> = stamps.try_fold(own, |all, stamp| Ok(all.and(stamp?)));
        let component = self.app.components.get(&self.component);
        let read = component.map(|component| self.stamp_of_folders(component)).transpose()?;
        let own = own?;
        Ok(read.flatten().map_or(own, |read| own.and(read)))
    }

    fn recipe(&self) -> Option<Digest> {
        let component = self.app.components.get(&self.component)?;
        let Self { app, executor, middleware, fetched, .. } = self;
        let job = job(app, component, executor, middleware, fetched);
        // Of a composition, tables of several components decide.
        let [file] = &*self.files else { return None };
        let frozen = (is_frozen(component), initialiser(component));
        let goal = optimise_terms(component).map(|terms| terms.goal);
        let text = || format!("{file:?} {:?} {executor:?} {frozen:?} {goal:?}", component.source);
        job.composition.is_none().then(|| Digest::of(text().as_bytes()))
    }

    fn prepare(&self, engine: &Engine) -> Result<Prepared, BoxError> {
        let component = self.app.components.get(&self.component).ok_or("the component is gone")?;
        let Self { app, executor, middleware, fetched, .. } = self;
        let job = job(app, component, executor, middleware, fetched);
        let folders = self.frozen_folders(component)?;
        let terms = folders.as_ref().map(|folders| freeze_terms(component, folders));
        let scratch = &self.state.join("scripts");
        let freezer = terms.as_ref().map(|terms| Freezer { engine, terms, scratch });
        let optimised = optimise_terms(component);
        let optimiser = optimised.as_ref().map(|terms| optimiser(engine, terms, fetched));
        let job = Job { freezer, optimiser, ..job };
        // What counts its instructions has other code.
        let drafts = self.drafts.as_ref().filter(|_| component.limits.instructions.is_none());
        let drafted = drafts.map(|drafts| self.draft(&job, engine, drafts)).transpose()?;
        let prepared = match drafted.flatten() {
            Some(Drafted::Code(Draft { code, shape })) => {
                return Ok(Prepared { made: Made::Code(code), shape });
            }
            Some(Drafted::Component(prepared)) => prepared,
            None => dayfly_forge::prepare(&job)?,
        };
        Ok(Prepared { made: Made::Wasm(prepared.wasm), shape: prepared.shape })
    }
}
