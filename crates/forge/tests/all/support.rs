//! What the tests share: jobs, components made from WIT, and errors as a person reads them.

use std::error::Error;
use std::path::Path;

use dayfly_forge::{ForgeError, Job, Prepared, Unshaped, prepare, prepare_bytes};
use dayfly_model::{Executor, Source};
use wasmparser::{Validator, WasmFeatures};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve};

/// A core module for `world` of `wit`, with the world embedded; each function traps.
pub fn module_of(wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", wit).expect("the test's WIT parses");
    let world = resolve.select_world(&[package], Some(world)).expect("the world exists");
    let abi = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);
    let mut module = dummy_module(&resolve, world, abi);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("metadata embeds");
    module
}

/// A component for `world` of `wit`.
pub fn component_of(wit: &str, world: &str) -> Vec<u8> {
    let module = module_of(wit, world);
    ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.validate(true).encode())
        .expect("the component encodes")
}

/// Prepares WebAssembly text.
pub fn forge_text(text: &str) -> Result<Unshaped, ForgeError> {
    prepare_bytes("test", text.as_bytes().to_vec())
}

/// Prepares WebAssembly text as a command with `entrypoint`.
pub fn forge_wagi(text: &str, entrypoint: &str) -> Result<Prepared, ForgeError> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("guest.wat"), text).expect("the file is written");
    let executor = Executor::Wagi { entrypoint: entrypoint.to_owned(), argv: String::new() };
    forge_file(folder.path(), "guest.wat", &executor)
}

/// Prepares a file of `root`.
pub fn forge_file(root: &Path, file: &str, executor: &Executor) -> Result<Prepared, ForgeError> {
    let source = Source::File(file.into());
    prepare(&Job {
        component: "test",
        root,
        source: &source,
        build_commands: &[],
        executor,
        composition: None,
        fetched: None,
        freezer: None,
        optimiser: None,
        observer: None,
    })
}

/// The error's whole chain and its hint, one a line.
pub fn said(error: &ForgeError) -> String {
    let mut lines = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        lines.push(error.to_string());
        cause = error.source();
    }
    lines.dedup();
    if let Some(hint) = error.hint() {
        lines.push(format!("hint: {hint}"));
    }
    lines.join("\n")
}

/// Panics unless `wasm` is valid.
#[track_caller]
pub fn assert_valid(wasm: &[u8]) {
    if let Err(error) = Validator::new_with_features(WasmFeatures::all()).validate_all(wasm) {
        panic!("what was made is not valid: {error}");
    }
}

/// The exports' names.
pub fn exports(unshaped: &Unshaped) -> Vec<&str> {
    unshaped.world.exports.iter().map(|export| export.raw.as_str()).collect()
}
