//! Times as the API reads and writes them.

use chrono::{DateTime, FixedOffset, SecondsFormat};

use crate::failure::{Failure, Result};

/// Milliseconds since 1970 as RFC 3339 has them.
pub(crate) fn text(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// A time that a request states by a name.
pub(crate) fn parse(name: &str, text: &str) -> Result<DateTime<FixedOffset>> {
    let odd = |_| Failure::invalid(format!("`{name}` is a time such as 2026-11-30T12:00:00Z"));
    DateTime::parse_from_rfc3339(text).map_err(odd)
}
