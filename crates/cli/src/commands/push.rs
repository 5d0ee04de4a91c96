//! `dayfly push`: an app as a package of a registry.

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;
use dayfly_capabilities::wasi::Folders;
use dayfly_engine::Engine;
use dayfly_forge::Freezer;
use dayfly_forge::fetch::{Fetched, Reference};
use dayfly_forge::package::{self, Granted, Package, PackageError, Packer, Pushed};
use dayfly_model::{App, Component, ComponentId, Executor, Stated};
use serde_json::json;

use crate::app::{AppSource, targets};
use crate::engine::EngineArgs;
use crate::fetching::{self, Teller};
use crate::output::{self, Size};
use crate::source::{freeze_terms, is_frozen, job, optimise_terms, optimiser};
use crate::{logging, oneshot, report};

const PUSHING: [&str; 2] = ["Pushing", "Pushed"];

/// Publish an app in a registry, for `dayfly up REF` and for Spin
///
/// What the registry has already is not sent again. Scripts, and components with `build.freeze`, are
/// pushed frozen: whoever pulls them needs nothing of what they were made with. Not pushed are state,
/// histories, `.env` files, runtime configurations, and the defaults of secret variables.
#[derive(Args)]
#[command(
    allow_missing_positional = true,
    after_help = "Example:\n  dayfly push ghcr.io/me/hello:1.0.0\n  dayfly push examples/hello localhost:5000/hello"
)]
pub(crate) struct Push {
    #[command(flatten)]
    source: AppSource,

    /// What the package is to be called: `REGISTRY/NAME:TAG`
    #[arg(value_name = "REF", required = true)]
    reference: Reference,

    /// Compress no component, for hosts that know only plain ones, as Spin
    #[arg(long)]
    plain: bool,

    /// Print no progress
    #[arg(short, long)]
    quiet: bool,

    /// Print what was pushed as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    engine: EngineArgs,
}

impl Push {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let stated = self.source.read_stated()?;
        let config = fetching::config(self.source.fetched_folder()?)?;
        let fetched = self.source.fetch(&stated.app, self.quiet)?;
        let scratch = tempfile::tempdir()?;
        // The copies of files are there as long as what was opened of them.
        let (package, _opened) = self.pack(&stated, &fetched, scratch.path())?;
        self.warn(&stated.app, &package);
        let mut teller = Teller::new(PUSHING, self.quiet);
        let pushed = package::push(&package, &self.reference, &config, |word| teller.tell(word));
        let pushed = pushed.map_err(|error| failed(error, &self.reference, "push"))?;
        self.tell(&pushed)?;
        Ok(ExitCode::SUCCESS)
    }

    fn pack(
        &self,
        stated: &Stated,
        fetched: &Fetched,
        scratch: &Path,
    ) -> Result<(Package, Vec<Folders>)> {
        let app = &stated.app;
        let executors: HashMap<&ComponentId, &Executor> =
            targets(app).into_iter().map(|it| (it.component, it.executor)).collect();
        let made = |it: &&Component| is_frozen(it) || optimise_terms(it).is_some();
        let made = || app.components.values().filter(made);
        let limits = made().map(|component| &component.limits);
        let engine = match made().next() {
            Some(_) => Some(self.engine.build(oneshot::INSTANCES, 0, limits)?),
            None => None,
        };
        let failed = |error| failed(error, &self.reference, "pack");
        let mut packer = Packer::new(stated, fetched, self.plain).map_err(failed)?;
        let mut opened = Vec::new();
        for component in app.components.values() {
            let folders = Folders::of(component, &app.root, scratch)?;
            let executor = executors.get(&component.id).copied().unwrap_or(&Executor::Detected);
            let part = Part { app, component, executor, folders: &folders };
            part.add(&mut packer, fetched, engine.as_ref(), scratch).map_err(failed)?;
            opened.push(folders);
        }
        Ok((packer.finish().map_err(failed)?, opened))
    }

    /// Says what is not in the package though the app has it.
    fn warn(&self, app: &App, package: &Package) {
        for path in &package.left_out {
            report::warn(format_args!(
                "`{path}` is not pushed: it may hold state or secrets, or lie elsewhere"
            ));
        }
        let with_default =
            |variable: &dayfly_model::Variable| variable.secret && variable.default.is_some();
        for (name, _) in app.variables.iter().filter(|(_, variable)| with_default(variable)) {
            report::warn(format_args!(
                "variable `{name}` is secret, so its default is not pushed: whoever serves the \
                 package sets it"
            ));
        }
    }

    fn tell(&self, pushed: &Pushed) -> Result<()> {
        let Pushed { digest, blobs, sent, sent_bytes } = pushed;
        let reference = &self.reference;
        if self.json {
            let (registry, repository) = (&reference.registry, &reference.repository);
            return output::json(&json!({
                "reference": reference.to_string(),
                "pinned": format!("{registry}/{repository}@{digest}"),
                "digest": digest,
                "blobs": blobs,
                "sent": sent,
                "sent_bytes": sent_bytes,
            }));
        }
        if !self.quiet {
            let sent =
                format_args!("{sent} of {blobs} blobs sent, {}", Size(*sent_bytes)).to_string();
            report::note("Pushed", format_args!("{reference} ({sent})"));
        }
        output::line(digest)
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

fn failed(error: PackageError, reference: &Reference, verb: &str) -> anyhow::Error {
    let hint = error.hint();
    let error = anyhow!(error).context(format!("failed to {verb} `{reference}`"));
    report::hint(error, hint)
}
