//! Tenants.

use dayfly_model::platform::{DomainPattern, Isolation, Quotas, TenantId};
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
    /// The domains that its apps may have; none unless stated.
    #[serde(default)]
    #[schema(max_items = 200)]
    pub domains: Vec<DomainPattern>,
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
    /// All the domains that its apps may have. Those that they have already stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 200)]
    pub domains: Option<Vec<DomainPattern>>,
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
    /// The domains that its apps may have.
    pub domains: Vec<DomainPattern>,
    /// Which process its guests run in.
    pub isolation: Isolation,
    /// Another one with each change of what stands above; its ETag is this in quotes.
    #[serde(default)]
    pub version: String,
    /// How many apps it has.
    pub apps: u64,
    /// What all its blobs come to, and its releases as they are laid out, in bytes.
    pub storage_bytes: u64,
    /// What it has taken of its quotas; told of one tenant, not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<TenantUse>,
}

/// What a tenant has taken, by the names of its quotas. What is bounded for each moment, or for each request,
/// is not there.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TenantUse {
    /// Apps.
    pub apps: u64,
    /// Releases of the app that keeps most.
    pub releases: u64,
    /// Custom domains.
    pub domains: u64,
    /// Tokens.
    pub tokens: u64,
    /// Settings of the app that has most.
    pub settings: u64,
    /// All blobs of the largest release, in bytes.
    pub package_bytes: u64,
    /// All blobs, and all releases as they are laid out, in bytes.
    pub storage_bytes: u64,
    /// CPU time in this calendar month (UTC), in seconds.
    pub cpu_month_seconds: f64,
    /// What was logged today (UTC), in bytes.
    pub log_day_bytes: u64,
    /// What the apps keep, in bytes, as it was measured last.
    pub state_bytes: u64,
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
