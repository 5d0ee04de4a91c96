//! What the forge makes, and this program makes the same each time, kept beside the artifacts. It is
//! verified as they are; another program makes its own.

use std::sync::LazyLock;

use super::{ArtifactCache, ArtifactKey};
use crate::{Digest, Stamp};

/// This program, as far as its file tells it from others.
static PROGRAM: LazyLock<Option<Stamp>> =
    LazyLock::new(|| Some(Stamp::of(&std::fs::metadata("/proc/self/exe").ok()?)));

impl ArtifactCache {
    /// What was made before under a name, which all stands behind that decides what is made.
    pub fn made(&self, name: &Digest) -> Option<Vec<u8>> {
        let key = key(name)?;
        let file = self.get(&key)?;
        self.image(&file, &key)
    }

    /// Keeps what was made, as well as it can.
    pub fn keep_made(&self, name: &Digest, bytes: &[u8]) {
        if let Some(key) = key(name) {
            self.put(&key, bytes);
        }
    }
}

fn key(name: &Digest) -> Option<ArtifactKey> {
    Some(ArtifactKey::of_made(*name, &PROGRAM.as_ref()?.to_bytes()))
}
