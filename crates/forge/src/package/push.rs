//! A package to a registry. What is there is not sent again.

use std::fs;
use std::time::Instant;

use bytes::Bytes;

use super::{Content, Package, PackageError, described};
use crate::fetch::{Client, FetchConfig, Fetching, Oci, Reference, Version, digest_of};

/// What was sent.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// The digest of the package's manifest: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// How many blobs it has.
    pub blobs: usize,
    /// How many of them were sent, and how many bytes that was.
    pub sent: usize,
    /// How many bytes those were.
    pub sent_bytes: u64,
}

/// Sends a package to a registry.
///
/// # Errors
/// If it does not take it, or a file of the app changed meanwhile.
pub fn push(
    package: &Package,
    reference: &Reference,
    config: &FetchConfig,
    mut tell: impl FnMut(Fetching<'_>),
) -> Result<Pushed, PackageError> {
    let Version::Tag(tag) = &reference.version else { return Err(PackageError::NoTag) };
    let client = Client::new(config.patience)?;
    let digest = digest_of(&package.manifest);
    let blobs = package.blobs.len();
    let mut pushed = Pushed { digest: format!("sha256:{digest}"), blobs, sent: 0, sent_bytes: 0 };
    let mut oci = Oci::of(client.asker(), reference, config.credentials.as_deref())?;
    // Each step has half an hour of its own.
    for blob in &package.blobs {
        let digits = blob.descriptor.digits().unwrap_or_default();
        if client.run(|_| oci.has_blob(digits))? {
            continue;
        }
        let bytes = blob.content.read()?;
        let sent_bytes = bytes.len() as u64;
        let (what, began) = (described(&blob.descriptor), Instant::now());
        tell(Fetching::Starts(&what));
        client.run(|_| oci.put_blob(digits, bytes, &mut tell))?;
        tell(Fetching::Done { source: &what, bytes: sent_bytes, took: began.elapsed() });
        pushed.sent += 1;
        pushed.sent_bytes += sent_bytes;
    }
    let manifest = package.manifest.clone();
    client.run(|_| async {
        match oci.tagged(tag).await? {
            Some(there) if there == digest => Ok(()),
            _ => oci.put_manifest(tag, manifest).await,
        }
    })?;
    Ok(pushed)
}

impl Content {
    pub(super) fn read(&self) -> Result<Bytes, PackageError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::File(file) => Ok(fs::read(file).map_err(PackageError::io(file))?.into()),
        }
    }
}
