//! Where things lie in the repository.

use std::path::{Path, PathBuf};

/// The root of the workspace.
///
/// # Panics
/// If the crate's folder has moved since it was built.
pub fn workspace() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).expect("the crate lies two folders deep").to_owned()
}

/// The artifact cache that the tests of this tree share, so that large guests compile once.
pub fn shared_cache() -> PathBuf {
    workspace().join("target/test-cache")
}
