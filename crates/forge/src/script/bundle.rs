//! Makes one ES module of a script, of what it imports, and of the packages in `node_modules`: esbuild,
//! itself a WebAssembly module, reads the script's folder in the sandbox that initialisers have.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use dayfly_engine::{Code, Digest, Engine, EngineError, Flavour, Mode};

use super::package::{Package, Registry};
use crate::componentise::{self, ComponentiseError};
use crate::fetch::digest_of;
use crate::freeze::told;
use crate::sandbox::{self, Ended, Terms};

/// The bundler.
pub const BUNDLER: Package = Package {
    purpose: "the bundler of JavaScript",
    registry: Registry::Npm,
    name: "@esbuild/wasi-preview1",
    version: "0.27.2",
    file: "esbuild.wasm",
    digest: "ed4ef442d8db48e201bf5f55b8cd6a8fb65d21bcfa2705cc5a7381ceed33f008",
};

/// What it is told, beside the script: one ES module of what QuickJS understands, from packages as they
/// are for workers. The modules of the interpreter and of Dayfly stay imports.
const ARGUMENTS: [&str; 13] = [
    "--bundle",
    "--format=esm",
    "--platform=browser",
    "--conditions=worker",
    "--target=es2023",
    "--charset=utf8",
    "--legal-comments=none",
    "--sourcemap=inline",
    "--sources-content=false",
    "--define:process.env.NODE_ENV=\"production\"",
    "--external:qjs:*",
    "--external:dayfly",
    "--log-level=error",
];

/// How the comment begins that has the map.
const MAP: &[u8] = b"//# sourceMappingURL=data:application/json;base64,";

/// Where packages are.
const PACKAGES: &str = "node_modules";

/// How much it may use.
const MEMORY_BYTES: u64 = 2 << 30;
const CPU: Duration = Duration::from_secs(120);
const BUNDLE_BYTES: usize = 64 << 20;

/// A script could not be bundled.
#[derive(Debug, thiserror::Error)]
#[error("failed to bundle `{}`", script.display())]
pub struct BundleError {
    /// The script.
    pub script: PathBuf,
    /// Why.
    #[source]
    pub failure: BundleFailure,
}

/// Why a script could not be bundled.
#[derive(Debug, thiserror::Error)]
pub enum BundleFailure {
    /// The bundler is not there.
    #[error("{} was not fetched", BUNDLER.purpose)]
    NotFetched,
    /// The bundler is no longer what was fetched.
    #[error("the copy of {} is not what it was when it was fetched", BUNDLER.purpose)]
    Changed {
        /// The copy.
        path: PathBuf,
    },
    /// The bundler, or the script's folder, cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: wasmtime::Error,
    },
    /// The bundler cannot be run.
    #[error(transparent)]
    Componentise(#[from] ComponentiseError),
    /// The bundler cannot be run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// There is no runtime to run it in.
    #[error("failed to start a runtime")]
    Runtime(#[source] std::io::Error),
    /// It refused the script.
    #[error("esbuild says{}", told(None, said))]
    Refused {
        /// What it said.
        said: String,
    },
    /// It used up its time.
    #[error("esbuild used more than {} s of CPU time", CPU.as_secs())]
    Cpu,
    /// It wanted more memory than it may have.
    #[error("esbuild wanted more than {} MiB of memory", MEMORY_BYTES >> 20)]
    Memory,
    /// It, or the host, failed.
    #[error("esbuild trapped")]
    Trapped(#[source] wasmtime::Error),
}

impl Bundle {
    /// The files of the folder `/bundle`, of which the first is where the app begins.
    pub fn files(self) -> [(&'static str, Vec<u8>); 2] {
        [("app.js", self.module), ("app.js.map", self.map)]
    }
}

impl BundleError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match &self.failure {
            BundleFailure::NotFetched => Some("`dayfly up` fetches it".to_owned()),
            BundleFailure::Changed { path } => {
                Some(format!("remove `{}`, and it is fetched again", path.display()))
            }
            BundleFailure::Refused { said } if said.contains("is built into node") => Some(
                "there are no modules of Node.js: take a package that is for browsers or workers \
                 too"
                .to_owned(),
            ),
            BundleFailure::Refused { said } if said.contains("Could not resolve") => Some(
                "files and packages are found in the script's folder, or in the nearest one above \
                 with a `package.json`, as far as the manifest's"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Whether a script of JavaScript's is bundled: what is no JavaScript yet, or CommonJS, and what has
/// packages in its [`project`].
pub fn is_bundled(root: &Path, script: &Path) -> bool {
    match script.extension().and_then(|extension| extension.to_str()) {
        Some("js" | "mjs") => project(root, script).join(PACKAGES).is_dir(),
        Some("cjs" | "jsx" | "ts" | "mts" | "cts" | "tsx") => true,
        _ => false,
    }
}

/// What a script becomes.
#[derive(Debug)]
pub struct Bundle {
    /// The one module.
    pub module: Vec<u8>,
    /// Where what is in it comes from, as ECMA-426 has it.
    pub map: Vec<u8>,
}

/// The folder that a script may import from: the nearest one with packages or with what describes them,
/// from its own up to `root`; or its own.
pub fn project<'a>(root: &Path, script: &'a Path) -> &'a Path {
    let own = script.parent().unwrap_or(Path::new(""));
    let mut folders = own.ancestors().take_while(|folder| folder.starts_with(root));
    let found = folders
        .find(|folder| folder.join(PACKAGES).is_dir() || folder.join("package.json").is_file());
    found.unwrap_or(own)
}

/// Bundles a script of an app in `root`, with `bundler` from the package [`BUNDLER`].
///
/// # Errors
/// When the script, or the bundler, is not as it has to be.
pub fn bundle(
    engine: &Engine,
    bundler: Option<&Path>,
    root: &Path,
    script: &Path,
) -> Result<Bundle, BundleError> {
    let bundled = Bundler::new(engine, bundler).and_then(|bundler| bundler.bundle(root, script));
    bundled.map_err(|failure| BundleError { script: script.to_owned(), failure })
}

/// The bundler, ready to run.
struct Bundler {
    code: Code,
    /// Whether its code is the better one, which runs faster.
    in_full: bool,
}

impl Bundler {
    /// One whose better code is at hand, or one that is made soon.
    fn new(engine: &Engine, path: Option<&Path>) -> Result<Self, BundleFailure> {
        let component = component(engine, path)?;
        if is_worth_more(engine) {
            let (digest, flavour) = (Digest::of(&component), Flavour::of(&component)?);
            if let Some(code) = engine_for(engine, Mode::Aot)?.load_cached(digest, flavour)? {
                return Ok(Self { code, in_full: true });
            }
        }
        let code = engine_for(engine, Mode::Baseline)?.load(&component)?;
        Ok(Self { code, in_full: false })
    }

    /// One with the better code, which takes long to make.
    fn in_full(engine: &Engine, path: Option<&Path>) -> Result<Self, BundleFailure> {
        let code = engine_for(engine, Mode::Aot)?.load(&component(engine, path)?)?;
        Ok(Self { code, in_full: true })
    }

    fn bundle(&self, root: &Path, script: &Path) -> Result<Bundle, BundleFailure> {
        Ok(apart(run(&self.code, project(root, script), script)?))
    }
}

/// A bundler that stays at hand from one bundle to the next.
#[derive(Default)]
pub(crate) struct KeptBundler(Mutex<Option<Bundler>>);

impl KeptBundler {
    /// As [`bundle`].
    ///
    /// # Errors
    /// As [`bundle`].
    pub(crate) fn bundle(
        &self,
        engine: &Engine,
        path: Option<&Path>,
        root: &Path,
        script: &Path,
    ) -> Result<Bundle, BundleError> {
        let mut kept = self.lock();
        let bundled = match kept.take().map_or_else(|| Bundler::new(engine, path), Ok) {
            Ok(bundler) => kept.insert(bundler).bundle(root, script),
            Err(failure) => Err(failure),
        };
        bundled.map_err(|failure| BundleError { script: script.to_owned(), failure })
    }

    /// Makes better code of it, if it was of use and that is worth while. It blocks, for as long as that
    /// takes; meanwhile the other code is used.
    pub(crate) fn improve(&self, engine: &Engine, path: Option<&Path>) {
        let has_less = self.lock().as_ref().is_some_and(|bundler| !bundler.in_full);
        if !has_less || !is_worth_more(engine) {
            return;
        }
        match Bundler::in_full(engine, path) {
            Ok(better) => *self.lock() = Some(better),
            Err(error) => tracing::debug!(%error, "the bundler stays with its baseline code"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Bundler>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the bundler may have better code than what is made soonest.
fn is_worth_more(engine: &Engine) -> bool {
    matches!(engine.mode(), Mode::Auto | Mode::Aot)
}

/// An engine that runs the bundler, whose code is kept.
fn engine_for(engine: &Engine, mode: Mode) -> Result<Engine, EngineError> {
    sandbox::engine(engine, mode, engine.config().max_stack_bytes)
}

/// The bundler as a component, from the engine's artifact cache if it is there.
fn component(engine: &Engine, path: Option<&Path>) -> Result<Vec<u8>, BundleFailure> {
    let cache = engine.cache().and_then(Result::ok);
    let name = Digest::of(BUNDLER.digest.as_bytes());
    if let Some(kept) = cache.and_then(|cache| cache.made(&name)) {
        return Ok(kept);
    }
    let path = path.ok_or(BundleFailure::NotFetched)?;
    let module = fs::read(path)
        .map_err(|error| BundleFailure::Read { path: path.to_owned(), source: error.into() })?;
    if digest_of(&module) != BUNDLER.digest {
        return Err(BundleFailure::Changed { path: path.to_owned() });
    }
    let component = componentise::componentise(module, None, None)?.0;
    if let Some(cache) = cache {
        cache.keep_made(&name, &component);
    }
    Ok(component)
}

/// Takes the map from the end of a module, where it is a comment.
fn apart(mut module: Vec<u8>) -> Bundle {
    let begins = module.windows(MAP.len()).rposition(|window| window == MAP);
    let begins = begins.unwrap_or(module.len());
    let comment = module.split_off(begins);
    let digits = comment.get(MAP.len()..).unwrap_or_default().trim_ascii_end();
    // Without one, backtraces have the module's own lines.
    let map = BASE64.decode(digits).unwrap_or_default();
    Bundle { module, map }
}

fn run(code: &Code, folder: &Path, script: &Path) -> Result<Vec<u8>, BundleFailure> {
    let name = script.strip_prefix(folder).unwrap_or(script).to_string_lossy();
    let script = format!("./{name}");
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let arguments: Vec<_> = ["esbuild", &script].into_iter().chain(ARGUMENTS).collect();
    let terms = Terms {
        arguments: &arguments,
        input: Vec::new(),
        folder: Some(folder),
        memory_bytes: MEMORY_BYTES,
        cpu: CPU,
        output_bytes: BUNDLE_BYTES,
    };
    sandbox::run(code, terms).map_err(|ended| match ended {
        Ended::Engine(error) => BundleFailure::Engine(error),
        Ended::Folder(source) => BundleFailure::Read { path: folder.to_owned(), source },
        Ended::Runtime(error) => BundleFailure::Runtime(error),
        Ended::Failed(said) => BundleFailure::Refused { said },
        Ended::Cpu => BundleFailure::Cpu,
        Ended::Memory => BundleFailure::Memory,
        Ended::Trapped(error, _) => BundleFailure::Trapped(error),
    })
}
