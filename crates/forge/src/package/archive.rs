//! Compressed layers: several files as an archive, and WebAssembly. What is written depends on the
//! content alone; what is read is hostile, and bounded while it is unpacked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use tar::{Archive, Builder, Entry, EntryType, Header};
use tempfile::NamedTempFile;

use super::{Budget, MAX_PACKAGE_BYTES, PackageError};
use crate::fetch::hasher_digest;
use crate::resolve::MAX_SOURCE_BYTES;

/// The longest path, and the longest record of its attributes.
const MAX_RECORD_BYTES: u64 = 64 << 10;

const PIECE_BYTES: usize = 64 << 10;

/// Compresses WebAssembly.
pub(super) fn compressed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// An archive of files, by the path that each has in it.
pub(super) fn of(files: &BTreeMap<String, PathBuf>) -> Result<Vec<u8>, PackageError> {
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (path, file) in files {
        append(&mut builder, path, file).map_err(PackageError::io(file))?;
    }
    let end = || builder.into_inner()?.finish();
    end().map_err(PackageError::io(Path::new("an archive")))
}

fn append(builder: &mut Builder<impl Write>, path: &str, file: &Path) -> io::Result<()> {
    let file = File::open(file)?;
    let bytes = file.metadata()?.len();
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(bytes);
    builder.append_data(&mut header, path, file.take(bytes))
}

/// Unpacks WebAssembly into a folder; gives its digest, by which its file is called.
pub(super) fn decompress(
    layer: &Path,
    digest: &str,
    folder: &Path,
    budget: &mut Budget,
) -> Result<String, PackageError> {
    let file = File::open(layer).map_err(PackageError::io(layer))?;
    keep(GzDecoder::new(file), digest, folder, budget)
}

/// Unpacks an archive into a folder; gives the digests of its files, by which they are called.
pub(super) fn unpack(
    layer: &Path,
    digest: &str,
    folder: &Path,
    budget: &mut Budget,
) -> Result<Vec<String>, PackageError> {
    let file = File::open(layer).map_err(PackageError::io(layer))?;
    let broken = |error: io::Error| broken(digest, &error);
    let mut archive = Archive::new(GzDecoder::new(file).take(MAX_PACKAGE_BYTES));
    let mut found = Vec::new();
    // Of long names and other attributes, only their length is of interest: a file goes by its
    // digest. So nothing reads them into memory.
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let entry = entry.map_err(broken)?;
        match entry.header().entry_type() {
            EntryType::Regular => {
                inside(&entry, digest)?;
                found.push(keep(entry, digest, folder, budget)?);
            }
            EntryType::Directory => {
                inside(&entry, digest)?;
                budget.take(0)?;
            }
            EntryType::GNULongName | EntryType::XHeader | EntryType::XGlobalHeader
                if entry.size() <= MAX_RECORD_BYTES =>
            {
                budget.take(0)?;
            }
            _ => {
                let path = entry.path_bytes();
                let problem = format!(
                    "is an archive in which `{}` is neither a file nor a folder",
                    String::from_utf8_lossy(&path)
                );
                return Err(PackageError::Layer { digest: digest.to_owned(), problem });
            }
        }
    }
    Ok(found)
}

/// Whether an entry would lie below the folder that the archive is unpacked in.
fn inside(entry: &Entry<'_, impl Read>, digest: &str) -> Result<(), PackageError> {
    let path = entry.path().map_err(|error| broken(digest, &error))?;
    let is_below = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    match path.components().all(is_below) {
        true => Ok(()),
        false => Err(PackageError::Escapes(path.display().to_string())),
    }
}

/// Writes what can be read into a file of the folder that is called by its digest.
pub(super) fn keep(
    mut content: impl Read,
    layer: &str,
    folder: &Path,
    budget: &mut Budget,
) -> Result<String, PackageError> {
    let mut file = NamedTempFile::new_in(folder).map_err(PackageError::io(folder))?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes = 0;
    loop {
        let count = content.read(&mut piece).map_err(|error| broken(layer, &error))?;
        if count == 0 {
            break;
        }
        bytes += count as u64;
        if bytes > budget.bytes.min(MAX_SOURCE_BYTES) {
            break;
        }
        hasher.update(&piece[..count]);
        file.write_all(&piece[..count]).map_err(PackageError::io(folder))?;
    }
    budget.take(bytes)?;
    let digest = hasher_digest(hasher);
    let path = folder.join(&digest);
    file.persist(&path).map_err(|error| PackageError::io(&path)(error.error))?;
    Ok(digest)
}

fn broken(digest: &str, error: &io::Error) -> PackageError {
    PackageError::Layer {
        digest: digest.to_owned(),
        problem: format!("cannot be unpacked: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::digest_of;

    /// An archive of these entries, and the folder to unpack it in.
    fn unpacked(entries: &[(EntryType, &str, &[u8])]) -> Result<Vec<String>, PackageError> {
        let folder = tempfile::tempdir().unwrap();
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (kind, path, bytes) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_size(bytes.len() as u64);
            // As no library would write it.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        let layer = folder.path().join("layer");
        std::fs::write(&layer, builder.into_inner().unwrap().finish().unwrap()).unwrap();
        let mut budget = Budget { bytes: 1 << 20, files: 4 };
        unpack(&layer, "digest", folder.path(), &mut budget)
    }

    #[test]
    fn files_go_by_their_digest() {
        let found = unpacked(&[
            (EntryType::Directory, "./a/", b""),
            (EntryType::Regular, "./a/b", b"one"),
            (EntryType::Regular, "c", b"two"),
        ]);
        assert_eq!(found.unwrap(), [digest_of(b"one"), digest_of(b"two")]);
    }

    #[test]
    fn what_is_hostile_is_refused() {
        let said = |entries| unpacked(entries).unwrap_err().to_string();
        assert!(said(&[(EntryType::Regular, "../a", b"x")]).contains("lie elsewhere"));
        assert!(said(&[(EntryType::Regular, "/etc/a", b"x")]).contains("lie elsewhere"));
        assert!(said(&[(EntryType::Symlink, "a", b"")]).contains("`a` is neither a file"));
        assert!(said(&[(EntryType::Link, "a", b"")]).contains("neither a file"));
        assert!(said(&[(EntryType::Char, "a", b"")]).contains("neither a file"));
        assert!(said(&[(EntryType::GNULongName, "a", &[b'a'; 70_000])]).contains("neither a file"));
        assert!(said(&[(EntryType::Regular, "a", &[0; 2 << 20])]).contains("GiB in all"));
        let many = [(EntryType::Regular, "a", b"".as_slice()); 5];
        assert!(said(&many).contains("files"));
    }

    #[test]
    fn an_archive_depends_on_its_content_alone() {
        let folder = tempfile::tempdir().unwrap();
        let long = "a/".repeat(90) + "b";
        let files = BTreeMap::from([(long, folder.path().join("file"))]);
        std::fs::write(folder.path().join("file"), "content").unwrap();
        let first = of(&files).unwrap();
        std::fs::write(folder.path().join("file"), "content").unwrap();
        assert_eq!(of(&files).unwrap(), first);
        let layer = folder.path().join("layer");
        std::fs::write(&layer, first).unwrap();
        let found = unpack(&layer, "digest", folder.path(), &mut Budget::new()).unwrap();
        assert_eq!(found, [digest_of(b"content")]);
        let sparse = vec![0; 1 << 20];
        std::fs::write(&layer, compressed(&sparse).unwrap()).unwrap();
        let mut budget = Budget { bytes: 1 << 20, files: 1 };
        let digest = decompress(&layer, "digest", folder.path(), &mut budget).unwrap();
        assert_eq!(digest, digest_of(&sparse));
        let mut budget = Budget { bytes: (1 << 20) - 1, files: 1 };
        assert!(decompress(&layer, "digest", folder.path(), &mut budget).is_err());
    }
}
