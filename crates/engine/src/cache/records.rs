//! Records: short texts that one process leaves for all others of the same user, for as long as there is
//! room. Unlike notes they outlive the machine's start, and unlike what was made they are for every
//! program; whoever names them decides what they depend on.

use super::{ArtifactCache, ArtifactKey};
use crate::Digest;

impl ArtifactCache {
    /// The record of this name, verified as an artifact is.
    pub fn record(&self, name: &Digest) -> Option<Vec<u8>> {
        let key = ArtifactKey::of_record(*name);
        let file = self.get(&key)?;
        self.image(&file, &key)
    }

    /// Keeps a record, in place of what the name stood for; whether it could be kept.
    pub fn keep_record(&self, name: &Digest, text: &[u8]) -> bool {
        self.put(&ArtifactKey::of_record(*name), text).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_there_for_others_until_its_file_or_its_folder_goes() {
        let folder = tempfile::tempdir().unwrap();
        let open = || ArtifactCache::open(folder.path(), 1 << 20).unwrap();
        let (cache, name) = (open(), Digest::of(b"name"));
        assert_eq!(cache.record(&name), None);
        assert!(cache.keep_record(&name, b"first") && cache.keep_record(&name, b"second"));
        assert_eq!(open().record(&name).as_deref(), Some(&b"second"[..]));
        assert_eq!(open().record(&Digest::of(b"other")), None);
        let file = folder.path().join("artifacts-1").join(ArtifactKey::of_record(name).to_string());
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[0] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(open().record(&name), None);
        assert!(cache.is_there());
        std::fs::remove_dir_all(folder.path().join("artifacts-1")).unwrap();
        assert!(!cache.is_there() && !cache.keep_record(&name, b"third"));
    }
}
