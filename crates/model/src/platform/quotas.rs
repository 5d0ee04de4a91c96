//! How much one tenant may take of a platform.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The bounds of one tenant, all its apps together unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Apps.
    pub apps: u32,
    /// Releases that one app keeps; older ones that are not active leave.
    pub releases: u32,
    /// Custom domains.
    pub domains: u32,
    /// Tokens.
    pub tokens: u32,
    /// Settings of one app, secrets included.
    pub settings: u32,
    /// All blobs of one release, in bytes.
    pub package_bytes: u64,
    /// All blobs, in bytes.
    pub storage_bytes: u64,
    /// Linear memory of one instance, in bytes: a release that asks for more is refused.
    pub memory_bytes: u64,
    /// CPU time of one request, in milliseconds: a release that asks for more is refused.
    pub cpu_ms: u64,
    /// CPU time in a calendar month, in seconds.
    pub cpu_month_seconds: u64,
    /// Requests in a second.
    pub requests_per_second: u32,
    /// Instances that run at once.
    pub concurrency: u32,
    /// Outbound requests and connections in a second.
    pub outbound_per_second: u32,
    /// What is logged in a day, in bytes.
    pub log_day_bytes: u64,
    /// What the apps' databases, stores and written files come to, in bytes.
    pub state_bytes: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            apps: 100,
            releases: 50,
            domains: 100,
            tokens: 100,
            settings: 200,
            package_bytes: 1 << 30,
            storage_bytes: 10 << 30,
            memory_bytes: 1 << 30,
            cpu_ms: 60_000,
            cpu_month_seconds: 1_000_000,
            requests_per_second: 5_000,
            concurrency: 512,
            outbound_per_second: 1_000,
            log_day_bytes: 1 << 30,
            state_bytes: 10 << 30,
        }
    }
}
