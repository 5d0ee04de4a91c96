//! Whatever a server of MySQL's protocol sends is read or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|sent: &[u8]| dayfly_capabilities::fuzz::mysql(sent));
