//! What is around a script while it is loaded: its folder, the boot files of its language, and what was
//! made of its dependencies.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::{fs, io};

use dayfly_model::Source;

use super::bundle::{self, BUNDLER, BundleError, KeptBundler};
use super::wheels::{self, WheelsError};
use super::{Language, boot_files};
use crate::fetch::Fetched;
use crate::freeze::{FreezeError, FreezeTerms, Freezer, FrozenFolder};
use crate::resolve::Location;

/// What a script calls the folder of its boot files.
pub(crate) const BOOT: &str = "/dayfly";

/// What a script needs beside its interpreter could not be put in its place.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A file of ours cannot be written.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It cannot be bundled.
    #[error(transparent)]
    Bundle(Box<BundleError>),
    /// Its requirements cannot be read.
    #[error(transparent)]
    Wheels(WheelsError),
    /// Its requirements are others than those that were installed.
    #[error("what `{}` names is not installed", requirements.display())]
    NotInstalled {
        /// The file.
        requirements: PathBuf,
    },
}

impl SettingError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Write { .. } => {
                Some("see that there is room, and that it may be written".to_owned())
            }
            Self::Bundle(error) => error.hint(),
            Self::Wheels(error) => Some(error.hint()),
            Self::NotInstalled { .. } => Some("`dayfly up` installs it as it starts".to_owned()),
        }
    }
}

/// What an initialiser may use: as it is, and for a script its folder, its boot files and its
/// dependencies too. What has to be bundled is, by the bundler that is kept, if one is.
///
/// # Errors
/// When one of these cannot be had.
pub(crate) fn terms<'a>(
    location: &Location<'_>,
    freezer: &Freezer<'a>,
    kept: Option<&KeptBundler>,
) -> Result<Cow<'a, FreezeTerms>, SettingError> {
    let terms = freezer.terms;
    let Some((language, script)) = script(location) else { return Ok(Cow::Borrowed(terms)) };
    let Some(name) = script.file_name() else { return Ok(Cow::Borrowed(terms)) };
    let mut entry = format!("/app/{}", name.to_string_lossy());
    let app = script.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut folders = vec![folder("/app", app.unwrap_or(Path::new(".")).to_owned())];
    match language {
        Language::JavaScript if bundle::is_bundled(location.root, &script) => {
            let bundler = location.fetched.and_then(|fetched| fetched.package(&BUNDLER));
            let (engine, root) = (freezer.engine, location.root);
            let bundle = match kept {
                Some(kept) => kept.bundle(engine, bundler, root, &script),
                None => bundle::bundle(engine, bundler, root, &script),
            };
            let bundle = bundle.map_err(|error| SettingError::Bundle(Box::new(error)))?;
            let files = bundle.files().map(|(name, bytes)| (name.to_owned(), bytes));
            folders.push(folder("/bundle", write_files(freezer.scratch, &files)?));
            "/bundle/app.js".clone_into(&mut entry);
        }
        // To the script it is as if it had them in `vendor`.
        Language::Python => folders.extend(
            installed(&script, location.fetched)?.map(|wheels| folder("/app/vendor", wheels)),
        ),
        _ => {}
    }
    let boot = write_files(freezer.scratch, &boot_files(language, &entry))?;
    folders.push(folder(BOOT, boot));
    let mut terms = FreezeTerms { initialiser: Some("initialize".to_owned()), ..terms.clone() };
    terms.folders.extend(folders);
    Ok(Cow::Owned(terms))
}

/// What a person can do where a script finds no library, as far as its folder says.
pub(crate) fn advice(location: &Location<'_>, error: &FreezeError) -> Option<String> {
    let (language, script) = script(location)?;
    let FreezeError::Refused { reason: Some(reason), .. } = error else { return None };
    let is_beside = |name: &str| script.with_file_name(name).exists();
    match language {
        Language::Ruby if reason.contains("LoadError") => {
            let vendored = ["vendor/bundle", "vendor/gems", "bundle"];
            let wanted = is_beside("Gemfile") && !vendored.into_iter().any(is_beside);
            wanted.then(|| {
                "the gems of its `Gemfile` are not beside it: `bundle config set --local path \
                 vendor/bundle && bundle install`"
                    .to_owned()
            })
        }
        Language::Python
            if reason.contains("ModuleNotFoundError") || reason.contains("ImportError") =>
        {
            let installed = installed(&script, location.fetched).ok().flatten();
            let folders = wheels::vendored(&script).chain(installed);
            let native: Vec<_> = folders.flat_map(|folder| wheels::native(&folder)).collect();
            let names = native.join("`, `");
            (!native.is_empty())
                .then(|| format!("native code is not run, and these packages have some: `{names}`"))
        }
        _ => None,
    }
}

/// A source's language and file, if it is a script.
fn script(location: &Location<'_>) -> Option<(Language, PathBuf)> {
    let Source::File(file) = location.source else { return None };
    let path = location.root.join(file);
    Some((Language::of(&path)?, path))
}

fn folder(guest: &str, host: PathBuf) -> FrozenFolder {
    FrozenFolder { host, guest: guest.to_owned() }
}

/// The folder with what a script requires, if it requires something.
fn installed(script: &Path, fetched: Option<&Fetched>) -> Result<Option<PathBuf>, SettingError> {
    let Some(requirements) = wheels::requirements(script) else { return Ok(None) };
    let digest = wheels::digest(&requirements).map_err(SettingError::Wheels)?;
    match fetched.and_then(|fetched| fetched.wheels(&digest)) {
        Some(folder) => Ok(Some(folder.to_owned())),
        None => Err(SettingError::NotInstalled { requirements }),
    }
}

/// A folder beside one of boot files, in which nothing is.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn empty_beside(boot: &Path) -> Result<PathBuf, SettingError> {
    let path = boot.with_file_name("empty");
    match fs::create_dir_all(&path) {
        Ok(()) => Ok(path),
        Err(source) => Err(SettingError::Write { path, source }),
    }
}

/// Writes files into a folder that is named by what they say, if it is not there.
fn write_files(scratch: &Path, files: &[(String, Vec<u8>)]) -> Result<PathBuf, SettingError> {
    let mut hasher = blake3::Hasher::new_derive_key("dayfly 1 boot files");
    for (name, bytes) in files {
        hasher.update(name.as_bytes()).update(&[0]).update(blake3::hash(bytes).as_bytes());
    }
    let folder = scratch.join(hasher.finalize().to_hex().as_str());
    if folder.is_dir() {
        return Ok(folder);
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SettingError::Write { path, source }
    };
    fs::create_dir_all(scratch).map_err(failed(scratch))?;
    let new = tempfile::tempdir_in(scratch).map_err(failed(scratch))?;
    for (name, bytes) in files {
        let file = new.path().join(name);
        fs::write(&file, bytes).map_err(failed(&file))?;
    }
    match fs::rename(new.path(), &folder) {
        // Another process was faster.
        Err(_) if folder.is_dir() => {}
        renamed => renamed.map_err(failed(&folder))?,
    }
    Ok(folder)
}
