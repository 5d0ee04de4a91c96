//! How much one tenant may take of a platform.

use std::fmt;

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
    /// All blobs, and all releases as they are laid out, in bytes.
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
    /// The tenant's part of what all share, beside the others' weights: 1 to 10000.
    pub weight: u32,
}

/// A quota that the node holds while it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quota {
    /// Requests in a second.
    RequestsPerSecond,
    /// Instances that run at once.
    Concurrency,
    /// CPU time in a calendar month.
    CpuMonthSeconds,
    /// Outbound requests and connections in a second.
    OutboundPerSecond,
    /// What is logged in a day.
    LogDayBytes,
    /// What the apps keep.
    StateBytes,
}

impl Quota {
    /// How many there are.
    pub const COUNT: usize = Self::StateBytes as usize + 1;

    /// Each of them, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::RequestsPerSecond,
        Self::Concurrency,
        Self::CpuMonthSeconds,
        Self::OutboundPerSecond,
        Self::LogDayBytes,
        Self::StateBytes,
    ];

    /// Its name among the [`Quotas`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestsPerSecond => "requests_per_second",
            Self::Concurrency => "concurrency",
            Self::CpuMonthSeconds => "cpu_month_seconds",
            Self::OutboundPerSecond => "outbound_per_second",
            Self::LogDayBytes => "log_day_bytes",
            Self::StateBytes => "state_bytes",
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a tenant has taken of the quotas that are counted for long, or measured. Months and days are UTC's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The month, counted from January 1970.
    pub month: u16,
    /// CPU time in that month, in microseconds.
    pub cpu_us: u64,
    /// The day, counted from 1 January 1970.
    pub day: u16,
    /// What was logged on that day, in bytes.
    pub log_bytes: u64,
    /// What its apps keep, in bytes, as it was measured last.
    pub state_bytes: u64,
}

impl Used {
    /// What was taken between an earlier time and this one; of a month or a day that began since, all of
    /// it.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let cpu_us = if self.month == earlier.month { earlier.cpu_us } else { 0 };
        let log_bytes = if self.day == earlier.day { earlier.log_bytes } else { 0 };
        Self {
            cpu_us: self.cpu_us.saturating_sub(cpu_us),
            log_bytes: self.log_bytes.saturating_sub(log_bytes),
            ..*self
        }
    }
}

impl Quotas {
    /// The weight of a tenant of whom nothing else was said.
    pub const WEIGHT: u32 = 100;
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
            requests_per_second: 50_000,
            concurrency: 512,
            outbound_per_second: 1_000,
            log_day_bytes: 1 << 30,
            state_bytes: 10 << 30,
            weight: Self::WEIGHT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_s_quotas_are_called_as_they_are_changed() {
        let all = serde_json::to_value(Quotas::default()).unwrap();
        for (number, quota) in Quota::ALL.into_iter().enumerate() {
            assert_eq!(quota as usize, number);
            assert!(all.get(quota.name()).is_some(), "{quota}");
        }
    }

    #[test]
    fn what_an_earlier_version_kept_has_the_usual_weight() {
        let kept: Quotas = serde_json::from_str(r#"{"apps":3}"#).unwrap();
        assert_eq!((kept.apps, kept.weight), (3, Quotas::WEIGHT));
    }
}
