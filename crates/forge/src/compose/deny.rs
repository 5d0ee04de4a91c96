//! Denies imports: what a part may not use gets a name for which the host has only refusals.
//!
//! Types keep their meaning: an interface that only names types stays as it is, because it opens
//! nothing, and one that is denied takes the types that it uses from where they are. Only names of
//! the outermost component change, every other byte stays.

use dayfly_model::DENIED;
use wasmparser::Payload;

use crate::sections::sections;
use crate::splice::{Edit, splice};

/// `wasm` with every import renamed that is not open.
///
/// # Errors
/// If the bytes are damaged.
pub(super) fn deny(
    wasm: Vec<u8>,
    is_open: impl Fn(&str) -> bool,
) -> Result<Vec<u8>, wasmparser::BinaryReaderError> {
    let mut edits = Vec::new();
    for section in sections(&wasm) {
        let section = section?;
        let Payload::ComponentImportSection(imports) = section.payload else { continue };
        for import in imports {
            let name = import?.name.name;
            if !is_open(name) {
                edits.push(Edit::new(&wasm, &section.range, name, format!("{DENIED}{name}")));
            }
        }
    }
    if edits.is_empty() { Ok(wasm) } else { Ok(splice(&wasm, edits)) }
}
