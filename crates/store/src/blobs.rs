//! Blobs: files by their digests. One gets its name when it is whole, right, and on the disk; who has
//! sent it is a record, so that nobody has what others sent by knowing what it is called.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use dayfly_model::platform::{BlobDigest, TenantId};
use rusqlite::params;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::tenants::tenant;
use crate::{Result, Store, StoreError, now_ms};

/// The largest blob, in bytes: more is no part of a package.
pub const MAX_BLOB_BYTES: u64 = 512 << 20;

/// A blob that is being sent.
pub struct Incoming {
    file: NamedTempFile,
    hasher: Sha256,
    bytes: u64,
    room: BlobRoom,
    expected: BlobDigest,
    owner: TenantId,
}

/// How long a tenant's blob may be.
#[derive(Clone, Copy)]
struct BlobRoom {
    package_bytes: u64,
    storage_bytes: u64,
    /// Of those.
    used_bytes: u64,
}

impl BlobRoom {
    /// Refuses one of so many bytes, by the bound that it is beyond.
    fn fits(self, bytes: u64) -> Result<()> {
        let Self { package_bytes, storage_bytes, used_bytes } = self;
        let needed = used_bytes.saturating_add(bytes);
        if bytes > MAX_BLOB_BYTES {
            Err(StoreError::TooLarge { limit_bytes: MAX_BLOB_BYTES })
        } else if bytes > package_bytes {
            let limit = package_bytes;
            Err(StoreError::Quota { quota: "package_bytes", limit, needed: bytes })
        } else if needed > storage_bytes {
            Err(StoreError::Quota { quota: "storage_bytes", limit: storage_bytes, needed })
        } else {
            Ok(())
        }
    }
}

impl Store {
    /// Begins to take a blob of a tenant's.
    ///
    /// # Errors
    /// If there is no such tenant, its quota is used up, or the store fails.
    pub fn take_blob(&self, owner: &TenantId, digest: &BlobDigest) -> Result<Incoming> {
        let found = self.tenant(owner)?;
        let room = BlobRoom {
            package_bytes: found.quotas.package_bytes,
            storage_bytes: found.quotas.storage_bytes,
            used_bytes: found.storage_bytes,
        };
        room.fits(1)?;
        let folder = self.incoming();
        let file = NamedTempFile::new_in(&folder).map_err(StoreError::io(&folder))?;
        Ok(Incoming {
            file,
            hasher: Sha256::new(),
            bytes: 0,
            room,
            expected: digest.clone(),
            owner: owner.clone(),
        })
    }

    /// Keeps a blob that has come whole.
    ///
    /// # Errors
    /// If it is something else than was said, the tenant's quota is used up meanwhile, or the store
    /// fails.
    pub fn keep_blob(&self, blob: Incoming) -> Result<()> {
        let Incoming { file, hasher, bytes, expected, owner, .. } = blob;
        let actual = digest_so_far(hasher)?;
        if actual != expected {
            return Err(StoreError::Digest { expected, actual });
        }
        file.as_file().sync_all().map_err(StoreError::io(file.path()))?;
        let place = self.blob_path(&expected);
        self.write(|db| {
            let owner = tenant(db, &owner)?;
            db.execute(
                "INSERT INTO blobs VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET touched_ms = excluded.touched_ms",
                params![owner.id, expected.as_str(), bytes, now_ms()],
            )?;
            let needed = tenant(db, &owner.name)?.storage_bytes;
            let limit = owner.quotas.storage_bytes;
            if needed > limit {
                return Err(StoreError::Quota { quota: "storage_bytes", limit, needed });
            }
            // Within the transaction: what is refused takes no room, and nothing is collected between
            // its coming and its record. Also where it is there already, which may be about to go.
            file.persist(&place).map_err(|error| StoreError::io(&place)(error.error))?;
            sync(&self.folder().join("blobs/sha256"))
        })
    }

    /// Where a blob's file is, or would be.
    pub(crate) fn blob_path(&self, digest: &BlobDigest) -> PathBuf {
        self.folder().join("blobs/sha256").join(digest.digits())
    }

    /// The folder for what is on its way.
    #[must_use]
    pub fn incoming(&self) -> PathBuf {
        self.folder().join("incoming")
    }
}

impl Incoming {
    /// Takes a piece of it.
    ///
    /// # Errors
    /// If it becomes too long, or longer than the tenant's quotas allow, or cannot be written.
    pub fn write(&mut self, piece: &[u8]) -> Result<()> {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        self.room.fits(self.bytes)?;
        self.hasher.update(piece);
        self.file.write_all(piece).map_err(StoreError::io(self.file.path()))
    }

    /// Refuses it if it will be too long.
    ///
    /// # Errors
    /// If it will.
    pub fn fits(&self, bytes: u64) -> Result<()> {
        self.room.fits(bytes)
    }
}

/// Has the names in a folder be on the disk.
pub(crate) fn sync(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|it| it.sync_all()).map_err(StoreError::io(folder))
}

/// The digest of a file.
pub(crate) fn digest_of_file(path: &Path) -> Result<BlobDigest> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path).map_err(StoreError::io(path))?;
    std::io::copy(&mut file, &mut hasher).map_err(StoreError::io(path))?;
    digest_so_far(hasher)
}

/// The digest of bytes: `sha256:` and 64 hexadecimal digits.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> String {
    text_of(Sha256::new_with_prefix(bytes))
}

fn digest_so_far(hasher: Sha256) -> Result<BlobDigest> {
    text_of(hasher).parse().map_err(StoreError::record)
}

fn text_of(hasher: Sha256) -> String {
    let digits = hasher.finalize();
    let digits: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// The files of a folder with their names.
pub(crate) fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries = fs::read_dir(folder).map_err(StoreError::io(folder))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StoreError::io(folder))?;
        if let Some(name) = entry.file_name().to_str() {
            found.push((name.to_owned(), entry.path()));
        }
    }
    Ok(found)
}
