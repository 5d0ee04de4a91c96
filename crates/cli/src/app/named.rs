//! Which app a command line names: a folder, a manifest, a bare module, or a package, of a registry or in a file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use dayfly_forge::fetch::{Fetched, Reference};
use dayfly_forge::package;
use dayfly_forge::script::Dependencies;
use dayfly_model::{App, Manifest, ManifestErrors, Source, Stated};

use crate::fetching;
use crate::report::Several;

/// A package that was laid out to be served.
pub(crate) enum Brought {
    /// Of a registry.
    Pulled(Reference),
    /// In this file.
    Opened(PathBuf),
}

/// Which app.
#[derive(Args, Clone)]
pub(crate) struct AppSource {
    /// A folder with a `dayfly.toml` or `spin.toml`, a manifest, or one `.wasm` or `.wat` file
    #[arg(default_value = ".", value_name = "PATH")]
    path: PathBuf,

    /// The same as PATH, as Spin spells it
    #[arg(
        short = 'f',
        long = "from",
        alias = "file",
        value_name = "PATH",
        conflicts_with = "path"
    )]
    from: Option<PathBuf>,

    /// Use the components' overrides of this profile
    #[arg(long, env = "DAYFLY_PROFILE", value_name = "NAME")]
    profile: Option<String>,

    /// Folder that keeps sources which come from elsewhere [default: in the user's cache folder]
    #[arg(long, env = "DAYFLY_SOURCE_CACHE_DIR", value_name = "DIR")]
    source_cache_dir: Option<PathBuf>,
}

impl AppSource {
    /// What the user named.
    pub(crate) fn path(&self) -> &Path {
        self.from.as_deref().unwrap_or(&self.path)
    }

    /// The profile, if one was chosen.
    pub(crate) fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// The folder that keeps what was fetched.
    pub(crate) fn fetched_folder(&self) -> Result<PathBuf> {
        fetching::folder(self.source_cache_dir.clone())
    }

    /// Reads the app, and keeps what its manifest states.
    ///
    /// # Errors
    /// All mistakes of its manifest.
    pub(crate) fn read_stated(&self) -> Result<Stated> {
        let (path, profile) = (self.path(), self.profile());
        let mut stated = match found(path)? {
            true => Manifest::load_stated(path, profile).map_err(several)?,
            false => Stated::of_module(App::for_module(path)),
        };
        stated.app.root = rooted(&stated.app)?;
        Ok(stated)
    }

    /// Fetches the sources of an app that are elsewhere and were never fetched.
    ///
    /// # Errors
    /// If one cannot be had.
    pub(crate) fn fetch(&self, app: &App, quiet: bool) -> Result<Fetched> {
        let elsewhere = |source: &Source| !matches!(source, Source::File(_));
        if !app.sources().any(elsewhere) && Dependencies::of(app).is_empty() {
            return Ok(Fetched::default());
        }
        fetching::fetch(app, self.fetched_folder()?, quiet)
    }

    /// Fetches or opens the package that PATH names, if it names one, and takes its folder for PATH. It
    /// has to be signed by `key`, if there is one.
    ///
    /// # Errors
    /// If it cannot be had.
    pub(crate) fn bring(&mut self, key: Option<&Path>, quiet: bool) -> Result<Option<Brought>> {
        let reference = self.reference()?;
        if key.is_some() && reference.is_none() {
            bail!("only packages of registries are signed (`--verify-key`)");
        }
        let (laid_out, brought) = match reference {
            Some(reference) => {
                let folder = self.fetched_folder()?;
                let laid_out = fetching::package(&reference, folder, None, key, quiet);
                (laid_out.map_err(|error| self.not_there(error))?, Brought::Pulled(reference))
            }
            None if package::is_archive(self.path()) && self.path().is_file() => {
                let archive = self.path().to_owned();
                (fetching::archive(&archive, self.fetched_folder()?)?, Brought::Opened(archive))
            }
            None => return Ok(None),
        };
        (self.path, self.from) = (laid_out, None);
        Ok(Some(brought))
    }

    /// The package of a registry that PATH names, if it names no file.
    pub(super) fn reference(&self) -> Result<Option<Reference>> {
        let path = self.path();
        let Some(text) = path.to_str().filter(|_| !path.exists()) else { return Ok(None) };
        match text.parse() {
            Ok(reference) => Ok(Some(reference)),
            // What nobody would call a file.
            Err(error) if text.contains('@') || text.contains(':') => {
                Err(anyhow!("`{text}` does not exist, and is no package of a registry: {error}"))
            }
            Err(_) => Ok(None),
        }
    }

    /// An error of fetching what PATH names, which was perhaps meant to be a file.
    fn not_there(&self, error: anyhow::Error) -> anyhow::Error {
        let path = self.path().display();
        match self.path().to_str().and_then(|text| text.split_once('/')) {
            Some((_, name)) if !name.contains([':', '@']) => error.context(format!(
                "`{path}` does not exist, and no package of that name is to be had"
            )),
            _ => error,
        }
    }
}

/// Reads an app from a folder, a manifest or a bare module.
pub(crate) fn read(path: &Path, profile: Option<&str>) -> Result<App> {
    let mut app = match found(path)? {
        true => Manifest::load(path, profile).map_err(several)?,
        false => App::for_module(path),
    };
    app.root = rooted(&app)?;
    Ok(app)
}

/// Whether a path, which must exist, means a manifest.
fn found(path: &Path) -> Result<bool> {
    if !path.exists() {
        bail!("`{}` does not exist", path.display());
    }
    Ok(is_manifest(path))
}

/// The app's folder, the same from wherever it is started: what is kept for it goes by its name.
fn rooted(app: &App) -> Result<PathBuf> {
    std::path::absolute(&app.root)
        .with_context(|| format!("failed to find `{}`", app.root.display()))
}

fn several(errors: ManifestErrors) -> anyhow::Error {
    anyhow!(Several(errors.to_string()))
}

/// Whether a path means a manifest rather than a bare module.
pub(crate) fn is_manifest(path: &Path) -> bool {
    path.is_dir() || path.extension().is_some_and(|ext| ext == "toml")
}
