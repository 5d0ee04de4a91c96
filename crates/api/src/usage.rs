//! What apps used.

use dayfly_model::platform::{AppName, ReleaseId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which usage.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UsageQuery {
    /// From when (RFC 3339); a day before `to`, unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Until when (RFC 3339); now, unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// How it is grouped: `app` unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub by: Option<UsageBy>,
    /// Whether each group has points, one for each minute, hour or day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub step: Option<UsageStep>,
}

/// What makes a group of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageBy {
    /// Nothing: all is one.
    Total,
    /// An app.
    App,
    /// A component of an app.
    Component,
    /// A release of an app.
    Release,
}

/// How long a point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageStep {
    /// A minute; kept for a day.
    Minute,
    /// An hour; kept for 90 days.
    Hour,
    /// A day, in UTC; kept for two years.
    Day,
}

impl UsageBy {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::App => "app",
            Self::Component => "component",
            Self::Release => "release",
        }
    }
}

impl UsageStep {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

/// What was used within some time.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UsageReport {
    /// From when (RFC 3339): where the minute, hour or day begins that was asked for.
    pub from: String,
    /// Until when.
    pub to: String,
    /// How far the percentiles of durations may be off, as a part of them; below 32 µs it is a
    /// microsecond.
    pub duration_error: f64,
    /// The groups, by name.
    pub groups: Vec<UsageGroup>,
}

/// The usage of one group.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UsageGroup {
    /// The app; nothing for all of them, and for what is beyond the bound on series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// The component, of groups by component; nothing for requests that none got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The release, of groups by release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// Whether it is what is beyond the bound on series, of whatever app.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub others: bool,
    /// All that it used.
    pub total: Usage,
    /// The same step by step, the oldest first; steps in which nothing was used are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<UsagePoint>,
}

/// What was used in one step.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UsagePoint {
    /// When it began (RFC 3339).
    pub at: String,
    /// What was used.
    pub usage: Usage,
}

/// What was used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Requests that ended, those between components as well.
    pub requests: u64,
    /// The same by the class of their status.
    pub status: StatusCounts,
    /// Requests that Dayfly answered with an error, or whose answer broke off, by whosever fault but
    /// the client's.
    pub errors: u64,
    /// Events, and openings, messages and ends of WebSockets, that were handed to a handler; each attempt
    /// is one.
    pub events: u64,
    /// Those of them that were not handled.
    pub events_failed: u64,
    /// Requests and events that waited until their component was loaded.
    pub cold_starts: u64,
    /// CPU time of guests and of the host functions that they called, in microseconds.
    pub cpu_us: u64,
    /// The most linear memory that one instance had, in bytes.
    pub memory_peak_bytes: u64,
    /// Bodies of requests, as far as they were taken in, in bytes.
    pub bytes_in: u64,
    /// Bodies of answers, as far as they were handed over, in bytes.
    pub bytes_out: u64,
    /// How long requests and events took, from their arrival at the component until their answer was
    /// handed over.
    pub duration: DurationPercentiles,
}

/// Requests by the class of their status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusCounts {
    /// The client left before there was an answer.
    pub none: u64,
    /// 2xx.
    #[serde(rename = "2xx")]
    pub success: u64,
    /// 3xx.
    #[serde(rename = "3xx")]
    pub redirection: u64,
    /// 4xx.
    #[serde(rename = "4xx")]
    pub client_error: u64,
    /// 5xx.
    #[serde(rename = "5xx")]
    pub server_error: u64,
}

/// What so many of a hundred took at most, in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DurationPercentiles {
    /// Half of them.
    pub p50_us: u64,
    /// 90 of a hundred.
    pub p90_us: u64,
    /// 99 of a hundred.
    pub p99_us: u64,
    /// The longest; exact.
    pub max_us: u64,
}
