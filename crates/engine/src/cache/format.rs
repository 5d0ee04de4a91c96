//! An artifact's file: what Wasmtime serialises, an ELF image, then a trailer of fixed size that
//! authenticates it.
//!
//! ```text
//! ELF image          length_bytes
//! trailer   0..16    magic
//!          16..20    version, little-endian
//!          20..24    zero
//!          24..32    length_bytes, little-endian
//!          32..64    the artifact's key: a file under another's name is refused
//!          64..96    zero
//!          96..128   BLAKE3 keyed hash of all before it
//! ```
//! The image comes first because Wasmtime maps the file from its beginning, and ELF allows for
//! bytes after it.

use super::ArtifactKey;

/// The version of this format. It is a part of each artifact's key as well.
pub const VERSION: u32 = 1;
/// The size of the trailer in bytes.
pub const TRAILER_BYTES: usize = 128;
/// The size in bytes of what the trailer says before the MAC.
pub(crate) const HEAD_BYTES: usize = 96;

const MAGIC: &[u8; 16] = b"dayfly artifact\n";

/// Why a file is not the artifact that it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reject {
    /// It is shorter than a trailer, or longer or shorter than its trailer says.
    #[error("it is truncated or has another length than it says")]
    Length,
    /// It does not end in a trailer.
    #[error("it is no artifact")]
    Magic,
    /// It is of another version of this format.
    #[error("it is of another version")]
    Version,
    /// It is the artifact of another component or another engine.
    #[error("it is the artifact of something else")]
    Key,
    /// It was not made with this user's key, or was changed since.
    #[error("it is corrupted, or was not made by this user")]
    Mac,
}

/// The trailer of an image of this length, but for the MAC.
pub(crate) fn head(key: &ArtifactKey, length_bytes: u64) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..16].copy_from_slice(MAGIC);
    head[16..20].copy_from_slice(&VERSION.to_le_bytes());
    head[24..32].copy_from_slice(&length_bytes.to_le_bytes());
    head[32..64].copy_from_slice(key.as_bytes());
    head
}

/// Checks a trailer at the end of a file of `file_bytes`. What is left to be checked is the MAC,
/// which is returned.
pub(crate) fn check_trailer(
    trailer: &[u8; TRAILER_BYTES],
    file_bytes: u64,
    key: &ArtifactKey,
) -> Result<blake3::Hash, Reject> {
    let (head, mac) = trailer.split_at(HEAD_BYTES);
    if &head[..16] != MAGIC {
        return Err(Reject::Magic);
    }
    if head[16..20] != VERSION.to_le_bytes() {
        return Err(Reject::Version);
    }
    if head[32..64] != key.as_bytes()[..] {
        return Err(Reject::Key);
    }
    let image_bytes = file_bytes.checked_sub(TRAILER_BYTES as u64).ok_or(Reject::Length)?;
    if *head != self::head(key, image_bytes) {
        return Err(Reject::Length);
    }
    let mac: [u8; 32] = std::array::from_fn(|i| mac[i]);
    Ok(mac.into())
}

/// The image of an artifact's file, if the file is the one that it should be. For files that are
/// in memory; [`super::ArtifactCache`] does the same while it reads.
///
/// # Errors
/// [`Reject`].
pub fn parse<'a>(
    file: &'a [u8],
    key: &ArtifactKey,
    mac_key: &[u8; 32],
) -> Result<&'a [u8], Reject> {
    let (image, trailer) = file.split_last_chunk::<TRAILER_BYTES>().ok_or(Reject::Length)?;
    let mac = check_trailer(trailer, file.len() as u64, key)?;
    // `blake3::Hash` compares in constant time.
    let hash = blake3::keyed_hash(mac_key, &file[..file.len() - 32]);
    if hash == mac { Ok(image) } else { Err(Reject::Mac) }
}

/// The bytes that follow an image in its file.
pub fn trailer(image: &[u8], key: &ArtifactKey, mac_key: &[u8; 32]) -> [u8; TRAILER_BYTES] {
    let head = head(key, image.len() as u64);
    let mut hasher = blake3::Hasher::new_keyed(mac_key);
    hasher.update(image).update(&head);
    let mut trailer = [0; TRAILER_BYTES];
    trailer[..HEAD_BYTES].copy_from_slice(&head);
    trailer[HEAD_BYTES..].copy_from_slice(hasher.finalize().as_bytes());
    trailer
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC_KEY: [u8; 32] = [7; 32];

    fn file(image: &[u8], key: [u8; 32]) -> Vec<u8> {
        let mut file = image.to_vec();
        file.extend(trailer(image, &key.into(), &MAC_KEY));
        file
    }

    #[test]
    fn reads_back() {
        for image in [&b""[..], b"x", &[9; 5000]] {
            let file = file(image, [1; 32]);
            assert_eq!(parse(&file, &[1; 32].into(), &MAC_KEY), Ok(image));
        }
    }

    #[test]
    fn refuses_every_changed_byte() {
        let good = file(&[9; 300], [1; 32]);
        for i in 0..good.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[i] ^= flip;
                assert!(parse(&bad, &[1; 32].into(), &MAC_KEY).is_err(), "byte {i}");
            }
        }
    }

    #[test]
    fn refuses_every_other_length() {
        let good = file(&[9; 300], [1; 32]);
        for len in 0..good.len() {
            assert!(parse(&good[..len], &[1; 32].into(), &MAC_KEY).is_err(), "length {len}");
            assert!(parse(&good[good.len() - len..], &[1; 32].into(), &MAC_KEY).is_err());
        }
        let longer = [&[0], &good[..]].concat();
        assert_eq!(parse(&longer, &[1; 32].into(), &MAC_KEY), Err(Reject::Length));
    }

    #[test]
    fn refuses_others_keys() {
        let good = file(&[9; 300], [1; 32]);
        assert_eq!(parse(&good, &[2; 32].into(), &MAC_KEY), Err(Reject::Key));
        assert_eq!(parse(&good, &[1; 32].into(), &[8; 32]), Err(Reject::Mac));
    }
}
