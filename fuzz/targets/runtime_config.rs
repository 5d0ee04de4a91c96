//! A runtime configuration is one, or a list of mistakes, each with its place and a message.
#![no_main]

use std::path::Path;

use dayfly_model::RuntimeConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(errors) = RuntimeConfig::parse(text, "runtime-config.toml", Path::new("/")) {
        assert!(!errors.to_string().is_empty());
    }
});
