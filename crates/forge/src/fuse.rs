//! Links core modules of a component into one: an instance of it then takes up to twenty times less work to
//! make.
//!
//! Component tools meet a cycle: what lowers an import needs the main module's memory and its `realloc`, so
//! it can only be made after the main module, which itself wants to import it. They break it by a *shim*, a
//! module of nothing but indirect calls through a table, which a *fixup* fills at the end. And what is
//! linked dynamically (componentize-py: a dozen modules, some two thousand functions and globals between
//! them) reaches the others' memory, globals and functions through pointers, and is linked anew for each
//! instance, name by name.
//!
//! Here all modules that need nothing of the host but what is there before any of them become one: the shim,
//! the main module, its libraries and adapters. What takes what is lowered with their memory (the fixup,
//! an adapter that does not call the host through the shim) stays a module of its own, behind it.
//!
//! ```text
//! before: shim, main(shim), library(main, shim), adapter(main, shim), lowered(main), fixup(shim, lowered, adapter)
//! after:  fused, lowered(fused), fixup(fused, lowered)
//! ```
//!
//! A component that is not of this form stays as it is. What a guest can do or see stays the same.

mod choose;
mod component;
mod emit;
mod link;
#[cfg(test)]
mod tests;

use wasm_encoder::reencode;
use wasmparser::{Parser, Validator, WasmFeatures};

/// Why a component stays as it is.
#[derive(Debug)]
pub(crate) struct Unsuited;

impl From<wasmparser::BinaryReaderError> for Unsuited {
    fn from(_: wasmparser::BinaryReaderError) -> Self {
        Self
    }
}

impl<E> From<reencode::Error<E>> for Unsuited {
    fn from(_: reencode::Error<E>) -> Self {
        Self
    }
}

type Suited<T> = Result<T, Unsuited>;

/// Fuses the core modules of `wasm`, if it has several that can be; says whether it had. Bytes that are
/// not suited are handed back as they came: whatever is wrong with them is others' to say.
pub(crate) fn fuse(wasm: Vec<u8>) -> (Vec<u8>, bool) {
    match fused(&wasm) {
        Ok(fused) => (fused, true),
        Err(Unsuited) => (wasm, false),
    }
}

fn fused(wasm: &[u8]) -> Suited<Vec<u8>> {
    let component = component::Component::read(wasm)?;
    check_links(wasm)?;
    let chosen = choose::choose(&component)?;
    let linked = link::Linked::new(&component, &chosen)?;
    let fused = emit::emit(&component, &linked)?;
    validator().validate_all(&fused)?;
    Ok(fused)
}

/// Looks whether all imports are given what they ask for: afterwards nobody could tell. What is in
/// functions is looked at when they are in their new place.
fn check_links(wasm: &[u8]) -> Suited<()> {
    let mut validator = validator();
    for payload in Parser::new(0).parse_all(wasm) {
        validator.payload(&payload?)?;
    }
    Ok(())
}

/// Of what the compiler takes that is done soonest: it knows no constants that are other globals of the
/// same module.
fn validator() -> Validator {
    Validator::new_with_features(WasmFeatures::all() - WasmFeatures::GC)
}
