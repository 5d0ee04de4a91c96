//! Bytes that somebody uploads become a component, or an error that says what they are instead; and
//! whatever they are, they can be weighed.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = dayfly_forge::prepare_bytes("fuzzed", bytes.to_vec()) {
        assert!(!error.to_string().is_empty());
    }
    if let Err(error) = dayfly_engine::Weight::of(bytes) {
        assert!(error.to_string().contains("too long"));
    }
});
