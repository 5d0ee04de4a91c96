//! What an artifact is addressed by.

use std::fmt;
use std::hash::{Hash as _, Hasher};
use std::io;

use super::format;
use crate::config::CONFIG_REVISION;
use crate::{Digest, Flavour, Mode};

/// The address of an artifact: a digest of the component's bytes and of everything that decides
/// what code is made of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ArtifactKey([u8; 32]);

impl ArtifactKey {
    /// The address of a component's artifact by an engine with this fingerprint.
    pub(crate) fn new(component: Digest, engine: &[u8; 32]) -> ArtifactKey {
        let mut hasher = blake3::Hasher::new_derive_key("dayfly 1 artifact key");
        hasher.update(component.as_bytes()).update(engine);
        ArtifactKey(*hasher.finalize().as_bytes())
    }

    /// The address of the image of a component's memory, for an engine with this fingerprint.
    pub(crate) fn of_image(component: Digest, engine: &[u8; 32]) -> ArtifactKey {
        let mut hasher = blake3::Hasher::new_derive_key("dayfly 1 image key");
        hasher.update(component.as_bytes()).update(engine);
        ArtifactKey(*hasher.finalize().as_bytes())
    }

    /// The address of what a program made under a name.
    pub(super) fn of_made(name: Digest, program: &[u8]) -> ArtifactKey {
        let mut hasher = blake3::Hasher::new_derive_key("dayfly 1 made key");
        hasher.update(name.as_bytes()).update(program);
        ArtifactKey(*hasher.finalize().as_bytes())
    }

    /// The address of a record of this name.
    pub(super) fn of_record(name: Digest) -> ArtifactKey {
        let mut hasher = blake3::Hasher::new_derive_key("dayfly 1 record key");
        ArtifactKey(*hasher.update(name.as_bytes()).finalize().as_bytes())
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The name of its file.
    pub(super) fn file_name(&self) -> String {
        self.to_string()
    }
}

impl From<[u8; 32]> for ArtifactKey {
    fn from(bytes: [u8; 32]) -> ArtifactKey {
        ArtifactKey(bytes)
    }
}

impl fmt::Display for ArtifactKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Digest::from(self.0), f)
    }
}

/// Whether a file of this name is an artifact.
pub(super) fn is_artifact(name: &[u8]) -> bool {
    name.len() == 64 && name.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A name that no other file has.
pub(super) fn temporary() -> io::Result<String> {
    Ok(format!("{:032x}", u128::from_le_bytes(random()?)))
}

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(bytes)
}

/// A digest of everything but the component that decides what code is made: Wasmtime's version,
/// settings, target and CPU features, and what its own compatibility hash leaves out.
pub(crate) fn fingerprint(engine: &wasmtime::Engine, mode: Mode, flavour: Flavour) -> [u8; 32] {
    // The modes that compile with Cranelift for this machine make the same code, and share it.
    let compiler = match mode {
        Mode::Auto | Mode::Jit | Mode::Aot => "cranelift",
        Mode::Baseline => "winch",
        Mode::Interpreter => "pulley",
    };
    let mut hasher = Blake3(blake3::Hasher::new_derive_key("dayfly 1 engine fingerprint"));
    format::VERSION.hash(&mut hasher);
    CONFIG_REVISION.hash(&mut hasher);
    compiler.hash(&mut hasher);
    flavour.hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    *hasher.0.finalize().as_bytes()
}

/// Takes all that Wasmtime would put into a 64-bit hash.
struct Blake3(blake3::Hasher);

impl Hasher for Blake3 {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let hash = self.0.finalize();
        u64::from_le_bytes(std::array::from_fn(|i| hash.as_bytes()[i]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_component_and_engine() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let keys = [
            ArtifactKey::new(a, &[0; 32]),
            ArtifactKey::new(b, &[0; 32]),
            ArtifactKey::new(a, &[1; 32]),
        ];
        assert_eq!(keys[0], ArtifactKey::new(a, &[0; 32]));
        assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
        assert!(is_artifact(keys[0].file_name().as_bytes()));
        assert!(!is_artifact(b"key") && !is_artifact(b"tmp"));
        assert!(!is_artifact(temporary().unwrap().as_bytes()));
    }
}
