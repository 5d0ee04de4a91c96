//! The folder of what was fetched: files by their digest, and which digest a version of a package
//! has. A file gets its name when it is whole and its digest is right.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use semver::Version;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::client::FetchFailure;
use super::{Copy, leftovers};

/// How the name of a file begins that is being written.
const INCOMING: &str = ".incoming-";

pub(crate) struct Store {
    folder: PathBuf,
}

/// A file that is being written.
pub(crate) struct Incoming {
    file: NamedTempFile,
    hasher: Sha256,
    bytes: u64,
}

impl Store {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Where the file of that digest is, if it is here.
    pub(crate) fn path(&self, digest: &str) -> PathBuf {
        self.folder.join("sha256").join(digest)
    }

    /// The file of that digest.
    pub(crate) fn find(&self, digest: &str) -> Option<Copy> {
        let path = self.path(digest);
        path.is_file().then(|| Copy { path, digest: digest.to_owned() })
    }

    pub(crate) fn incoming(&self) -> Result<Incoming, FetchFailure> {
        let folder = self.folder.join("sha256");
        leftovers::sweep(&folder, INCOMING);
        let new = || NamedTempFile::with_prefix_in(INCOMING, &folder);
        let file = fs::create_dir_all(&folder).and_then(|()| new());
        let file = file.map_err(|source| FetchFailure::Keep { path: folder, source })?;
        Ok(Incoming { file, hasher: Sha256::new(), bytes: 0 })
    }

    /// The versions of a package that are here.
    pub(super) fn versions(&self, registry: &str, package: &str) -> Vec<Version> {
        let entries = fs::read_dir(self.package(registry, package));
        let names = entries.into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.filter_map(|name| Version::parse(name.to_str()?).ok()).collect()
    }

    /// The file of a version of a package.
    pub(super) fn find_version(
        &self,
        registry: &str,
        package: &str,
        version: &Version,
    ) -> Option<Copy> {
        let noted = fs::read_to_string(self.package(registry, package).join(version.to_string()));
        let digest = noted.ok()?;
        is_digest(&digest).then(|| self.find(&digest))?
    }

    /// Notes which digest a version of a package has.
    pub(super) fn note(
        &self,
        registry: &str,
        package: &str,
        version: &Version,
        digest: &str,
    ) -> Result<(), FetchFailure> {
        let folder = self.package(registry, package);
        let write = || -> io::Result<()> {
            fs::create_dir_all(&folder)?;
            let mut file = NamedTempFile::new_in(&folder)?;
            file.write_all(digest.as_bytes())?;
            file.persist(folder.join(version.to_string()))?;
            Ok(())
        };
        write().map_err(|source| FetchFailure::Keep { path: folder.clone(), source })
    }

    /// Packages have names of letters, digits, hyphens and a colon; a registry's name may have more.
    fn package(&self, registry: &str, package: &str) -> PathBuf {
        let plain = |text: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            text.replace(|c| !is_plain(c), "_").trim_start_matches('.').to_owned()
        };
        // A host has no underscore at its begin.
        let registry = if registry.is_empty() { "_default".to_owned() } else { plain(registry) };
        self.folder.join("packages").join(registry).join(plain(package))
    }
}

impl Incoming {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn write(&mut self, chunk: &[u8]) -> Result<(), FetchFailure> {
        self.hasher.update(chunk);
        self.bytes += chunk.len() as u64;
        self.file.write_all(chunk).map_err(|source| self.failed(source))
    }

    /// Gives the file its name, if it is what it has to be.
    pub(crate) fn finish(self, store: &Store, digest: &str) -> Result<Copy, FetchFailure> {
        let actual = hasher_digest(self.hasher.clone());
        if actual != digest {
            return Err(FetchFailure::Digest { expected: digest.to_owned(), actual });
        }
        let path = store.path(digest);
        let synced = self.file.as_file().sync_all();
        synced.map_err(|source| self.failed(source))?;
        let persisted = self.file.persist(&path);
        persisted
            .map_err(|error| FetchFailure::Keep { path: path.clone(), source: error.error })?;
        Ok(Copy { path, digest: digest.to_owned() })
    }

    fn failed(&self, source: io::Error) -> FetchFailure {
        FetchFailure::Keep { path: self.file.path().to_owned(), source }
    }
}

/// Whether a text is a SHA-256 digest in hexadecimal digits.
pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The SHA-256 digest of what was read, in hexadecimal digits.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The digest that a hasher has come to, in hexadecimal digits.
pub(crate) fn hasher_digest(hasher: Sha256) -> String {
    hexadecimal(&hasher.finalize())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
