//! What a component imports and exports, read from its outermost sections only.

use std::fmt;

use semver::Version;
use wasmparser::{ComponentExternalKind, Encoding, Payload};

use crate::sections::sections;

/// What a component asks of its host and what it offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// What it imports, in its own order.
    pub imports: Vec<InterfaceName>,
    /// What it exports, in its own order.
    pub exports: Vec<InterfaceName>,
}

impl World {
    /// Whether it exports the interface `namespace:package/interface`, of any version.
    pub fn exports(&self, id: &str) -> bool {
        self.exports.iter().any(|name| name.is(id))
    }

    /// Whether it imports the interface `namespace:package/interface`, of any version.
    pub fn imports(&self, id: &str) -> bool {
        self.imports.iter().any(|name| name.is(id))
    }
}

/// The name of one import or export, taken apart.
///
/// A plain name (`transform`, not `a:b/c@1.0.0`) has no namespace, no package and no version, and
/// is its own interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceName {
    /// `wasi` of `wasi:http/types@0.2.0`; empty for a plain name.
    pub namespace: String,
    /// `http` of `wasi:http/types@0.2.0`; empty for a plain name.
    pub package: String,
    /// `types` of `wasi:http/types@0.2.0`; the whole of a plain name.
    pub interface: String,
    /// `0.2.0` of `wasi:http/types@0.2.0`.
    pub version: Option<Version>,
    /// The name as it stands in the component.
    pub raw: String,
    /// What is imported or exported by this name.
    pub kind: ItemKind,
}

/// What an import or export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ItemKind {
    /// An instance: an interface with its functions and types.
    Instance,
    /// One function.
    Function,
    /// A type.
    Type,
    /// A core module.
    Module,
    /// A component.
    Component,
    /// A value.
    Value,
}

impl InterfaceName {
    /// Takes `raw` apart.
    pub fn parse(raw: &str, kind: ItemKind) -> Self {
        let (path, version) = match raw.rsplit_once('@') {
            Some((path, version)) => match Version::parse(version) {
                Ok(version) => (path, Some(version)),
                Err(_) => (raw, None),
            },
            None => (raw, None),
        };
        let (namespace, package, interface) = path
            .split_once(':')
            .and_then(|(namespace, rest)| {
                let (package, interface) = rest.split_once('/')?;
                Some((namespace, package, interface))
            })
            .unwrap_or(("", "", path));
        Self {
            namespace: namespace.to_owned(),
            package: package.to_owned(),
            interface: interface.to_owned(),
            version,
            raw: raw.to_owned(),
            kind,
        }
    }

    /// Whether this names the interface `namespace:package/interface`, of any version.
    pub fn is(&self, id: &str) -> bool {
        let path = self.raw.split_once('@').map_or(self.raw.as_str(), |(path, _)| path);
        path == id
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

/// The bytes could not be read as a component.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The bytes are a core module, which has no world.
    #[error("a core module where a component was expected")]
    CoreModule,
    /// The bytes are damaged.
    #[error("failed to read the component's sections")]
    Malformed(#[source] wasmparser::BinaryReaderError),
}

/// Reads the world of a component. What is nested in it is not read, nor is anything validated:
/// the engine does that when it compiles.
///
/// # Errors
/// When `wasm` is a core module or damaged.
pub fn inspect(wasm: &[u8]) -> Result<World, InspectError> {
    let mut world = World::default();
    for section in sections(wasm) {
        match section.map_err(InspectError::Malformed)?.payload {
            Payload::Version { encoding: Encoding::Module, .. } => {
                return Err(InspectError::CoreModule);
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let import = import.map_err(InspectError::Malformed)?;
                    let kind = import.ty.kind().into();
                    world.imports.push(InterfaceName::parse(import.name.name, kind));
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export.map_err(InspectError::Malformed)?;
                    let kind = export.kind.into();
                    world.exports.push(InterfaceName::parse(export.name.name, kind));
                }
            }
            _ => {}
        }
    }
    Ok(world)
}

impl From<ComponentExternalKind> for ItemKind {
    fn from(kind: ComponentExternalKind) -> Self {
        match kind {
            ComponentExternalKind::Module => Self::Module,
            ComponentExternalKind::Func => Self::Function,
            ComponentExternalKind::Value => Self::Value,
            ComponentExternalKind::Type => Self::Type,
            ComponentExternalKind::Instance => Self::Instance,
            ComponentExternalKind::Component => Self::Component,
        }
    }
}
