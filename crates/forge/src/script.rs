//! Scripts: makes of a language's interpreter a component that the freeze phase can freeze with an
//! app in it.
//!
//! An interpreter comes as a core module from a public registry ([`Package`], pinned by its
//! digest). [`component`] joins it with a *driver* of ours: `initialize` starts the interpreter and
//! has it run the boot script, which loads the app; `wasi:cli/run` handles one request. Nothing of an
//! app is in the component, so all apps of a language share it.

mod bridge;
mod bundle;
mod language;
mod merge;
mod package;
mod requirements;
mod setting;
mod tool;
mod wheels;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use dayfly_model::{App, Source};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as ADAPTER_NAME,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

use crate::optimise::OPTIMISER;
pub(crate) use bundle::KeptBundler;
pub use bundle::{BUNDLER, Bundle, BundleError, BundleFailure, bundle, is_bundled};
pub use language::Language;
pub use merge::MergeError;
pub(crate) use merge::merge;
pub use package::{Package, PackageError, PackageFailure, Registry, fetch};
pub use requirements::RequirementsError;
pub use setting::SettingError;
pub(crate) use setting::{BOOT, advice, empty_beside, terms};
pub use tool::ToolError;
pub use wheels::{Wheels, WheelsError, WheelsFailure, install};

/// The world of what comes out, and what it is made of.
const WORLD: &str = concat!(
    include_str!("../wit/script.wit"),
    include_str!("../wit/dayfly.wit"),
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

/// The folder that a script of an app in `root` is loaded from: what is in it decides what the script
/// becomes. `None` if the file is no script.
pub fn folder<'a>(root: &Path, file: &'a Path) -> Option<&'a Path> {
    match Language::of(file)? {
        Language::JavaScript => Some(bundle::project(root, file)),
        _ => file.parent(),
    }
}

/// What an app's scripts depend on beside their own files.
#[derive(Debug, Default)]
pub struct Dependencies {
    /// Interpreters and tools, to be [fetched](fetch); the optimiser too, if something is optimised.
    pub packages: BTreeSet<&'static Package>,
    /// Files of requirements, what these name to be [installed](install).
    pub requirements: BTreeSet<PathBuf>,
}

impl Dependencies {
    /// Those of an app.
    pub fn of(app: &App) -> Self {
        let mut all = Self::default();
        let mut builds = app.components.values().filter_map(|component| component.build.as_ref());
        if builds.any(|build| build.optimize.is_some()) {
            all.packages.insert(&OPTIMISER);
        }
        for source in app.sources() {
            let Source::File(file) = source else { continue };
            let script = app.root.join(file);
            let Some(language) = Language::of(&script) else { continue };
            all.packages.insert(language.interpreter());
            match language {
                Language::JavaScript if is_bundled(&app.root, &script) => {
                    all.packages.insert(&BUNDLER);
                }
                Language::Python => all.requirements.extend(wheels::requirements(&script)),
                _ => {}
            }
        }
        all
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.requirements.is_empty()
    }
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
