//! From changed files to an app that is served anew: what changed is built, the app is read again, and
//! its next release follows the one that is served. What is wrong stands in the terminal, and in the
//! place of the app's answers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use dayfly_capabilities::Backends;
use dayfly_engine::Origin;
use dayfly_host::{AppKey, Plane, Rollout, Shutdown};
use dayfly_model::{App, ComponentId, RuntimeConfig};

use super::inputs::{Changes, Inputs};
use super::page;
use super::watcher::Watcher;
use crate::app::AppArgs;
use crate::building::{self, Word, Work};
use crate::report::hinted;
use crate::{report, serving};

/// What makes releases of an app.
pub(super) struct Workshop<'a> {
    pub(super) args: &'a AppArgs,
    pub(super) config: &'a RuntimeConfig,
    pub(super) plane: Plane,
    pub(super) key: AppKey,
    pub(super) shutdown: Shutdown,
    pub(super) skips_builds: bool,
    pub(super) notes: bool,
    /// Whether the manifest has to be read again.
    pub(super) is_unread: bool,
    pub(super) app: Arc<App>,
    pub(super) inputs: Inputs,
    /// What stands behind the app since it was served first.
    pub(super) backends: Option<Arc<Backends>>,
    /// The components whose last build failed, or that were not built yet.
    pub(super) unbuilt: BTreeSet<ComponentId>,
    pub(super) number: u64,
}

/// What keeps an app from being served as it is now.
enum Wrong {
    /// A build failed; what it said.
    Build(String),
    /// Something else is wrong.
    App(anyhow::Error),
}

impl From<anyhow::Error> for Wrong {
    fn from(error: anyhow::Error) -> Self {
        Self::App(error)
    }
}

/// The manifest of what a user named.
pub(super) fn manifest(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let names = ["dayfly.toml", "spin.toml"].map(|name| path.join(name));
    names.into_iter().find(|file| file.is_file()).unwrap_or(path)
}

impl Workshop<'_> {
    /// Lets a watcher look at what decides what the app is.
    pub(super) fn follow(&self, watcher: &mut Watcher) -> Result<()> {
        watcher.follow(&self.inputs.places(), |path| self.inputs.matter(path))
    }

    /// Notes what is served for those who send events to it.
    pub(super) fn note(&self, urls: &[String]) -> Option<serving::Kept> {
        let url = urls.iter().find(|url| url.starts_with("http")).cloned();
        let backends = self.backends.as_ref()?;
        Some(serving::note(&self.app, url, &backends.state))
    }

    /// Tells what has changed.
    pub(super) fn tell(&self, paths: &[PathBuf]) {
        let Some(first) = paths.first().filter(|_| self.notes) else { return };
        let shown = first.strip_prefix(&self.app.root).unwrap_or(first).display();
        match paths.len() {
            1 => report::note("Changed", shown),
            count => report::note("Changed", format!("{shown} and {} more", count - 1)),
        }
    }

    /// Serves the app as it is after these changes; whether it could be.
    pub(super) fn take(&mut self, changes: &Changes, learn: impl FnOnce(&Inputs)) -> bool {
        let began = Instant::now();
        match self.try_take(changes, learn) {
            Ok(()) => {
                if self.number > 1 && self.notes {
                    report::note("Serving", format!("again, after {:.2?}", began.elapsed()));
                }
                true
            }
            // The command ends, and nobody asks any more.
            Err(_) if self.shutdown.is_started() => false,
            Err(wrong) => {
                self.show(&wrong);
                false
            }
        }
    }

    fn try_take(&mut self, changes: &Changes, learn: impl FnOnce(&Inputs)) -> Result<(), Wrong> {
        self.is_unread |= changes.manifest;
        if self.is_unread {
            self.read()?;
            self.is_unread = false;
        }
        self.unbuilt.extend(changes.builds.iter().cloned());
        self.build()?;
        // As they are from here on, they are in the release.
        learn(&self.inputs);
        self.serve().map_err(Wrong::App)
    }

    /// Reads the manifest again. What is built in another way now has to be built.
    fn read(&mut self) -> Result<()> {
        let app = self.args.load(self.config)?;
        let before: BTreeSet<ComponentId> = self.inputs.built();
        let inputs = Inputs::of(&app, &manifest(self.args.path()), self.skips_builds);
        let is_new = |id: &ComponentId| {
            let build = |app: &App| app.components.get(id).and_then(|it| it.build.clone());
            !before.contains(id) || build(&app) != build(&self.app)
        };
        let new: Vec<ComponentId> = inputs.built().into_iter().filter(is_new).collect();
        self.unbuilt.extend(new);
        (self.app, self.inputs) = (Arc::new(app), inputs);
        Ok(())
    }

    fn build(&mut self) -> Result<(), Wrong> {
        let built = self.inputs.built();
        self.unbuilt.retain(|id| built.contains(id));
        let works = Work::of(&self.app, |id| self.unbuilt.contains(id));
        let told = |word: Word<'_>| match word {
            Word::Starts(work) if self.notes => report::note("Building", work.name()),
            Word::Ends(work, built) if self.notes && built.is_done() => {
                report::note("Built", format!("{} in {:.2?}", work.name(), built.took));
            }
            _ => {}
        };
        let built = building::run_until(&works, || self.shutdown.is_started(), told);
        let Some(built) = built.map_err(anyhow::Error::from)? else { return Ok(()) };
        match building::failures(&works, &built) {
            None => {
                self.unbuilt.clear();
                Ok(())
            }
            Some(text) => Err(Wrong::Build(text)),
        }
    }

    fn serve(&mut self) -> Result<()> {
        if self.app.runs_commands() {
            anyhow::bail!("commands that run once (`[[trigger.command]]`) are run by `dayfly up`");
        }
        let fetched = Arc::new(self.args.fetch(&self.app, !self.notes)?);
        let former = self.backends.as_deref();
        let release = self.args.release(&self.app, &fetched, self.config.clone(), former)?;
        let backends = release.backends.clone();
        let seeds = self.backends.is_none().then(|| self.args.seeds(&release)).transpose()?;
        let id = (self.number + 1).to_string();
        let rollout = Rollout { preload: true, ..Rollout::whole(id, release) };
        let began = Instant::now();
        let changed = self.plane.put(&self.key, rollout).map_err(hinted)?;
        for loaded in changed.loaded {
            // What was compiled for an earlier release is not told again.
            if let (Origin::Compiled(took), true) = (loaded.origin, self.notes)
                && took <= began.elapsed()
            {
                report::note("Compiled", format!("{} in {took:.2?}", loaded.component));
            }
        }
        if let Some(seeds) = seeds {
            seeds.store()?;
        }
        self.backends = Some(backends);
        self.number += 1;
        Ok(())
    }

    fn show(&self, wrong: &Wrong) {
        let (title, text) = match wrong {
            Wrong::Build(text) => {
                report::print(&anyhow::anyhow!("a build failed"));
                anstream::eprint!("{text}");
                ("The build failed", text.clone())
            }
            Wrong::App(error) => {
                report::print(error);
                ("The app cannot be served", report::text(error))
            }
        };
        self.plane.close(&self.key, &[], page::notice(title, &text));
    }
}
