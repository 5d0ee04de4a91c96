//! Lets a component's core modules call the host directly instead of through a shim: an instance
//! then takes a fifth less work to make and to drop.
//!
//! Component tools meet a cycle: what lowers an import needs the main module's memory and its
//! `realloc`, so it can only be made after the main module, which itself wants to import it. They
//! break it by a *shim*, a module of nothing but indirect calls through a table, which a *fixup*
//! fills at the end. Each instance pays for some dozens of functions that way, used or not.
//!
//! Here the cycle is broken at its narrow place: a module of its own, the *base*, holds the memory
//! with its initial data, and calls the few functions that are needed before their module is there
//! (`realloc`s, mostly) through a table. So every import can be lowered first, adapters and the main
//! module import what they call, and only those few functions are put into the table at the end.
//!
//! ```text
//! before: shim, main(shim), adapter(main, shim), lowered(main), fixup(shim, lowered, adapter)
//! after:  base, lowered(base), adapter(base, lowered), main(base, lowered, adapter), fixup(base)
//! ```
//!
//! A component that is not of this form stays as it is. What a guest can do or see stays the same.

mod component;
mod core;
mod emit;
mod modules;
mod plan;

/// Why a component stays as it is.
#[derive(Debug)]
pub(crate) struct Unsuited;

impl From<wasmparser::BinaryReaderError> for Unsuited {
    fn from(_: wasmparser::BinaryReaderError) -> Self {
        Self
    }
}

type Suited<T> = Result<T, Unsuited>;

/// Larger components stay as they are, in bytes: their code uses its memory more than instances of
/// them cost, and a memory that is another module's is reached through one more pointer.
const LARGEST: usize = 1 << 20;

/// Takes the shim out of `wasm`, if it has one; says whether it had. Bytes that are not suited are
/// handed back as they came: whatever is wrong with them is others' to say.
pub(crate) fn unshim(wasm: Vec<u8>) -> (Vec<u8>, bool) {
    if wasm.len() > LARGEST {
        return (wasm, false);
    }
    match rewritten(&wasm) {
        Ok(rewritten) => (rewritten, true),
        Err(Unsuited) => (wasm, false),
    }
}

fn rewritten(wasm: &[u8]) -> Suited<Vec<u8>> {
    let component = component::Component::read(wasm)?;
    let plan = plan::Plan::new(&component)?;
    emit::emit(&component, &plan)
}
