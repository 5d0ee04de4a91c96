//! Which proposals of WebAssembly a module uses: `wasm-opt` is told of these and of no others, so what
//! it makes needs no more of an engine than what came in.

use wasmparser::{BinaryReaderError, Validator, WasmFeatures};

/// What may be used at all: what the engine compiles.
const ALLOWED: WasmFeatures = WasmFeatures::WASM3
    .union(WasmFeatures::WIDE_ARITHMETIC)
    .union(WasmFeatures::GC_TYPES)
    .union(WasmFeatures::COMPONENT_MODEL)
    .union(WasmFeatures::CM_ASYNC)
    .union(WasmFeatures::CM_ASYNC_STACKFUL)
    .union(WasmFeatures::CM_MORE_ASYNC_BUILTINS)
    .union(WasmFeatures::CM_ERROR_CONTEXT)
    .difference(WasmFeatures::MEMORY64)
    .difference(WasmFeatures::THREADS);

/// Proposals, and what `wasm-opt` calls them. Those that others are a part of come before these.
const PROPOSALS: [(WasmFeatures, &str); 16] = [
    (WasmFeatures::GC, "--enable-gc"),
    (WasmFeatures::FUNCTION_REFERENCES, "--enable-gc"),
    (WasmFeatures::EXCEPTIONS, "--enable-exception-handling"),
    (WasmFeatures::REFERENCE_TYPES, "--enable-reference-types"),
    (WasmFeatures::CALL_INDIRECT_OVERLONG, "--enable-call-indirect-overlong"),
    (WasmFeatures::BULK_MEMORY, "--enable-bulk-memory"),
    (WasmFeatures::BULK_MEMORY_OPT, "--enable-bulk-memory-opt"),
    (WasmFeatures::MULTI_VALUE, "--enable-multivalue"),
    (WasmFeatures::MULTI_MEMORY, "--enable-multimemory"),
    (WasmFeatures::MUTABLE_GLOBAL, "--enable-mutable-globals"),
    (WasmFeatures::SIGN_EXTENSION, "--enable-sign-ext"),
    (WasmFeatures::SATURATING_FLOAT_TO_INT, "--enable-nontrapping-float-to-int"),
    (WasmFeatures::RELAXED_SIMD, "--enable-relaxed-simd"),
    (WasmFeatures::SIMD, "--enable-simd"),
    (WasmFeatures::TAIL_CALL, "--enable-tail-call"),
    (WasmFeatures::EXTENDED_CONST, "--enable-extended-const"),
];

/// Validates a component or a core module, by what may be used at all.
pub(super) fn validate(wasm: &[u8]) -> Result<(), BinaryReaderError> {
    is_valid(wasm, ALLOWED)
}

/// The names of what a valid module uses: what it is not valid without.
pub(super) fn used(module: &[u8]) -> Vec<&'static str> {
    let mut features = ALLOWED;
    let mut used = Vec::new();
    if is_valid(module, features.difference(WasmFeatures::WIDE_ARITHMETIC)).is_err() {
        used.push("--enable-wide-arithmetic");
    }
    for (proposal, name) in PROPOSALS {
        let without = features.difference(own(proposal));
        if is_valid(module, without).is_ok() {
            features = without;
        } else if !used.contains(&name) {
            used.push(name);
        }
    }
    used
}

/// What is a proposal's own: the validator counts parts with the whole, which have names of their own
/// here.
fn own(proposal: WasmFeatures) -> WasmFeatures {
    match proposal {
        WasmFeatures::REFERENCE_TYPES => proposal.difference(WasmFeatures::CALL_INDIRECT_OVERLONG),
        WasmFeatures::BULK_MEMORY => proposal.difference(WasmFeatures::BULK_MEMORY_OPT),
        _ => proposal,
    }
}

fn is_valid(wasm: &[u8], features: WasmFeatures) -> Result<(), BinaryReaderError> {
    Validator::new_with_features(features).validate_all(wasm).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used_by(text: &str) -> Vec<&'static str> {
        used(&wat::parse_str(text).unwrap())
    }

    #[test]
    fn a_plain_module_uses_nothing() {
        let text =
            "(module (memory 1) (table 1 funcref) (func (export \"f\") (param i32) (result i32)
            (i32.load (i32.mul (local.get 0) (i32.const 4)))))";
        assert_eq!(used_by(text), [""; 0]);
    }

    #[test]
    fn each_is_found_by_what_needs_it() {
        let functions = [
            ("(func (param i32) (result i32) (i32.extend8_s (local.get 0)))", "--enable-sign-ext"),
            (
                "(func (param f32) (result i32) (i32.trunc_sat_f32_s (local.get 0)))",
                "--enable-nontrapping-float-to-int",
            ),
            ("(func (result i32 i32) (i32.const 1) (i32.const 2))", "--enable-multivalue"),
            ("(func (result v128) (v128.const i32x4 1 2 3 4))", "--enable-simd"),
            ("(func (return_call 0))", "--enable-tail-call"),
            ("(memory 1) (memory 1)", "--enable-multimemory"),
            ("(import \"a\" \"b\" (global (mut i32)))", "--enable-mutable-globals"),
            ("(global i32 (i32.add (i32.const 1) (i32.const 2)))", "--enable-extended-const"),
            ("(tag (param i32)) (func (throw 0 (i32.const 1)))", "--enable-exception-handling"),
            ("(type (struct)) (func (drop (struct.new 0)))", "--enable-gc"),
            ("(func (param externref))", "--enable-reference-types"),
            (
                "(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))",
                "--enable-bulk-memory-opt",
            ),
            (
                "(memory 1) (data \"x\") (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 0)))",
                "--enable-bulk-memory",
            ),
            (
                "(func (param i64) (result i64 i64) (i64.mul_wide_s (local.get 0) (local.get 0)))",
                "--enable-wide-arithmetic",
            ),
        ];
        for (function, name) in functions {
            let used = used_by(&format!("(module {function})"));
            assert!(used.contains(&name), "{name}: {used:?}");
            // What is a part of another one, for the validator, comes with it.
            let others = [
                "--enable-multivalue",
                "--enable-bulk-memory-opt",
                "--enable-call-indirect-overlong",
                "--enable-gc",
            ];
            let unasked = used.iter().filter(|it| **it != name && !others.contains(it));
            assert_eq!(unasked.collect::<Vec<_>>(), [&""; 0], "{name}");
        }
    }
}
