//! Brings the sources of an app that are elsewhere, and tells the user about it.

use std::io::{IsTerminal as _, stderr};
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use dayfly_forge::fetch::{self, FetchConfig, FetchError, Fetched, Fetching, PATIENCE, Registries};
use dayfly_forge::script::{self, Dependencies};
use dayfly_model::App;
use directories::{BaseDirs, ProjectDirs};
use indicatif::{ProgressBar, ProgressStyle};

use crate::report;

/// Fetches what `app` needs and `folder` does not have.
///
/// # Errors
/// All that could not be had.
pub(crate) fn fetch(app: &App, folder: PathBuf, quiet: bool) -> Result<Fetched> {
    let user = BaseDirs::new();
    let configuration = user.as_ref().map(|user| user.config_dir().join("wasm-pkg/config.toml"));
    let registries = configuration.map(|file| Registries::read(&file)).transpose()?;
    let docker = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let docker = docker.or_else(|| Some(user?.home_dir().join(".docker")));
    let config = FetchConfig {
        folder,
        patience: PATIENCE,
        registries: registries.unwrap_or_default(),
        credentials: docker.map(|folder| folder.join("config.json")),
    };
    let mut teller = Teller { quiet, bar: None };
    let fetched = fetch::fetch(app.sources(), &config, |word| teller.tell(word));
    let mut fetched = fetched.map_err(failed)?;
    let given = std::env::var("DAYFLY_INTERPRETERS").ok().filter(|given| !given.is_empty());
    let needed = Dependencies::of(app);
    for package in needed.packages {
        let path = script::fetch(package, &config, given.as_deref(), |word| teller.tell(word));
        let path = path.map_err(|error| {
            let hint = error.hint();
            report::hint(error, Some(hint))
        })?;
        fetched.has_package(package, path);
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

/// The folder that keeps what was fetched, if nobody names another.
pub(crate) fn default_folder() -> Option<PathBuf> {
    ProjectDirs::from("", "", "dayfly").map(|folders| folders.cache_dir().join("sources"))
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

struct Teller {
    quiet: bool,
    bar: Option<ProgressBar>,
}

impl Teller {
    fn tell(&mut self, word: Fetching<'_>) {
        if self.quiet {
            return;
        }
        match word {
            Fetching::Starts(source) => report::note("Fetching", source),
            Fetching::Comes(bytes, all) if stderr().is_terminal() => {
                let bar = self.bar.get_or_insert_with(|| bar(all));
                bar.set_position(bytes);
            }
            Fetching::Comes(..) => {}
            Fetching::Done { source, bytes, took } => {
                self.clear();
                report::note("Fetched", format!("{source}: {bytes} bytes in {took:.1?}"));
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
