//! Shims are taken out of real components, and what comes of it is valid.

use dayfly_forge::{Phase, Unshaped, prepare_bytes};
use wasmparser::{Validator, WasmFeatures};

fn prepared(guest: &str) -> Unshaped {
    let path = format!("{}/../../target/guests/{guest}.wasm", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    prepare_bytes(guest, bytes).unwrap()
}

fn changed(prepared: &Unshaped) -> bool {
    prepared.phases.iter().any(|report| report.phase == Phase::Unshim && report.changed)
}

fn modules(component: &[u8]) -> usize {
    let sections = wasmparser::Parser::new(0).parse_all(component);
    let is_module = |section: &wasmparser::Result<wasmparser::Payload<'_>>| {
        matches!(section, Ok(wasmparser::Payload::ModuleSection { .. }))
    };
    sections.filter(is_module).count()
}

/// Handlers and commands, of several compilers: `call`s, and adapters that take themselves a
/// stack.
#[test]
fn components_of_wasi_0_2_need_no_shim() {
    for guest in [
        "rust-hello",
        "rust-http",
        "rust-wstd",
        "rust-spin-5",
        "rust-command",
        "c-http",
        "c-command",
        "zig-command",
        "assemblyscript-command",
    ] {
        let prepared = prepared(guest);
        assert!(changed(&prepared), "{guest}");
        let valid = Validator::new_with_features(WasmFeatures::all()).validate_all(&prepared.wasm);
        valid.unwrap_or_else(|error| panic!("{guest}: {error}"));
        let again = prepare_bytes(guest, prepared.wasm).unwrap();
        assert!(!changed(&again), "{guest}: there is nothing left to do");
    }
}

/// Large ones stay whole. Async functions, streams and futures are lowered otherwise; Python's libraries are modules of
/// their own, which share more than a memory.
#[test]
fn others_stay_as_they_are() {
    for guest in ["rust-p3-echo", "python-http", "js-componentize"] {
        assert!(!changed(&prepared(guest)), "{guest}");
    }
}

#[test]
fn the_shim_is_not_instantiated_and_memory_begins_as_it_did() {
    let path = format!("{}/../../target/guests/rust-hello.wasm", env!("CARGO_MANIFEST_DIR"));
    let before = std::fs::read(path).unwrap();
    let after = prepared("rust-hello").wasm;
    // The base and its fixup for the shim and its own.
    assert_eq!((modules(&before), modules(&after)), (4, 4));
    let data = |wasm: &[u8]| -> Vec<(i32, Vec<u8>)> {
        let mut found = Vec::new();
        for payload in wasmparser::Parser::new(0).parse_all(wasm) {
            let Ok(wasmparser::Payload::DataSection(segments)) = payload else { continue };
            for segment in segments {
                let segment = segment.unwrap();
                let wasmparser::DataKind::Active { offset_expr, .. } = segment.kind else {
                    continue;
                };
                let mut operators = offset_expr.get_operators_reader();
                let wasmparser::Operator::I32Const { value } = operators.read().unwrap() else {
                    panic!("an offset that is no constant")
                };
                if !segment.data.is_empty() {
                    found.push((value, segment.data.to_vec()));
                }
            }
        }
        found
    };
    assert!(!data(&before).is_empty());
    assert_eq!(data(&before), data(&after));
}
