//! Bytes that somebody uploads become a component, or an error that says what they are instead.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = dayfly_forge::prepare_bytes("fuzzed", bytes.to_vec()) {
        assert!(!error.to_string().is_empty());
    }
});
