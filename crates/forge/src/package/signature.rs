//! Signatures of packages as `cosign` leaves them in the registry beside what it signs, under the tag
//! `sha256-DIGEST.sig`, checked with a key that the user has. Of keys, those that `cosign` makes:
//! ECDSA on P-256. Nothing is asked of servers of certificates or logs.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use super::PackageError;
use crate::fetch::{Client, Descriptor, FetchFailure, Manifest, Oci};

const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// What a public key on P-256 begins with, before its point.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const POINT_BYTES: usize = 65;

/// How many signatures of one package are looked at.
const MAX_SIGNATURES: usize = 16;

/// A key that packages must be signed with.
#[derive(Debug, Clone)]
pub struct VerifyKey {
    point: Vec<u8>,
}

/// What is signed.
#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: String,
}

impl VerifyKey {
    /// Reads a public key (PEM), as `cosign generate-key-pair` writes it.
    ///
    /// # Errors
    /// If the file cannot be read, or holds another kind of key.
    pub fn read(path: &Path) -> Result<Self, PackageError> {
        let text = fs::read(path).map_err(PackageError::io(path))?;
        let key = SubjectPublicKeyInfoDer::from_pem_slice(&text).ok();
        let point = key.as_ref().and_then(|key| key.strip_prefix(&P256));
        match point.filter(|point| point.len() == POINT_BYTES) {
            Some(point) => Ok(Self { point: point.to_owned() }),
            None => Err(PackageError::Key { path: path.to_owned() }),
        }
    }

    /// Whether `signature` is this key's of `payload`, and that speaks of this manifest.
    fn signs(&self, payload: &[u8], signature: &str, digest: &str) -> bool {
        let Ok(signature) = BASE64_STANDARD.decode(signature) else { return false };
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point);
        let stated = serde_json::from_slice::<Payload>(payload);
        let stated = stated.map(|payload| payload.critical.image.docker_manifest_digest);
        key.verify(payload, &signature).is_ok()
            && stated.is_ok_and(|stated| stated == format!("sha256:{digest}"))
    }
}

/// Asks the registry for signatures of a manifest, until one is the key's.
pub(super) fn check(
    client: &Client,
    oci: &mut Oci<'_>,
    digest: &str,
    key: &VerifyKey,
) -> Result<(), PackageError> {
    let tag = format!("sha256-{digest}.sig");
    let signatures = match client.run(|_| oci.manifest(&tag)) {
        Ok((Manifest { layers, .. }, _)) => layers,
        Err(FetchFailure::Registry { .. }) => Vec::new(),
        Err(other) => return Err(other.into()),
    };
    let signatures = signatures.iter().filter(|layer| layer.media_type == PAYLOAD);
    let mut unread = None;
    for layer in signatures.take(MAX_SIGNATURES) {
        let Some(signature) = layer.annotation(SIGNATURE) else { continue };
        // What anybody put beside it must not hide the signature that is wanted.
        let payload = match client.run(|_| oci.small(layer)) {
            Ok(payload) => payload,
            Err(failure) => {
                unread = Some(failure);
                continue;
            }
        };
        if key.signs(&payload, signature, digest) {
            return Ok(());
        }
    }
    Err(PackageError::Unsigned { digest: digest.to_owned(), unread })
}

impl Descriptor {
    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

    use super::*;

    #[test]
    fn only_the_keys_own_signatures_of_this_manifest_are_good() {
        let random = SystemRandom::new();
        let pair = || {
            let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random);
            let pair = pair.unwrap();
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pair.as_ref(), &random)
        };
        let (mine, other) = (pair().unwrap(), pair().unwrap());
        let key = VerifyKey { point: mine.public_key().as_ref().to_owned() };
        let payload = |digest: &str| {
            let image = serde_json::json!({ "docker-manifest-digest": format!("sha256:{digest}") });
            serde_json::json!({ "critical": { "image": image }, "optional": null }).to_string()
        };
        let sign = |pair: &EcdsaKeyPair, text: &str| {
            BASE64_STANDARD.encode(pair.sign(&random, text.as_bytes()).unwrap())
        };
        let (a, b) = (payload("a"), payload("b"));
        assert!(key.signs(a.as_bytes(), &sign(&mine, &a), "a"));
        assert!(!key.signs(a.as_bytes(), &sign(&other, &a), "a"));
        assert!(!key.signs(b.as_bytes(), &sign(&mine, &b), "a"));
        assert!(!key.signs(b.as_bytes(), &sign(&mine, &a), "b"));
        assert!(!key.signs(a.as_bytes(), "no base64!", "a"));
        assert!(!key.signs(b"{}", &sign(&mine, "{}"), "a"));
    }
}
