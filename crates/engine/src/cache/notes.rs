//! What processes of one user note for those that follow: small files beside the artifacts.
//!
//! A note is valid for as long as the machine runs and for the same program: a crash of the machine
//! may have lost what a note is about though not the note, and another program may make something
//! else of the same source. It carries a MAC, as artifacts do. What is wrong with a note makes it
//! one that is not there.
//!
//! ```text
//! <cache_dir>/artifacts-1/notes/<name>     the text, then the BLAKE3 keyed hash of name and text
//! ```

use std::fs::{self as std_fs, File};
use std::io::{self, Read as _, Write as _};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{folder, key, name, write};
use crate::{Digest, Stamp};

/// The longest text of a note, in bytes.
const MAX_BYTES: usize = 256;
const MAC_BYTES: usize = 32;
/// When there are more, all of them go: they are soon written again.
const MAX_NOTES: usize = 1 << 16;

/// The notes in a cache's folder.
pub(super) struct Notes {
    folder: OwnedFd,
    key: [u8; 32],
}

impl Notes {
    /// `None` where notes cannot be kept, or not be told from those of another start of the machine.
    pub(super) fn open(cache: &OwnedFd, mac_key: &key::MacKey) -> Option<Notes> {
        let folder = folder::open_notes(cache).ok()?;
        let program = Stamp::of(&std_fs::metadata("/proc/self/exe").ok()?);
        let boot = std_fs::read("/proc/sys/kernel/random/boot_id").ok()?;
        let mut hasher = blake3::Hasher::new_keyed(mac_key.as_bytes());
        hasher.update(b"dayfly 1 notes").update(&program.to_bytes()).update(&boot);
        Some(Notes { folder, key: *hasher.finalize().as_bytes() })
    }

    /// The text of this name.
    pub(super) fn read(&self, name: &Digest) -> Option<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = fs::openat(&self.folder, name.to_string(), flags, Mode::empty()).ok()?;
        let mut text = Vec::with_capacity(MAX_BYTES + MAC_BYTES + 1);
        File::from(file).take(text.capacity() as u64).read_to_end(&mut text).ok()?;
        let mac: [u8; MAC_BYTES] =
            text.split_off(text.len().checked_sub(MAC_BYTES)?).try_into().ok()?;
        // `blake3::Hash` compares in constant time.
        (self.mac(name, &text) == mac).then_some(text)
    }

    /// Notes a text of at most [`MAX_BYTES`], in place of what the name stood for.
    pub(super) fn write(&self, cache: impl AsFd, name: &Digest, text: &[u8]) -> io::Result<()> {
        if text.len() > MAX_BYTES {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let tmp = folder::open_tmp(cache)?;
        let (tmp_name, mut file) = write::create(&tmp)?;
        let written = file
            .write_all(&[text, self.mac(name, text).as_bytes()].concat())
            .and_then(|()| Ok(fs::renameat(&tmp, &*tmp_name, &self.folder, name.to_string())?));
        if written.is_err() {
            let _ = fs::unlinkat(&tmp, &*tmp_name, AtFlags::empty());
        }
        written
    }

    fn mac(&self, name: &Digest, text: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(name.as_bytes()).update(text).finalize()
    }

    /// Removes all notes if there are too many.
    pub(super) fn make_room(&self) {
        let entries = || fs::Dir::read_from(&self.folder).into_iter().flatten().flatten();
        if entries().count() > MAX_NOTES {
            for entry in entries().filter(|it| name::is_artifact(it.file_name().to_bytes())) {
                let _: Result<(), Errno> =
                    fs::unlinkat(&self.folder, entry.file_name(), AtFlags::empty());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{ArtifactCache, Digest};

    const TEXT: &[u8] = b"what is known";

    fn open(folder: &Path) -> ArtifactCache {
        ArtifactCache::open(folder, 1 << 20).unwrap()
    }

    #[test]
    fn a_note_is_found_by_its_name_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (name, other) = (Digest::of(b"name"), Digest::of(b"other"));
        open(folder.path()).keep_note(&name, TEXT);
        assert_eq!(open(folder.path()).note(&name).as_deref(), Some(TEXT));
        assert_eq!(open(folder.path()).note(&other), None);
        let place = |name: &Digest| folder.path().join("artifacts-1/notes").join(name.to_string());
        std::fs::copy(place(&name), place(&other)).unwrap();
        assert_eq!(
            open(folder.path()).note(&other),
            None,
            "the name is a part of what is authenticated"
        );
    }

    #[test]
    fn whatever_is_wrong_with_a_note_makes_it_none() {
        let folder = tempfile::tempdir().unwrap();
        let name = Digest::of(b"name");
        open(folder.path()).keep_note(&name, TEXT);
        let place = folder.path().join("artifacts-1/notes").join(name.to_string());
        let good = std::fs::read(&place).unwrap();
        let mut bad: Vec<Vec<u8>> = (0..good.len()).map(|len| good[..len].to_vec()).collect();
        bad.extend((0..good.len()).map(|at| {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            bytes
        }));
        bad.push([&good[..], b"."].concat());
        bad.push([good.as_slice(); 100].concat());
        for bytes in bad {
            std::fs::write(&place, &bytes).unwrap();
            assert_eq!(open(folder.path()).note(&name), None, "{bytes:?}");
        }
        std::fs::remove_file(&place).unwrap();
        std::os::unix::fs::symlink("/proc/self/exe", &place).unwrap();
        assert_eq!(open(folder.path()).note(&name), None);
        open(folder.path()).keep_note(&name, TEXT);
        assert_eq!(open(folder.path()).note(&name).as_deref(), Some(TEXT));
    }

    #[test]
    fn another_users_note_is_none() {
        let (own, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = Digest::of(b"name");
        open(own.path());
        open(others.path()).keep_note(&name, TEXT);
        let place = |folder: &Path| folder.join("artifacts-1/notes").join(name.to_string());
        std::fs::copy(place(others.path()), place(own.path())).unwrap();
        assert_eq!(open(own.path()).note(&name), None);
    }

    #[test]
    fn a_note_is_short() {
        let folder = tempfile::tempdir().unwrap();
        let name = Digest::of(b"name");
        open(folder.path()).keep_note(&name, &[1; 257]);
        assert_eq!(open(folder.path()).note(&name), None);
        open(folder.path()).keep_note(&name, &[1; 256]);
        assert_eq!(open(folder.path()).note(&name).as_deref(), Some(&[1; 256][..]));
    }
}
