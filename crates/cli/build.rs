//! Tells the program which Wasmtime it was built with, which no crate of Wasmtime's does.

use std::{env, fs};

fn main() {
    // Where it runs, which is not where it was compiled if a target folder is shared.
    let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let lock = format!("{folder}/../../Cargo.lock");
    println!("cargo::rerun-if-changed={lock}");
    let lock = fs::read_to_string(lock).unwrap_or_default();
    let version = lock
        .split_once("name = \"wasmtime\"\nversion = \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("unknown", |(version, _)| version);
    println!("cargo::rustc-env=DAYFLY_WASMTIME_VERSION={version}");
}
