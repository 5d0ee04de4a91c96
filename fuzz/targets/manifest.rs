//! A manifest is an app or a list of mistakes, each with its place and a message.
#![no_main]

use std::path::Path;

use dayfly_model::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for profile in [None, Some("debug")] {
        if let Err(errors) = Manifest::parse(text, "dayfly.toml", Path::new("/"), profile) {
            assert!(!errors.to_string().is_empty());
        }
    }
});
