//! Scripts: makes of a language's interpreter a component that the freeze phase can freeze with an
//! app in it.
//!
//! An interpreter comes as a core module from a public registry ([`Interpreter`], pinned by its
//! digest). [`component`] joins it with a *driver* of ours: `initialize` starts the interpreter and
//! has it run the boot script, which loads the app; `wasi:cli/run` handles one request. Nothing of an
//! app is in the component, so all apps of a language share it.

mod bridge;
mod language;
mod merge;
mod package;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{fs, io};

use dayfly_model::Source;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as ADAPTER_NAME,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

use crate::freeze::{FreezeTerms, Freezer, FrozenFolder};
use crate::resolve::Location;
pub use language::{Interpreter, Language, Registry};
pub use merge::MergeError;
pub use package::{PackageError, PackageFailure, fetch};

/// The world of what comes out, and what it is made of.
const WORLD: &str = concat!(
    include_str!("../wit/script.wit"),
    include_str!("../wit/spin.wit"),
    include_str!("../wit/wasi.wit")
);

/// What every driver has.
const COMMON: &str = include_str!("script/common.wat");

/// A script's component could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The interpreter is another one than the driver is for.
    #[error("failed to join the interpreter of {language} with its driver")]
    Merge {
        /// Whose interpreter it is.
        language: Language,
        /// What does not fit.
        #[source]
        source: MergeError,
    },
    /// The joined module does not make a component.
    #[error("failed to make a component of the interpreter of {language}")]
    Encode {
        /// Whose interpreter it is.
        language: Language,
        /// What the encoder said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Makes the component of a language from its interpreter's module: the one that
/// [`Language::interpreter`] names, whose digest the caller has checked.
///
/// # Errors
/// When the module is another one.
pub fn component(language: Language, interpreter: &[u8]) -> Result<Vec<u8>, ScriptError> {
    let joined = driver(language)
        .map_err(MergeError::Driver)
        .and_then(|driver| merge::merge(interpreter, &driver, language.pins(), language.cut()));
    let module = joined.map_err(|source| ScriptError::Merge { language, source })?;
    encode(module).map_err(|source| ScriptError::Encode { language, source })
}

/// What the folder `/dayfly` holds for an app: the boot script with what belongs to it, and
/// `dayfly.json`, which tells it where the app begins (`/app/app.rb`); and `interfaces.json`, what may be
/// called ([`bridge::table`]).
pub fn boot_files(language: Language, entry: &str) -> Vec<(String, Vec<u8>)> {
    let configuration = serde_json::json!({ "entry": entry }).to_string().into_bytes();
    let interfaces = bridge::table(&world().0, world().1).into_bytes();
    let boot = language.boot().iter();
    let boot = boot.map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
    let made = [("dayfly.json", configuration), ("interfaces.json", interfaces)];
    boot.chain(made.map(|(name, bytes)| (name.to_owned(), bytes))).collect()
}

/// The boot files of an app could not be put in their place.
#[derive(Debug, thiserror::Error)]
#[error("failed to write `{}`", path.display())]
pub struct BootError {
    /// Which one.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// What an initialiser may use: as it is, and for a script its folder and its boot files too.
///
/// # Errors
/// When the boot files cannot be written.
pub(crate) fn terms<'a>(
    location: &Location<'_>,
    freezer: &Freezer<'a>,
) -> Result<Cow<'a, FreezeTerms>, BootError> {
    let terms = freezer.terms;
    let Source::File(file) = location.source else { return Ok(Cow::Borrowed(terms)) };
    let path = location.root.join(file);
    let (Some(language), Some(name)) = (Language::of(&path), path.file_name()) else {
        return Ok(Cow::Borrowed(terms));
    };
    let entry = format!("/app/{}", name.to_string_lossy());
    let boot = write_boot_files(freezer.scratch, &boot_files(language, &entry))?;
    let app = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let app = app.unwrap_or(Path::new(".")).to_owned();
    let mut terms = FreezeTerms { initialiser: Some("initialize".to_owned()), ..terms.clone() };
    terms.folders.push(FrozenFolder { host: app, guest: "/app".to_owned() });
    terms.folders.push(FrozenFolder { host: boot, guest: "/dayfly".to_owned() });
    Ok(Cow::Owned(terms))
}

/// Writes files into a folder that is named by what they say, if it is not there.
fn write_boot_files(scratch: &Path, files: &[(String, Vec<u8>)]) -> Result<PathBuf, BootError> {
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
        move |source| BootError { path, source }
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

/// The world of scripts.
fn world() -> &'static (Resolve, WorldId) {
    static READ: LazyLock<(Resolve, WorldId)> = LazyLock::new(|| {
        let mut resolve = Resolve::default();
        let package = resolve.push_source("script.wit", WORLD);
        let world = package.and_then(|package| resolve.select_world(&[package], Some("script")));
        (resolve, world.expect("the text is part of this program, and tests read it"))
    });
    &READ
}

fn driver(language: Language) -> Result<Vec<u8>, wat::Error> {
    let (resolve, world) = world();
    let bridge = bridge::driver(resolve, *world, language.has_descriptor());
    wat::parse_str(format!(
        "(module\n{}\n{}\n{COMMON}\n{})",
        bridge.imports,
        language.driver(),
        bridge.functions
    ))
}

fn encode(mut module: Vec<u8>) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let (resolve, world) = world();
    embed_component_metadata(&mut module, resolve, *world, StringEncoding::UTF8)?;
    Ok(ComponentEncoder::default().module(&module)?.adapter(ADAPTER_NAME, ADAPTER)?.encode()?)
}
