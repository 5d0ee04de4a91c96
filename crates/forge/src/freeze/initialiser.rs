//! Which function initialises a component, and how a core module's becomes a component's.

use wasmparser::{ComponentExternalKind, ExternalKind, Payload};
use wit_component::StringEncoding;
use wit_parser::Resolve;

use super::FreezeError;
use crate::sections::sections;
use crate::splice::{Edit, splice};

/// The functions that initialise, as tools call them. A core module may write something else for the hyphen.
pub const INITIALISERS: [&str; 3] = ["wizer-initialize", "wizer-init", "initialize"];

/// The name of a component's initialiser.
pub(super) fn find(component: &[u8], named: Option<&str>) -> Result<String, FreezeError> {
    let exports = functions(component).map_err(FreezeError::Malformed)?;
    let is_there = |name: &str| exports.iter().any(|export| export == name);
    let found = match named {
        // A core module's may be called otherwise in the component that was made of it.
        Some(name) => [name.to_owned(), worded(name)].into_iter().find(|name| is_there(name)),
        None => INITIALISERS.into_iter().find(|name| is_there(name)).map(str::to_owned),
    };
    let wanted = || match named {
        Some(name) => vec![name.to_owned()],
        None => INITIALISERS.map(str::to_owned).to_vec(),
    };
    found.ok_or_else(|| FreezeError::NoInitialiser { wanted: wanted() })
}

/// A function's name as components have names: words of small letters joined by `-`.
fn worded(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

/// The functions that a component exports at its root.
fn functions(component: &[u8]) -> wasmparser::Result<Vec<String>> {
    let mut functions = Vec::new();
    for section in sections(component) {
        if let Payload::ComponentExportSection(exports) = section?.payload {
            for export in exports {
                let export = export?;
                if export.kind == ComponentExternalKind::Func {
                    functions.push(export.name.name.to_owned());
                }
            }
        }
    }
    Ok(functions)
}

/// Lets a core module's initialiser be exported by the component that is made of it: names it as
/// components name functions, and says that it is one.
///
/// # Errors
/// When the module is damaged; what else is wrong, is others' to say.
pub(crate) fn lift(wasm: &[u8], named: Option<&str>) -> Result<Option<Vec<u8>>, LiftError> {
    let mut edit = None;
    for section in sections(wasm) {
        let section = section?;
        let Payload::ExportSection(exports) = &section.payload else { continue };
        for export in exports.clone() {
            let export = export?;
            let name = worded(export.name);
            let wanted = match named {
                Some(named) => export.name == named,
                None => INITIALISERS.contains(&&*name) && !export.name.starts_with('_'),
            };
            if wanted && export.kind == ExternalKind::Func {
                edit = Some((Edit::new(wasm, &section.range, export.name, name.clone()), name));
            }
        }
    }
    let Some((edit, name)) = edit else { return Ok(None) };
    let mut wasm = splice(wasm, vec![edit]);
    let text = format!("package dayfly:freeze; world initialiser {{ export {name}: func(); }}");
    let mut resolve = Resolve::default();
    let package = resolve.push_str("freeze.wit", &text).map_err(LiftError::world)?;
    let world = resolve.select_world(&[package], Some("initialiser")).map_err(LiftError::world)?;
    wit_component::embed_component_metadata(&mut wasm, &resolve, world, StringEncoding::UTF8)
        .map_err(LiftError::world)?;
    Ok(Some(wasm))
}

/// A core module's initialiser could not be made a component's.
#[derive(Debug, thiserror::Error)]
pub enum LiftError {
    /// The module is damaged.
    #[error("failed to read the module")]
    Malformed(#[from] wasmparser::BinaryReaderError),
    /// The name is none that a component's function may have.
    #[error("its initialiser cannot be exported by a component")]
    World(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl LiftError {
    fn world(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::World(error.into())
    }
}
