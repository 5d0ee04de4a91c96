//! Core modules of real components become one, and what comes of it is valid.

use dayfly_forge::{Phase, Unshaped, prepare_bytes};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

fn prepared(guest: &str) -> Unshaped {
    let path = format!("{}/../../target/guests/{guest}.wasm", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    prepare_bytes(guest, bytes).unwrap()
}

/// How many imports each core module has that has anything in it.
fn modules(component: &[u8]) -> Vec<u32> {
    let mut modules = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            Payload::ModuleSection { unchecked_range, .. } if unchecked_range.len() > 8 => {
                modules.push(0);
            }
            Payload::ImportSection(imports) => *modules.last_mut().unwrap() += imports.count(),
            _ => {}
        }
    }
    modules
}

#[test]
fn what_is_linked_dynamically_becomes_one_module() {
    for guest in ["python-http", "python-spin-3", "python-spin-5", "js-componentize", "js-spin"] {
        let prepared = prepared(guest);
        let report = prepared.phases.iter().find(|report| report.phase == Phase::Fuse).unwrap();
        assert!(report.changed, "{guest}");
        Validator::new_with_features(WasmFeatures::all()).validate_all(&prepared.wasm).unwrap();
        assert!(modules(&prepared.wasm).len() <= 4, "{guest}: {:?}", modules(&prepared.wasm));
    }
}
