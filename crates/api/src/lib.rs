//! The admin API of a platform: the types that travel, and a client. What serves it is
//! `dayfly-control`; its description is `docs/openapi.json`.
#![deny(missing_docs)]

mod apps;
mod audit;
mod client;
mod logs;
mod page;
mod problem;
mod tenants;
mod tokens;
mod usage;

pub use apps::*;
pub use audit::AuditEntry;
pub use client::{Client, ClientError, Upload};
pub use dayfly_model::platform::{
    AppId, AppName, Ask, BlobDigest, ComponentGrants, DomainName, DomainPattern, Grants, Isolation,
    LogLevel, LogLine, LogStream, PreviewName, Quotas, ReleaseId, SettingName, TenantId,
};
pub use dayfly_model::runtime_config::Secret;
pub use logs::*;
pub use page::{Page, PageQuery};
pub use problem::{Code, Exceeded, Problem};
pub use tenants::*;
pub use tokens::*;
pub use usage::*;

/// The media type of a package's manifest, which a release is made of.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The header that names a request, so that the same one again changes nothing more.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Where a platform's administrators reach it, if nobody says otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:3001";
