//! Lets a command end with a status of its own. The adapter knows success and failure alone, so a
//! module's `proc_exit` is bound to WASI 0.2's `exit-with-code` in its place, which has the same
//! signature; the interface's world is embedded, as a toolchain would.

use std::sync::LazyLock;

use wasmparser::{Imports, Parser, Payload, TypeRef};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::{ADAPTER_NAME, COMMAND_ADAPTER, ComponentiseError};
use crate::sections::sections;
use crate::splice::{Edit, splice};

const PREVIEW1_NAME: &str = "proc_exit";
const NAME: &str = "exit-with-code";

/// The interface as the adapter imports it, `wasi:cli/exit@0.2.12`: both must mean the same one.
static INTERFACE: LazyLock<Option<&'static str>> = LazyLock::new(|| {
    Parser::new(0).parse_all(COMMAND_ADAPTER).flatten().find_map(|payload| {
        let Payload::ImportSection(imports) = payload else { return None };
        let mut names = imports.into_imports().flatten().map(|import| import.module);
        names.find(|name| name.starts_with("wasi:cli/exit@"))
    })
});

/// The command with its `proc_exit` bound to `exit-with-code`; `None` if it asks for none, or in a
/// way that only the adapter can judge. The module must embed no world.
pub(super) fn keep(wasm: &[u8]) -> Result<Option<Vec<u8>>, ComponentiseError> {
    let Some(interface) = *INTERFACE else { return Ok(None) };
    let mut edits = Vec::new();
    for section in sections(wasm) {
        let section = section.map_err(ComponentiseError::Malformed)?;
        let Payload::ImportSection(groups) = section.payload else { continue };
        for group in groups {
            let Imports::Single(_, import) = group.map_err(ComponentiseError::Malformed)? else {
                return Ok(None);
            };
            let is_function = matches!(import.ty, TypeRef::Func(_));
            if is_function && (import.module, import.name) == (ADAPTER_NAME, PREVIEW1_NAME) {
                edits.push(Edit::new(wasm, &section.range, import.module, interface.to_owned()));
                edits.push(Edit::new(wasm, &section.range, import.name, NAME.to_owned()));
            }
        }
    }
    // Several of one name: nobody writes that.
    if edits.len() != 2 {
        return Ok(None);
    }
    let mut bound = splice(wasm, edits);
    embed(&mut bound, interface).map_err(ComponentiseError::Encode)?;
    Ok(Some(bound))
}

fn embed(
    wasm: &mut Vec<u8>,
    interface: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let version = interface.split_once('@').map_or("", |(_, version)| version);
    let wit = format!(
        "package dayfly:command; \
         world command {{ import {interface}; }} \
         package wasi:cli@{version} {{ interface exit {{ \
             exit: func(status: result); {NAME}: func(status-code: u8); }} }}"
    );
    let mut resolve = Resolve::default();
    let package = resolve.push_source("command.wit", &wit)?;
    let world = resolve.select_world(&[package], None)?;
    Ok(embed_component_metadata(wasm, &resolve, world, StringEncoding::UTF8)?)
}
