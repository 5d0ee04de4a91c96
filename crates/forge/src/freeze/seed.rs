//! What the randomness of an initialiser is drawn from: what goes into the frozen component. So the same
//! input gives the same image, and who does not know the input does not know the seeds of its hash
//! tables, which all its instances have.

use std::fs::{self, DirEntry};
use std::path::Path;

use blake3::{Hash, Hasher};

use super::FreezeTerms;
use super::files::is_hidden;

/// So many files and folders count; what comes after them does not.
const ENTRIES: usize = 10_000;

/// So many bytes of files count in all; of what comes after them only the length.
const BYTES: u64 = 64 << 20;

/// The digest of a component and of the files that its initialiser may read, and whether that is all that
/// it sees. What cannot be read does not count.
pub(crate) fn of(wasm: &[u8], terms: &FreezeTerms) -> (Hash, IsWhole) {
    let hasher = Hasher::new_derive_key("dayfly 2 seed");
    let mut seed = Seed { hasher, entries: ENTRIES, bytes: BYTES, is_whole: true };
    seed.text(terms.initialiser.as_deref().unwrap_or_default().as_bytes());
    seed.text(wasm);
    for folder in &terms.folders {
        seed.text(folder.guest.as_bytes());
        seed.folder(&folder.host);
    }
    (seed.hasher.finalize(), seed.is_whole)
}

/// Whether two of the same seed see the same.
pub(crate) type IsWhole = bool;

struct Seed {
    hasher: Hasher,
    entries: usize,
    bytes: u64,
    is_whole: IsWhole,
}

impl Seed {
    fn text(&mut self, bytes: &[u8]) {
        self.hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }

    fn folder(&mut self, path: &Path) {
        let mut entries: Vec<DirEntry> =
            fs::read_dir(path).into_iter().flatten().flatten().collect();
        entries.retain(|entry| !is_hidden(entry.file_name().as_encoded_bytes()));
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            if self.entries == 0 {
                self.is_whole = false;
                return;
            }
            self.entries -= 1;
            self.text(entry.file_name().as_encoded_bytes());
            // Links are not followed: they may lead in a circle.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.folder(&entry.path()),
                Ok(kind) if kind.is_file() => self.file(&entry),
                _ => self.is_whole = false,
            }
        }
        // The end of the folder.
        self.text(&[]);
    }

    fn file(&mut self, entry: &DirEntry) {
        let length = entry.metadata().map_or(0, |found| found.len());
        if length > self.bytes {
            self.hasher.update(&length.to_le_bytes());
            self.is_whole = false;
            return;
        }
        self.bytes -= length;
        let read = fs::read(entry.path());
        self.is_whole &= read.is_ok();
        self.text(&read.unwrap_or_default());
    }
}
