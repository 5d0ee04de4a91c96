//! Makes the function that a manifest names as entry point the module's `_start`.

use wasmparser::{ExternalKind, Payload};

use super::module::CoreModule;
use super::{ComponentiseError, DEFAULT_ENTRYPOINT};
use crate::sections::sections;
use crate::splice::{Edit, splice};

/// What a `_start` that is not the entry point is called: a name that no adapter asks for.
const SET_ASIDE: &str = "dayfly:unused-start";

/// The module with its export `name` called `_start`.
pub(super) fn rename(
    wasm: &[u8],
    module: &CoreModule,
    name: &str,
) -> Result<Vec<u8>, ComponentiseError> {
    match module.export(name) {
        Some(export) if export.kind != ExternalKind::Func => return Err(missing(module, name)),
        None => return Err(missing(module, name)),
        Some(export) if !export.is_procedure => {
            return Err(ComponentiseError::EntrypointSignature { name: name.to_owned() });
        }
        Some(_) => {}
    }
    let mut edits = Vec::new();
    for section in sections(wasm) {
        let section = section.map_err(ComponentiseError::Malformed)?;
        let Payload::ExportSection(exports) = section.payload else {
            continue;
        };
        for export in exports {
            let export = export.map_err(ComponentiseError::Malformed)?;
            let to = match export.name {
                found if found == name => DEFAULT_ENTRYPOINT,
                DEFAULT_ENTRYPOINT => SET_ASIDE,
                _ => continue,
            };
            edits.push(Edit::new(wasm, &section.range, export.name, to.to_owned()));
        }
    }
    Ok(splice(wasm, edits))
}

fn missing(module: &CoreModule, name: &str) -> ComponentiseError {
    let candidates = module.exports.iter().filter(|export| export.is_procedure);
    ComponentiseError::NoEntrypoint {
        name: name.to_owned(),
        candidates: candidates.map(|export| export.name.clone()).collect(),
    }
}
