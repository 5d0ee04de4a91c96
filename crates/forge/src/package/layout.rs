//! A package as one file: an OCI image layout in a tar archive, which other tools call an
//! `oci-archive`. What is written depends on the package alone; what is read is hostile.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};
use tar::{Archive, Builder, EntryType, Header};
use tempfile::NamedTempFile;

use super::{Budget, PackageError, archive, pull};
use crate::fetch::{FetchConfig, MANIFEST, digest_of, is_digest};

const VERSION_FILE: &str = "oci-layout";
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs/sha256/";

/// The longest index and the longest manifest.
const MAX_TEXT_BYTES: u64 = 4 << 20;

/// What was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// The digest of the package's manifest: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// How many blobs it has.
    pub blobs: usize,
    /// How many bytes those have.
    pub bytes: u64,
}

/// Whether a file is such an archive by its name.
#[must_use]
pub fn is_archive(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "tar")
}

/// Writes a package into a file, which is there whole or not at all.
///
/// # Errors
/// If a file of the app cannot be read, or this one not be written.
pub fn write(package: &super::Package, file: &Path) -> Result<Written, PackageError> {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = || PackageError::io(file);
    let temporary = NamedTempFile::new_in(folder).map_err(failed())?;
    let digits = digest_of(&package.manifest);
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": MANIFEST,
            "digest": format!("sha256:{digits}"),
            "size": package.manifest.len(),
        }],
    });
    let mut builder = Builder::new(io::BufWriter::new(temporary.as_file()));
    let version = json!({ "imageLayoutVersion": "1.0.0" }).to_string();
    append(&mut builder, VERSION_FILE, version.as_bytes()).map_err(failed())?;
    append(&mut builder, INDEX, index.to_string().as_bytes()).map_err(failed())?;
    append(&mut builder, &format!("{BLOBS}{digits}"), &package.manifest).map_err(failed())?;
    for blob in package.blobs() {
        let digits = blob.digest().trim_start_matches("sha256:");
        append(&mut builder, &format!("{BLOBS}{digits}"), &blob.read()?).map_err(failed())?;
    }
    builder.into_inner().and_then(|mut written| written.flush()).map_err(failed())?;
    temporary.as_file().sync_all().map_err(failed())?;
    temporary.persist(file).map_err(|error| failed()(error.error))?;
    Ok(Written {
        digest: format!("sha256:{digits}"),
        blobs: package.blobs().count(),
        bytes: package.blobs().map(|blob| blob.bytes()).sum(),
    })
}

fn append(builder: &mut Builder<impl Write>, path: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(bytes.len() as u64);
    builder.append_data(&mut header, path, bytes)
}

/// Lays out the app of such a file in the folder that keeps what was fetched, where it may be already.
/// Gives the app's folder.
///
/// # Errors
/// If the file cannot be read, is no such archive, or holds no app.
pub fn open(file: &Path, config: &FetchConfig) -> Result<PathBuf, PackageError> {
    let apps = config.folder.join("apps");
    fs::create_dir_all(&apps).map_err(PackageError::io(&apps))?;
    let scratch = tempfile::Builder::new().prefix(pull::STAGING).tempdir_in(&apps);
    let scratch = scratch.map_err(PackageError::io(&apps))?;
    let blobs = Blobs::read(file, scratch.path())?;
    let place = apps.join(&blobs.package);
    if place.is_dir() {
        return Ok(place);
    }
    let find = |digits: &str| Some(scratch.path().join(digits)).filter(|path| path.is_file());
    let manifest = find(&blobs.package);
    let manifest = manifest.ok_or_else(|| {
        let digest = format!("sha256:{}", blobs.package);
        PackageError::Missing { digest }
    })?;
    let manifest = text(File::open(&manifest).map_err(PackageError::io(&manifest))?, "manifest")?;
    let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or("app");
    pull::unpack(&manifest, name, find, &place, u64::MAX)?;
    Ok(place)
}

/// The blobs of an archive, each in a file of the folder called by its digits.
struct Blobs {
    /// The digits of the one package that the archive has.
    package: String,
}

impl Blobs {
    fn read(file: &Path, folder: &Path) -> Result<Self, PackageError> {
        let opened = File::open(file).map_err(PackageError::io(file))?;
        let no_archive = |error: io::Error| match error.raw_os_error() {
            Some(_) => PackageError::io(file)(error),
            None => PackageError::NoApp(format!("it is no archive that can be read: {error}")),
        };
        let mut archive = Archive::new(io::BufReader::new(opened));
        let (mut index, mut budget) = (None, Budget::new());
        // Only paths that are short have a meaning here, so long ones need not be read.
        for entry in archive.entries().map_err(no_archive)?.raw(true) {
            let entry = entry.map_err(no_archive)?;
            if entry.header().entry_type() != EntryType::Regular {
                budget.take(0)?;
                continue;
            }
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let path = path.strip_prefix("./").unwrap_or(&path);
            if path == INDEX {
                index = Some(text(entry, "index")?);
            } else if let Some(digits) = path.strip_prefix(BLOBS).filter(|it| is_digest(it)) {
                let found = archive::keep(entry, digits, folder, &mut budget)?;
                if found != digits {
                    let problem = format!("is `sha256:{found}`");
                    return Err(PackageError::Layer { digest: digits.to_owned(), problem });
                }
            } else {
                budget.take(0)?;
            }
        }
        let index = index.ok_or_else(|| PackageError::NoApp(format!("it has no `{INDEX}`")))?;
        Ok(Self { package: only_package(&index)? })
    }
}

/// The digits of the one manifest that an index lists.
fn only_package(index: &[u8]) -> Result<String, PackageError> {
    let no_app = |what: String| PackageError::NoApp(what);
    let index: Value = serde_json::from_slice(index)
        .map_err(|error| no_app(format!("its index cannot be understood: {error}")))?;
    let manifests = index["manifests"].as_array().map_or(&[][..], Vec::as_slice);
    let [manifest] = manifests else {
        return Err(no_app(format!("its index lists {} packages instead of one", manifests.len())));
    };
    let digest = manifest["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
    let digits = digest.filter(|digits| is_digest(digits)).map(str::to_owned);
    digits.ok_or_else(|| no_app("its index names no SHA-256 digest".to_owned()))
}

fn text(content: impl Read, what: &str) -> Result<Bytes, PackageError> {
    let mut bytes = Vec::new();
    let read = content.take(MAX_TEXT_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| PackageError::NoApp(format!("its {what} cannot be read: {error}")))?;
    match bytes.len() as u64 > MAX_TEXT_BYTES {
        true => Err(PackageError::NoApp(format!("its {what} is too long"))),
        false => Ok(bytes.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::PATIENCE;

    /// What reading an archive of these entries comes to.
    fn opened(entries: &[(EntryType, &str, &[u8])]) -> Result<PathBuf, PackageError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app.tar");
        let mut builder = Builder::new(File::create(&file).unwrap());
        for (kind, path, bytes) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_size(bytes.len() as u64);
            // As no library would write it.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        builder.into_inner().unwrap();
        let config = FetchConfig {
            folder: folder.path().join("kept"),
            patience: PATIENCE,
            registries: Default::default(),
            credentials: None,
        };
        let opened = open(&file, &config);
        let left = fs::read_dir(folder.path().join("kept/apps")).unwrap();
        assert_eq!(left.count(), 0, "nothing is left");
        opened
    }

    fn said(entries: &[(EntryType, &str, &[u8])]) -> String {
        opened(entries).unwrap_err().to_string()
    }

    fn index(digests: &[&str]) -> Vec<u8> {
        let manifests: Vec<_> = digests.iter().map(|it| json!({ "digest": it })).collect();
        json!({ "manifests": manifests }).to_string().into_bytes()
    }

    #[test]
    fn what_is_no_package_is_refused() {
        let (digest, digits) = (format!("sha256:{}", digest_of(b"{}")), digest_of(b"{}"));
        let path = format!("{BLOBS}{digits}");
        assert!(said(&[]).contains("has no `index.json`"));
        assert!(said(&[(EntryType::Regular, INDEX, b"[")]).contains("cannot be understood"));
        let two = index(&[&digest, &digest]);
        assert!(said(&[(EntryType::Regular, INDEX, &two)]).contains("lists 2 packages"));
        let odd = index(&["sha256:../../x"]);
        assert!(said(&[(EntryType::Regular, INDEX, &odd)]).contains("no SHA-256 digest"));
        let one = index(&[&digest]);
        assert!(said(&[(EntryType::Regular, INDEX, &one)]).contains("none of its layers has"));
        let wrong = [(EntryType::Regular, INDEX, &*one), (EntryType::Regular, &path, b"other")];
        assert!(said(&wrong).contains("is `sha256:"));
        let empty = [(EntryType::Regular, INDEX, &*one), (EntryType::Regular, &path, b"{}")];
        assert!(said(&empty).contains("holds no app"));
        let long = vec![b' '; MAX_TEXT_BYTES as usize + 1];
        assert!(said(&[(EntryType::Regular, INDEX, &long)]).contains("too long"));
    }

    #[test]
    fn links_and_paths_that_lead_elsewhere_are_nothing() {
        let digits = digest_of(b"{}");
        let path = format!("{BLOBS}{digits}");
        let elsewhere = format!("../{BLOBS}{digits}");
        let one = index(&[&format!("sha256:{digits}")]);
        let entries = [
            (EntryType::Symlink, &*path, &b""[..]),
            (EntryType::Regular, &elsewhere, b"{}"),
            (EntryType::Regular, INDEX, &one),
        ];
        assert!(said(&entries).contains("none of its layers has"));
    }
}
