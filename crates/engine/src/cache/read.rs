//! Finds an artifact and verifies it, unless it was since the machine started.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::PoisonError;

use rustix::fs::{self, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::format::{self, HEAD_BYTES, Reject, TRAILER_BYTES};
use super::{ArtifactCache, ArtifactKey};
use crate::stamp::now_seconds;
use crate::{Digest, Stamp};

/// An artifact that is used again after this long is marked as used. It is then verified once more,
/// because the mark changes the file's stamp.
const TOUCH_SECONDS: i64 = 6 * 3600;
/// More would be remembered than a process can have loaded.
const MAX_VERIFIED: usize = 100_000;
/// Fits into the second-level cache, so that what was read is hashed from there.
const BUFFER_BYTES: usize = 256 << 10;

/// Files that this process verified, so that it need not verify them again when it loads them
/// again. A change of a file changes its stamp: the kernel sets the change time, no user can.
#[derive(Default)]
pub(super) struct Verified(HashMap<ArtifactKey, Stamp>);

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("it is no regular file")]
    Kind,
    #[error(transparent)]
    Reject(#[from] Reject),
    #[error("it could not be read: {0}")]
    Io(#[from] io::Error),
}

impl From<Errno> for ReadError {
    fn from(errno: Errno) -> ReadError {
        ReadError::Io(errno.into())
    }
}

impl ArtifactCache {
    pub(super) fn read(&self, key: &ArtifactKey) -> Result<Option<File>, ReadError> {
        // Not blocking, because opening a named pipe would.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match fs::openat(&self.folder, &*key.file_name(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(ReadError::Kind),
            Err(errno) => return Err(errno.into()),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(ReadError::Kind);
        }
        let stamp = Stamp::of(&metadata);
        if !self.is_verified(key, stamp) {
            if !self.is_noted(key, stamp) {
                verify(&file, metadata.size(), key, self.mac_key.as_bytes())?;
                self.note_verified(key, stamp);
            }
            self.remember(key, stamp);
        }
        if now_seconds().saturating_sub(metadata.mtime()) > TOUCH_SECONDS {
            // It is only a hint for eviction, and a read-only cache has none.
            let _ = touch(&file);
        }
        Ok(Some(file))
    }

    /// The image of an opened artifact, verified as it is in memory.
    pub(crate) fn image(&self, mut file: &File, key: &ArtifactKey) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        io::Seek::rewind(&mut file).and_then(|()| file.read_to_end(&mut bytes)).ok()?;
        let image_bytes = format::parse(&bytes, key, self.mac_key.as_bytes()).ok()?.len();
        bytes.truncate(image_bytes);
        Some(bytes)
    }

    fn is_verified(&self, key: &ArtifactKey, stamp: Stamp) -> bool {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.0.get(key) == Some(&stamp)
    }

    /// Whether an earlier process verified it.
    fn is_noted(&self, key: &ArtifactKey, stamp: Stamp) -> bool {
        self.note(&note_name(key)).is_some_and(|noted| noted == stamp.to_bytes())
    }

    fn note_verified(&self, key: &ArtifactKey, stamp: Stamp) {
        if stamp.is_settled() {
            self.keep_note(&note_name(key), &stamp.to_bytes());
        }
    }

    fn remember(&self, key: &ArtifactKey, stamp: Stamp) {
        if stamp.is_settled() {
            let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
            if verified.0.len() >= MAX_VERIFIED {
                verified.0.clear();
            }
            verified.0.insert(*key, stamp);
        }
    }
}

fn note_name(key: &ArtifactKey) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("dayfly 1 note of a verified artifact");
    (*hasher.update(key.as_bytes()).finalize().as_bytes()).into()
}

fn touch(file: &File) -> rustix::io::Result<()> {
    let keep = Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT };
    let now = Timespec { tv_sec: 0, tv_nsec: fs::UTIME_NOW };
    fs::futimens(file, &Timestamps { last_access: keep, last_modification: now })
}

/// Checks all of a file: about 3 GB/s with AVX2.
///
/// It is read rather than mapped: no slower, and a file that shrinks meanwhile is an error instead
/// of a signal. Threads would make it faster on an idle machine only, and wait on a busy one.
fn verify(
    file: &File,
    file_bytes: u64,
    key: &ArtifactKey,
    mac_key: &[u8; 32],
) -> Result<(), ReadError> {
    let image_bytes = file_bytes.checked_sub(TRAILER_BYTES as u64).ok_or(Reject::Length)?;
    let mut trailer = [0; TRAILER_BYTES];
    file.read_exact_at(&mut trailer, image_bytes)?;
    let mac = format::check_trailer(&trailer, file_bytes, key)?;
    let mut hasher = blake3::Hasher::new_keyed(mac_key);
    let mut buffer =
        vec![0; BUFFER_BYTES.min(usize::try_from(image_bytes).unwrap_or(BUFFER_BYTES))];
    let mut offset = 0;
    while offset < image_bytes {
        let left = usize::try_from(image_bytes - offset).unwrap_or(BUFFER_BYTES);
        let part = &mut buffer[..left.min(BUFFER_BYTES)];
        file.read_exact_at(part, offset)?;
        hasher.update(part);
        offset += part.len() as u64;
    }
    hasher.update(&trailer[..HEAD_BYTES]);
    if hasher.finalize() == mac { Ok(()) } else { Err(Reject::Mac.into()) }
}
