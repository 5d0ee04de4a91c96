//! Makes a component of a core module, with the standard WASI preview 1 adapter.
//!
//! Three kinds of modules come here: commands (`_start`, or an entry point that the manifest
//! names), modules that carry the world they were bound to (what wit-bindgen and Spin's SDKs embed),
//! and those that are for another host, which are refused with what they ask for.

mod entrypoint;
mod imports;
mod module;
mod reserve;
mod status;

use std::borrow::Cow;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as ADAPTER_NAME,
    WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER as COMMAND_ADAPTER,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as REACTOR_ADAPTER,
};
use wasmparser::{BinaryReaderError, Encoding};
use wit_component::ComponentEncoder;

use crate::freeze::{LiftError, lift};
pub use imports::{CoreImport, ForeignHost};
use module::CoreModule;

/// The entry point of a command where the manifest names none.
pub const DEFAULT_ENTRYPOINT: &str = "_start";

/// A core module could not be made a component.
#[derive(Debug, thiserror::Error)]
pub enum ComponentiseError {
    /// The bytes are no WebAssembly, or damaged.
    #[error("failed to read the WebAssembly binary")]
    Malformed(#[source] BinaryReaderError),
    /// An entry point is named, and the source is a component already.
    #[error("entry point `{name}` is named, but the source is a component, not a core module")]
    EntrypointOfComponent {
        /// The entry point.
        name: String,
    },
    /// The named entry point is not exported.
    #[error("entry point `{name}` is not a function that the module exports")]
    NoEntrypoint {
        /// The entry point.
        name: String,
        /// The functions that are exported and could be.
        candidates: Vec<String>,
    },
    /// The entry point takes parameters or gives results.
    #[error("entry point `{name}` takes parameters or gives results")]
    EntrypointSignature {
        /// The entry point.
        name: String,
    },
    /// Neither a command nor a module with an embedded world.
    #[error("the core module exports no `_start` and embeds no world")]
    NothingToRun,
    /// Values for WASI pass through a memory, and there is none.
    #[error("the core module exports no memory named `memory`, through which WASI passes values")]
    NoMemory,
    /// The module was made for something else than WASI.
    #[error("the core module imports what nothing provides: {}", imports::list(.imports))]
    UnknownImports {
        /// The imports that nothing provides.
        imports: Vec<CoreImport>,
        /// What the module seems to be made for.
        host: ForeignHost,
    },
    /// The module is of Spin's first SDKs, before components.
    #[error("the core module was built by wit-bindgen 0.2, as Spin's SDKs before 1.4 did")]
    BeforeComponents,
    /// The embedded world cannot be read.
    #[error("failed to read the world that the core module embeds")]
    EmbeddedWorld(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its initialiser cannot be made a component's.
    #[error(transparent)]
    Lift(#[from] LiftError),
    /// The encoder refused.
    #[error("failed to make a component of the core module")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ComponentiseError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Malformed(_) => Some("the file looks damaged: build or copy it again".to_owned()),
            Self::EntrypointOfComponent { .. } => {
                Some("remove `entrypoint`: a component is entered by `wasi:cli/run`".to_owned())
            }
            Self::NoEntrypoint { candidates, .. } if candidates.is_empty() => None,
            Self::NoEntrypoint { candidates, .. } => {
                Some(format!("it exports `{}`", candidates.join("`, `")))
            }
            Self::EntrypointSignature { .. } => {
                Some("an entry point is a function without parameters and results".to_owned())
            }
            Self::NothingToRun => Some(
                "build it as a command (with a `main`), or as a component that exports \
                 `wasi:http/incoming-handler`"
                    .to_owned(),
            ),
            Self::NoMemory => Some("export its memory as `memory`".to_owned()),
            Self::UnknownImports { host, .. } => Some(host.advice().to_owned()),
            Self::BeforeComponents | Self::EmbeddedWorld(_) => {
                Some("build it again with a current SDK".to_owned())
            }
            Self::Encode(_) | Self::Lift(_) => None,
        }
    }
}

/// Makes a component of `wasm` unless it is one; says whether it was changed. `entrypoint` names
/// the exported function that runs a command, `_start` when it is `None`. What the component exports
/// then is what the module is for; its initialiser too, where the component will be frozen.
///
/// # Errors
/// When `wasm` is damaged, or a module that no adapter of Dayfly's fits.
pub fn componentise(
    wasm: Vec<u8>,
    entrypoint: Option<&str>,
    initialiser: Option<Initialiser<'_>>,
) -> Result<(Vec<u8>, bool), ComponentiseError> {
    let entrypoint = entrypoint.filter(|name| *name != DEFAULT_ENTRYPOINT);
    match module::encoding(&wasm).map_err(ComponentiseError::Malformed)? {
        Encoding::Component => match entrypoint {
            Some(name) => Err(ComponentiseError::EntrypointOfComponent { name: name.to_owned() }),
            None => Ok((wasm, false)),
        },
        Encoding::Module => Ok((core(&wasm, entrypoint, initialiser)?, true)),
    }
}

fn core(
    wasm: &[u8],
    entrypoint: Option<&str>,
    initialiser: Option<Initialiser<'_>>,
) -> Result<Vec<u8>, ComponentiseError> {
    let module = CoreModule::read(wasm).map_err(ComponentiseError::Malformed)?;
    if module.is_before_components() {
        return Err(ComponentiseError::BeforeComponents);
    }
    let world = module.embeds_world.then(|| EmbeddedWorld::read(wasm)).transpose()?;
    imports::check(&module, world.as_ref())?;
    let wasm = match entrypoint {
        Some(name) => Cow::Owned(entrypoint::rename(wasm, &module, name)?),
        None => Cow::Borrowed(wasm),
    };
    let has_start = entrypoint.is_some() || module.is_command(DEFAULT_ENTRYPOINT);
    let adapter = match &world {
        // A bound world with exports is what the module is for, even beside a `_start` that the
        // toolchain put in; unless the manifest names an entry point.
        Some(world) if world.has_exports && entrypoint.is_none() => REACTOR_ADAPTER,
        _ if has_start && !module.exports_memory() => return Err(ComponentiseError::NoMemory),
        _ if has_start => COMMAND_ADAPTER,
        _ => return Err(ComponentiseError::NothingToRun),
    };
    let wasm = if reserve::is_needed(&module) {
        let reserved = reserve::reserve(&wasm, &module);
        Cow::Owned(reserved.map_err(|error| ComponentiseError::Encode(error.into()))?)
    } else {
        wasm
    };
    let wasm = match module.embeds_world {
        false => status::keep(&wasm)?.map_or(wasm, Cow::Owned),
        true => wasm,
    };
    let wasm = match initialiser {
        Some(Initialiser(named)) => lift(&wasm, named)?.map_or(wasm, Cow::Owned),
        None => wasm,
    };
    encode(&wasm, adapter).map_err(ComponentiseError::Encode)
}

/// The function that initialises a module: by its name, or by one of the usual ones.
#[derive(Debug, Clone, Copy)]
pub struct Initialiser<'a>(pub Option<&'a str>);

/// Encodes; the engine validates what comes out when it compiles it.
fn encode(
    wasm: &[u8],
    adapter: &[u8],
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    Ok(ComponentEncoder::default().module(wasm)?.adapter(ADAPTER_NAME, adapter)?.encode()?)
}

/// What the module says of the world that it was bound to.
struct EmbeddedWorld {
    has_exports: bool,
    /// The names that core imports may come from.
    imports: Vec<String>,
}

impl EmbeddedWorld {
    fn read(wasm: &[u8]) -> Result<Self, ComponentiseError> {
        let (_, bindgen) = wit_component::metadata::decode(wasm)
            .map_err(|error| ComponentiseError::EmbeddedWorld(error.into()))?;
        let world = &bindgen.resolve.worlds[bindgen.world];
        let name = |key| bindgen.resolve.name_world_key(key);
        Ok(Self {
            has_exports: !world.exports.is_empty(),
            imports: world.imports.keys().chain(world.exports.keys()).map(name).collect(),
        })
    }
}
