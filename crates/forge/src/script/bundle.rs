//! Makes one ES module of a script, of what it imports, and of the packages in `node_modules`: esbuild,
//! itself a WebAssembly module, reads the script's folder in the sandbox that initialisers have.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use dayfly_engine::{CpuLimitExceeded, Engine, EngineConfig, EngineError, Metered, Mode};
use wasmtime::component::Linker;
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx};

use super::package::{Package, Registry};
use crate::componentise::{self, ComponentiseError};
use crate::fetch::digest_of;
use crate::freeze::told;
use crate::sandbox::Sandbox;

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
const SAID_BYTES: usize = 1 << 20;

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
    let bundled = || {
        let path = bundler.ok_or(BundleFailure::NotFetched)?;
        let module = fs::read(path)
            .map_err(|error| BundleFailure::Read { path: path.to_owned(), source: error.into() })?;
        if digest_of(&module) != BUNDLER.digest {
            return Err(BundleFailure::Changed { path: path.to_owned() });
        }
        let component = componentise::componentise(module, None, None)?.0;
        let state = |out: [MemoryOutputPipe; 2]| sandbox(project(root, script), script, out);
        Ok(apart(run(&tools(engine)?, &component, state)?))
    };
    bundled().map_err(|failure| BundleError { script: script.to_owned(), failure })
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

/// An engine for one instance at a time, whose code is made soon and kept.
fn tools(engine: &Engine) -> Result<Engine, EngineError> {
    let mode = match engine.mode() {
        Mode::Interpreter => Mode::Interpreter,
        _ => Mode::Baseline,
    };
    let config = engine.config().clone();
    Engine::new(EngineConfig { mode, max_instances: 1, kept_instances: 0, ..config })
}

fn run(
    engine: &Engine,
    component: &[u8],
    state: impl FnOnce([MemoryOutputPipe; 2]) -> Result<Sandbox<()>, BundleFailure>,
) -> Result<Vec<u8>, BundleFailure> {
    let code = engine.load(component)?;
    let bundle = MemoryOutputPipe::new(BUNDLE_BYTES);
    let said = MemoryOutputPipe::new(SAID_BYTES);
    let state = state([bundle.clone(), said.clone()])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(BundleFailure::Runtime)?;
    let mut store = code.store(state);
    let ran = runtime.block_on(Metered::new(CPU, async {
        let mut linker = Linker::new(code.component().engine());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        let made = Command::instantiate_async(&mut store, code.component(), &linker);
        let command = code.instantiating(made).await?;
        command.wasi_cli_run().call_run(&mut store).await
    }));
    runtime.shutdown_background();
    match ran {
        Ok(Ok(())) => Ok(bundle.contents().to_vec()),
        Ok(Err(())) => Err(refused(&said)),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(0)) => Ok(bundle.contents().to_vec()),
            Some(I32Exit(1)) => Err(refused(&said)),
            _ if store.data().is_out_of_memory() => Err(BundleFailure::Memory),
            _ if error.is::<CpuLimitExceeded>() => Err(BundleFailure::Cpu),
            _ => Err(BundleFailure::Trapped(error)),
        },
    }
}

fn refused(said: &MemoryOutputPipe) -> BundleFailure {
    BundleFailure::Refused { said: String::from_utf8_lossy(&said.contents()).into_owned() }
}

/// One folder is all that the bundler sees.
fn sandbox(
    folder: &Path,
    script: &Path,
    [bundle, said]: [MemoryOutputPipe; 2],
) -> Result<Sandbox<()>, BundleFailure> {
    let name = script.strip_prefix(folder).unwrap_or(script).to_string_lossy();
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut wasi = WasiCtx::builder();
    wasi.args(&["esbuild", &format!("./{name}")])
        .args(&ARGUMENTS)
        .env("PWD", "/")
        .stdout(bundle)
        .stderr(said)
        .allow_tcp(false)
        .allow_udp(false)
        .preopened_dir(folder, "/", FsPerms::ReadOnly)
        .map_err(|source| BundleFailure::Read { path: folder.to_owned(), source })?;
    Ok(Sandbox::new(wasi.build(), MEMORY_BYTES, ()))
}
