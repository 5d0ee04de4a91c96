//! Guests that real toolchains built; `cargo xtask guests` puts them into `target/guests`.

use std::path::PathBuf;

use dayfly_forge::{Phase, PhaseReport, Prepared};
use dayfly_model::{Executor, HandlerShape};

use crate::support::{assert_valid, forge_file, said};

fn folder() -> PathBuf {
    std::env::var_os("DAYFLY_GUESTS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/guests"),
        PathBuf::from,
    )
}

#[track_caller]
fn guest(name: &str) -> Prepared {
    let folder = folder();
    let file = format!("{name}.wasm");
    assert!(
        folder.join(&file).exists(),
        "guest `{name}` is missing in {}: run `cargo xtask guests`",
        folder.display()
    );
    forge_file(&folder, &file, &Executor::Detected)
        .unwrap_or_else(|error| panic!("{}", said(&error)))
}

#[test]
fn rust_commands_are_componentised() {
    let made = guest("rust-command");
    assert_valid(&made.wasm);
    assert_eq!(made.shape, HandlerShape::Command02);
}

#[test]
fn handlers_are_linked_otherwise_and_nothing_else() {
    for name in ["rust-hello", "rust-http", "js-componentize", "python-http"] {
        let made = guest(name);
        assert_eq!(made.shape, HandlerShape::Http02, "{name}");
        let touched = |report: &PhaseReport| report.changed && report.phase != Phase::Fuse;
        assert!(!made.phases.iter().any(touched), "{name} was changed");
    }
}
