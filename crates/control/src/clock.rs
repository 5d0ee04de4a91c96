//! Times as the API writes them.

use chrono::{DateTime, SecondsFormat};

/// Milliseconds since 1970 as RFC 3339 has them.
pub(crate) fn text(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
