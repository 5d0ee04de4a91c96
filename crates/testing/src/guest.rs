//! Guests: the programs under `guests/`, built by `cargo xtask guests`.

use std::path::PathBuf;

use crate::tree::workspace;

/// The built guests.
pub struct Guest;

impl Guest {
    /// The file of the guest called `name`.
    ///
    /// # Panics
    /// If it was not built.
    pub fn path(name: &str) -> PathBuf {
        let path = workspace().join("target/guests").join(name).with_extension("wasm");
        assert!(path.is_file(), "guest `{name}` is not built: run `cargo xtask guests`");
        path
    }

    /// The bytes of the guest called `name`.
    ///
    /// # Panics
    /// If it was not built or cannot be read.
    pub fn bytes(name: &str) -> Vec<u8> {
        std::fs::read(Self::path(name)).expect("a guest that is there can be read")
    }
}
