//! Releases, and what is active of an app.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{AppId, BlobDigest, DomainName, Isolation, Quotas, ReleaseId, SettingName};
use crate::runtime_config::Secret;

/// A number that grows with each change of what is to be served.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Generation(pub u64);

/// What is to be served of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// The app.
    pub app: AppId,
    /// The app's number, which no app ever had before it: what it keeps lies by that, so that one of
    /// the same name finds nothing of a former one.
    pub number: u64,
    /// Its tenant's number, which no tenant ever had before it: what is used is billed by that.
    pub tenant_number: u64,
    /// Of the latest change.
    pub generation: Generation,
    /// One or two releases, whose percents come to 100.
    pub shares: Vec<Share>,
    /// The hosts that it answers on beside its own.
    pub domains: BTreeSet<DomainName>,
    /// What it is told.
    pub settings: BTreeMap<SettingName, Setting>,
    /// What its tenant may take.
    pub quotas: Quotas,
    /// Which process its tenant's guests run in.
    pub isolation: Isolation,
    /// Whether it is a preview: only what comes to it by its own address wakes it.
    pub is_preview: bool,
}

/// A release, and its share of the traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The release.
    pub release: ReleaseId,
    /// Of a hundred requests, so many.
    pub percent: u8,
    /// A path that has to answer well before the release has any; nothing where the node has served this
    /// generation.
    pub health_path: Option<String>,
}

/// Whether a text is a path that a release may be asked for to see whether it is healthy, perhaps with a query.
#[must_use]
pub fn is_health_path(text: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    text.starts_with('/') && text.len() <= 1024 && text.bytes().all(is_legal)
}

/// What an app is told by a name. A name that the app declares as a variable sets that; any other is
/// an environment variable of each component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value, which is shown only where it is no secret.
    pub value: Secret,
    /// Whether it is kept encrypted, and nobody reads it again but the app.
    pub is_secret: bool,
}

/// A package's manifest, as far as a platform looks at it: OCI's image manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseManifest {
    config: Option<Blob>,
    #[serde(default)]
    layers: Vec<Blob>,
}

/// A blob that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Blob {
    /// What it is.
    pub media_type: String,
    /// Its digest.
    pub digest: BlobDigest,
    /// How long it is, in bytes.
    pub size: u64,
}

/// A text is no manifest of a package.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseManifestError {
    /// It is longer than one may be.
    #[error("the manifest is longer than {} KiB", ReleaseManifest::MAX_BYTES >> 10)]
    Long,
    /// It names too much.
    #[error("the manifest names more than {} blobs", ReleaseManifest::MAX_BLOBS)]
    Many,
    /// It cannot be read.
    #[error("the manifest is no OCI image manifest")]
    Unread(#[source] serde_json::Error),
    /// It names one blob with two sizes.
    #[error("the manifest names `{0}` with two sizes")]
    Sizes(BlobDigest),
}

impl ReleaseManifest {
    /// The longest text, in bytes.
    pub const MAX_BYTES: usize = 1 << 20;

    /// How many blobs it names at most.
    pub const MAX_BLOBS: usize = 1000;

    /// Reads a manifest.
    ///
    /// # Errors
    /// If it is none, or beyond a bound.
    pub fn parse(text: &[u8]) -> Result<Self, ReleaseManifestError> {
        if text.len() > Self::MAX_BYTES {
            return Err(ReleaseManifestError::Long);
        }
        let manifest: Self = serde_json::from_slice(text).map_err(ReleaseManifestError::Unread)?;
        if manifest.layers.len() >= Self::MAX_BLOBS {
            return Err(ReleaseManifestError::Many);
        }
        let mut sizes = BTreeMap::new();
        for blob in manifest.named() {
            if sizes.insert(&blob.digest, blob.size).is_some_and(|size| size != blob.size) {
                return Err(ReleaseManifestError::Sizes(blob.digest.clone()));
            }
        }
        Ok(manifest)
    }

    /// Each blob that it names, once.
    #[must_use]
    pub fn blobs(&self) -> BTreeMap<&BlobDigest, u64> {
        self.named().map(|blob| (&blob.digest, blob.size)).collect()
    }

    fn named(&self) -> impl Iterator<Item = &Blob> {
        self.layers.iter().chain(&self.config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_bounded_and_say_one_thing_of_a_blob() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let blob = |size: u64| format!(r#"{{"mediaType":"x","digest":"{digest}","size":{size}}}"#);
        let of = |config: u64, layers: &[u64]| {
            let layers: Vec<_> = layers.iter().map(|size| blob(*size)).collect();
            let text = format!(r#"{{"config":{},"layers":[{}]}}"#, blob(config), layers.join(","));
            ReleaseManifest::parse(text.as_bytes())
        };
        assert_eq!(of(1, &[1, 1]).unwrap().blobs().len(), 1);
        assert!(matches!(of(1, &[2]), Err(ReleaseManifestError::Sizes(_))));
        assert!(matches!(of(1, &[1; 1000]), Err(ReleaseManifestError::Many)));
        let parse = ReleaseManifest::parse;
        assert!(matches!(parse(b"[]"), Err(ReleaseManifestError::Unread(_))));
        assert!(matches!(parse(&vec![b' '; (1 << 20) + 1]), Err(ReleaseManifestError::Long)));
    }
}
