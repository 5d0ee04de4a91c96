//! Core modules of real components become one, and what comes of it is valid.

use dayfly_forge::{Phase, Unshaped, prepare_bytes};
use wasmparser::{DataKind, Operator, Parser, Payload, Validator, WasmFeatures};

fn bytes(guest: &str) -> Vec<u8> {
    let path = format!("{}/../../target/guests/{guest}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn changed(prepared: &Unshaped) -> bool {
    prepared.phases.iter().any(|report| report.phase == Phase::Fuse && report.changed)
}

/// How many core modules have anything in them.
fn modules(component: &[u8]) -> usize {
    let payloads = Parser::new(0).parse_all(component);
    let modules = payloads.filter(|payload| {
        matches!(payload, Ok(Payload::ModuleSection { unchecked_range, .. })
            if unchecked_range.len() > 8)
    });
    modules.count()
}

/// Handlers and commands of several compilers: of WASI 0.2 and 0.3, small and large, with adapters and linked
/// dynamically, some of which come as a core module. All but the fixup become one.
#[test]
fn components_become_one_module_and_a_fixup() {
    let expected = [
        ("rust-hello", 4, 2),
        ("rust-http", 4, 2),
        ("rust-wstd", 4, 2),
        ("rust-spin-5", 4, 2),
        ("rust-p3-echo", 4, 2),
        ("rust-command", 0, 2),
        ("c-http", 0, 2),
        ("c-command", 0, 2),
        ("zig-command", 0, 2),
        ("assemblyscript-command", 0, 2),
        ("js-componentize", 4, 2),
        ("python-http", 14, 2),
        ("python-spin-5", 14, 2),
    ];
    let fused = expected.map(|(guest, ..)| {
        let wasm = bytes(guest);
        let prepared = prepare_bytes(guest, wasm.clone()).unwrap();
        assert!(changed(&prepared), "{guest}");
        let valid = Validator::new_with_features(WasmFeatures::all()).validate_all(&prepared.wasm);
        valid.unwrap_or_else(|error| panic!("{guest}: {error}"));
        let counts = (guest, modules(&wasm), modules(&prepared.wasm));
        let again = prepare_bytes(guest, prepared.wasm).unwrap();
        assert!(!changed(&again), "{guest}: there is nothing left to do");
        counts
    });
    assert_eq!(fused, expected);
}

#[test]
fn memory_begins_as_it_did() {
    let before = bytes("rust-hello");
    let after = prepare_bytes("rust-hello", before.clone()).unwrap().wasm;
    let data = |wasm: &[u8]| -> Vec<(i32, Vec<u8>)> {
        let mut found = Vec::new();
        for payload in Parser::new(0).parse_all(wasm) {
            let Ok(Payload::DataSection(segments)) = payload else { continue };
            for segment in segments {
                let segment = segment.unwrap();
                let DataKind::Active { offset_expr, .. } = segment.kind else { continue };
                let mut operators = offset_expr.get_operators_reader();
                let Operator::I32Const { value } = operators.read().unwrap() else {
                    panic!("an offset that is no constant")
                };
                found.push((value, segment.data.to_vec()));
            }
        }
        found
    };
    assert!(!data(&before).is_empty());
    assert_eq!(data(&before), data(&after));
}
