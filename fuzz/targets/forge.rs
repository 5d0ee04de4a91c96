//! Bytes that somebody uploads become a component, or an error that says what they are instead; and
//! what was valid stays so; whatever they are, they can be weighed.
#![no_main]

use dayfly_forge::Phase;
use libfuzzer_sys::fuzz_target;
use wasmparser::{Validator, WasmFeatures};

fn is_valid(wasm: &[u8]) -> bool {
    Validator::new_with_features(WasmFeatures::all()).validate_all(wasm).is_ok()
}

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = dayfly_engine::Weight::of(bytes) {
        assert!(error.to_string().contains("too long"));
    }
    match dayfly_forge::prepare_bytes("fuzzed", bytes.to_vec()) {
        Ok(prepared) => {
            let changed = |phase| prepared.phases.iter().any(|it| it.phase == phase && it.changed);
            if changed(Phase::Fuse) && !changed(Phase::Componentise) {
                assert!(is_valid(bytes), "an invalid component was mended");
                assert!(is_valid(&prepared.wasm), "a valid component was broken");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
