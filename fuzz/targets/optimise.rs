//! Components are taken apart into their core modules and put together again: what is valid stays so.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| dayfly_forge::optimise::fuzz(bytes));
