//! The log of changes.

use dayfly_model::platform::TenantId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A change: who did what, when, and from where.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its number; they grow.
    pub id: u64,
    /// When (RFC 3339).
    pub at: String,
    /// The token by which it was done; nothing for what the platform did itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What that token was called then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_name: Option<String>,
    /// The address that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The tenant that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// What was done, such as `app.activate`.
    pub action: String,
    /// What it was done to, such as an app's name.
    pub object: String,
    /// More of it, without any secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
