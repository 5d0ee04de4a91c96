//! Spans of time as users state them to a platform.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// Reads a span: days (`90d`), or what durations are otherwise (`12h`, `30m`).
///
/// # Errors
/// If it is none.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let Some(days) = text.strip_suffix('d') else {
        return dayfly_model::manifest::parse_duration(text);
    };
    let days: u64 = days.parse().map_err(|_| format!("`{text}` is no number of days"))?;
    Ok(Duration::from_secs(days.saturating_mul(86_400)))
}

/// Reads a moment as RFC 3339 has it: a time such as `2026-11-30T12:00:00Z`, or a span before now.
///
/// # Errors
/// If it is none of both.
pub(crate) fn parse_since(text: &str) -> Result<String, String> {
    let time = match DateTime::parse_from_rfc3339(text) {
        Ok(time) => time.with_timezone(&Utc),
        Err(_) => {
            let span = TimeDelta::from_std(parse_span(text)?).ok();
            let since = span.and_then(|span| Utc::now().checked_sub_signed(span));
            since.ok_or_else(|| format!("`{text}` is too long ago"))?
        }
    };
    Ok(time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_days_or_durations() {
        assert_eq!(parse_span("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(parse_span("12h"), dayfly_model::manifest::parse_duration("12h"));
        assert!(parse_span("xd").is_err() && parse_span("").is_err());
    }

    #[test]
    fn moments_are_times_or_spans_before_now() {
        let time = parse_since("2026-11-30T13:00:00+01:00");
        assert_eq!(time.as_deref(), Ok("2026-11-30T12:00:00.000000Z"));
        let hour_ago = DateTime::parse_from_rfc3339(&parse_since("1h").unwrap()).unwrap();
        let off = Utc::now().signed_duration_since(hour_ago).num_seconds() - 3600;
        assert!((0..60).contains(&off), "{off}");
        assert!(parse_since("yesterday").is_err());
        assert!(parse_since("999999999999999d").is_err());
    }
}
