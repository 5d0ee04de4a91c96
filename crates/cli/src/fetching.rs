//! Brings the sources of an app that are elsewhere, and tells the user about it.

use std::io::{IsTerminal as _, stderr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use dayfly_forge::fetch::{
    self, FetchConfig, FetchError, Fetched, Fetching, PATIENCE, Reference, Registries,
};
use dayfly_forge::package::{self, VerifyKey};
use dayfly_forge::script::{self, Dependencies, Package};
use dayfly_model::App;
use directories::{BaseDirs, ProjectDirs};
use indicatif::{ProgressBar, ProgressStyle};

use crate::report;

/// Where sources and packages are fetched from, and into which folder.
///
/// # Errors
/// If the user's configuration cannot be read.
pub(crate) fn config(folder: PathBuf) -> Result<FetchConfig> {
    let user = BaseDirs::new();
    let configuration = user.as_ref().map(|user| user.config_dir().join("wasm-pkg/config.toml"));
    let registries = configuration.map(|file| Registries::read(&file)).transpose()?;
    let docker = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let docker = docker.or_else(|| Some(user?.home_dir().join(".docker")));
    Ok(FetchConfig {
        folder,
        patience: PATIENCE,
        registries: registries.unwrap_or_default(),
        credentials: docker.map(|folder| folder.join("config.json")),
    })
}

/// Fetches what `app` needs and `folder` does not have.
///
/// # Errors
/// All that could not be had.
pub(crate) fn fetch(app: &App, folder: PathBuf, quiet: bool) -> Result<Fetched> {
    let config = config(folder)?;
    let mut teller = Teller::new(FETCHING, quiet);
    let fetched = fetch::fetch(app.sources(), &config, |word| teller.tell(word));
    let mut fetched = fetched.map_err(failed)?;
    let needed = Dependencies::of(app);
    for package in needed.packages {
        fetched.has_package(package, module(package, &config, &mut teller)?);
    }
    for requirements in needed.requirements {
        let wheels = script::install(&requirements, &config, |word| teller.tell(word));
        let wheels = wheels.map_err(|error| {
            let hint = error.hint();
            report::hint(error, Some(hint))
        })?;
        fetched.has_wheels(wheels);
    }
    Ok(fetched)
}

/// Fetches a tool or an interpreter, unless `folder` has it, and says where it is.
///
/// # Errors
/// If it cannot be had.
pub(crate) fn tool(package: &'static Package, folder: PathBuf, quiet: bool) -> Result<PathBuf> {
    module(package, &config(folder)?, &mut Teller::new(FETCHING, quiet))
}

fn module(package: &'static Package, config: &FetchConfig, teller: &mut Teller) -> Result<PathBuf> {
    let given = std::env::var("DAYFLY_INTERPRETERS").ok().filter(|given| !given.is_empty());
    let path = script::fetch(package, config, given.as_deref(), |word| teller.tell(word));
    path.map_err(|error| {
        let hint = error.hint();
        report::hint(error, Some(hint))
    })
}

/// Fetches a package of a registry into a folder, or else into the one that keeps what was fetched.
/// With a key, it must be signed by that. Gives the app's folder.
///
/// # Errors
/// If it cannot be had, is not signed, or holds no app.
pub(crate) fn package(
    reference: &Reference,
    cache: PathBuf,
    folder: Option<&Path>,
    key: Option<&Path>,
    quiet: bool,
) -> Result<PathBuf> {
    let config = config(cache)?;
    let is_taken_as_kept = folder.is_none() && key.is_none();
    if let Some(kept) = package::kept(reference, &config).filter(|_| is_taken_as_kept) {
        return Ok(kept);
    }
    let mut teller = Teller::new(FETCHING, quiet);
    let tell = |word: Fetching<'_>| teller.tell(word);
    let key = key.map(VerifyKey::read).transpose();
    let pulled = key.and_then(|key| package::pull(reference, &config, folder, key.as_ref(), tell));
    pulled.map_err(|error| {
        let hint = error.hint();
        let error = anyhow!(error).context(format!("failed to fetch package `{reference}`"));
        report::hint(error, hint)
    })
}

/// Lays out the app of a package that is a file in the folder that keeps what was fetched. Gives the
/// app's folder.
///
/// # Errors
/// If it cannot be read, or holds no app.
pub(crate) fn archive(file: &Path, cache: PathBuf) -> Result<PathBuf> {
    package::open(file, &config(cache)?).map_err(|error| {
        let hint = error.hint();
        let error = anyhow!(error).context(format!("failed to open package `{}`", file.display()));
        report::hint(error, hint)
    })
}

/// The folder that keeps what was fetched: the one that the user names, or one in the user's cache.
///
/// # Errors
/// If there is neither.
pub(crate) fn folder(named: Option<PathBuf>) -> Result<PathBuf> {
    let own = || Some(ProjectDirs::from("", "", "dayfly")?.cache_dir().join("sources"));
    let folder = named.or_else(own);
    let folder = folder.context("this system has no cache folder: name one for sources")?;
    // What is kept there is found again from any folder.
    std::path::absolute(&folder).with_context(|| format!("failed to find `{}`", folder.display()))
}

fn failed(errors: Vec<FetchError>) -> anyhow::Error {
    let mut hints: Vec<String> = errors.iter().filter_map(FetchError::hint).collect();
    hints.dedup();
    let error = match report::all::<()>(errors.into_iter().map(|error| Err(error.into()))) {
        Ok(_) => anyhow!("nothing failed"),
        Err(error) => error,
    };
    report::hint(error, hints.into_iter().next())
}

/// What is said of what is fetched, while it is and when it was.
pub(crate) const FETCHING: [&str; 2] = ["Fetching", "Fetched"];

/// Tells the user what is transferred: a line for each thing, and on a terminal how far it is.
pub(crate) struct Teller {
    verbs: [&'static str; 2],
    quiet: bool,
    bar: Option<ProgressBar>,
}

impl Teller {
    pub(crate) fn new(verbs: [&'static str; 2], quiet: bool) -> Self {
        Self { verbs, quiet, bar: None }
    }

    pub(crate) fn tell(&mut self, word: Fetching<'_>) {
        if self.quiet {
            return;
        }
        match word {
            Fetching::Starts(source) => report::note(self.verbs[0], source),
            Fetching::Comes(bytes, all) if stderr().is_terminal() => {
                let bar = self.bar.get_or_insert_with(|| bar(all));
                bar.set_position(bytes);
            }
            Fetching::Comes(..) => {}
            Fetching::Done { source, bytes, took } => {
                self.clear();
                report::note(self.verbs[1], format!("{source}: {bytes} bytes in {took:.1?}"));
            }
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.clear();
    }
}

fn bar(all: Option<u64>) -> ProgressBar {
    match all {
        Some(all) => {
            let style = ProgressStyle::with_template("{bytes:>12} of {total_bytes} {wide_bar}");
            ProgressBar::new(all).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        }
        None => ProgressBar::new_spinner(),
    }
}
