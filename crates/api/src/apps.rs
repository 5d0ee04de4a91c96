//! Apps, their releases, what is active, and what they are told.

use std::fmt;

use dayfly_model::platform::{
    AppName, Ask, BlobDigest, DomainName, Grants, PreviewName, ReleaseId, SettingName,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An app.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct App {
    /// Its name.
    pub name: AppName,
    /// Since when (RFC 3339).
    pub created_at: String,
    /// The host that it answers on.
    pub host: String,
    /// Where it is reached, if the platform knows how clients reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What is active.
    pub active: Activation,
}

/// What is active of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Activation {
    /// Grows with each change; its ETag is this in quotes.
    pub generation: u64,
    /// Releases with their shares of the traffic; none if nothing is active.
    pub shares: Vec<Share>,
    /// When the shares were changed last (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<String>,
    /// Whether the node serves this generation.
    pub state: ServingState,
    /// Why it does not, of `failed`; what was active before is served still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A release's share of the traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Share {
    /// The release.
    pub release: ReleaseId,
    /// Of a hundred requests, so many.
    pub percent: u8,
}

/// How far a node is with what is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServingState {
    /// Nothing is active.
    Idle,
    /// The node has not taken it up yet.
    Pending,
    /// It is served.
    Serving,
    /// It cannot be.
    Failed,
}

/// A release.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Release {
    /// The digest of its manifest.
    pub id: ReleaseId,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// The name of the token by which it was made.
    pub created_by: String,
    /// What all its blobs come to, in bytes.
    pub bytes: u64,
    /// The app's version, as its manifest states it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// What its components ask for.
    pub grants: Grants,
    /// What making it ready came to.
    pub prepared: Prepared,
    /// Its share of the traffic now; 0 if it is not active.
    pub percent: u8,
}

/// What making a release ready came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Prepared {
    /// How many components were compiled.
    pub components: u32,
    /// What they come to, in bytes, before they were compiled.
    pub component_bytes: u64,
    /// How long laying out, preparing and compiling took until it could be served, in milliseconds.
    pub took_ms: u64,
    /// Whether it was served by code that was compiled fast and runs slower, until what optimises has
    /// followed.
    #[serde(default)]
    pub baseline: bool,
    /// Of such a release, how long that took behind what was served, in milliseconds; nothing as long as it
    /// lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimised_ms: Option<u64>,
}

/// Which release is to be active.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Activate {
    /// The release.
    pub release: ReleaseId,
    /// Its share of the traffic, 1 to 100; the rest stays with the release that has most of it now.
    #[serde(default = "all")]
    #[schema(minimum = 1, maximum = 100)]
    pub percent: u8,
    /// Whether it may have what it asks for beyond what is active.
    #[serde(default)]
    pub accept: bool,
    /// A path that has to answer with a status from 200 to 399 before the release has any traffic; the
    /// one that was stated last, unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_path: Option<String>,
}

fn all() -> u8 {
    100
}

/// Which release is to be active again.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The release; the one that was active before and was served, unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ReleaseId>,
    /// Whether what is active now did not do: no rollback goes to it that does not name it.
    #[serde(default)]
    pub failed: bool,
}

/// What a release asks for beyond what is active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// The release that it is held against; nothing if none is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<ReleaseId>,
    /// What it asks for.
    pub asks: Vec<Ask>,
}

/// Blobs by their digests, up to 1000.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BlobList {
    /// The digests.
    pub digests: Vec<BlobDigest>,
}

/// What an app is told. A name that the app declares as a variable sets that; any other is an
/// environment variable of each component.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Setting {
    /// The name.
    pub name: SettingName,
    /// Whether it is kept encrypted, and never shown again.
    #[serde(default)]
    pub secret: bool,
    /// The value, up to 64 KiB; not shown of a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// When it was set (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_at: Option<String>,
}

/// Settings that are to be changed, all of them at once.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSettings {
    /// What is set.
    #[serde(default)]
    pub set: Vec<Setting>,
    /// What is taken away.
    #[serde(default)]
    pub unset: Vec<SettingName>,
}

/// A host that an app answers on beside its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Domain {
    /// The host.
    pub name: DomainName,
    /// Since when (RFC 3339).
    pub created_at: String,
    /// Its own certificate, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// Why the last order of a certificate failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_error: Option<String>,
}

/// A domain's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// Where it is from.
    pub source: CertificateSource,
    /// When it begins to be valid (RFC 3339).
    pub valid_from: String,
    /// When it expires (RFC 3339).
    pub expires_at: String,
}

/// Where a certificate is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateSource {
    /// It was uploaded, and is not renewed by the platform.
    Upload,
    /// The platform has ordered it, and renews it.
    Acme,
}

/// A release of an app at a host of its own, beside what is live.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Preview {
    /// Its name.
    pub name: PreviewName,
    /// Since when (RFC 3339).
    pub created_at: String,
    /// When it goes (RFC 3339).
    pub expires_at: String,
    /// The host that it answers on.
    pub host: String,
    /// Where it is reached, if the platform knows how clients reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What is active of it.
    pub active: Activation,
}

/// What a preview shows.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPreview {
    /// The release, which is one of the app's.
    pub release: ReleaseId,
    /// Whether it may have what it asks for beyond what is active of the app.
    #[serde(default)]
    pub accept: bool,
    /// For how many seconds it is there, up to 90 days; a week, unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
    /// A path that has to answer with a status from 200 to 399 before anything else is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_path: Option<String>,
}

/// A certificate that is uploaded.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCertificate {
    /// The chain, PEM: the domain's own certificate first, and behind each one the one that issued it.
    pub chain: String,
    /// Its key, PEM, without a passphrase; kept encrypted, and never shown again.
    pub key: String,
}

impl fmt::Debug for NewCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewCertificate")
            .field("chain", &self.chain)
            .field("key", &"[redacted]")
            .finish()
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.secret { Some("[redacted]") } else { self.value.as_deref() };
        let mut out = f.debug_struct("Setting");
        out.field("name", &self.name).field("secret", &self.secret).field("value", &value).finish()
    }
}
