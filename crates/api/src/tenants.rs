//! Tenants.

use dayfly_model::platform::{Isolation, Quotas, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A tenant that is to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// Its name.
    pub name: TenantId,
    /// Its quotas; the platform's usual ones unless stated.
    #[serde(default)]
    pub quotas: Option<Quotas>,
    /// What happens when a release asks for more than the active one.
    #[serde(default)]
    pub grants: GrantPolicy,
    /// Which process its guests run in.
    #[serde(default)]
    pub isolation: Isolation,
}

/// What is to be changed of a tenant; what is not stated stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTenant {
    /// All of its quotas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<Quotas>,
    /// What happens when a release asks for more than the active one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<GrantPolicy>,
    /// Which process its guests run in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
}

/// A tenant.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Tenant {
    /// Its name.
    pub name: TenantId,
    /// Since when (RFC 3339).
    pub created_at: String,
    /// What it may take.
    pub quotas: Quotas,
    /// What happens when a release asks for more than the active one.
    pub grants: GrantPolicy,
    /// Which process its guests run in.
    pub isolation: Isolation,
    /// How many apps it has.
    pub apps: u64,
    /// What all its blobs come to, in bytes.
    pub storage_bytes: u64,
}

/// What happens when a release asks for more than the active one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantPolicy {
    /// It is refused with the difference, unless that is accepted.
    #[default]
    Ask,
    /// It is activated.
    Accept,
}
