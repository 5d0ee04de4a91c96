//! Cron expressions: minute, hour, day of the month, month, day of the week, with seconds before and
//! a year behind them if wanted. What they mean is as in Vixie cron and POSIX, with the extensions of
//! the `croner` crate (`L`, `#`, `W`, `@daily` and the like).

use std::fmt;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::CronParser;
use thiserror::Error;

/// When something is due, again and again.
#[derive(Clone)]
pub struct Schedule {
    cron: Box<Cron>,
    zone: Tz,
    text: String,
}

/// Why a text is no schedule.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ScheduleError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Malformed(String),
    /// Nothing is ever due.
    #[error("is never due")]
    Never,
    /// There is no such time zone.
    #[error("is no name of the IANA database")]
    Zone,
}

impl Schedule {
    /// Reads an expression; its times are those of a time zone of the IANA database, UTC unless one
    /// is named.
    ///
    /// # Errors
    /// If it means nothing, or nothing that will ever be.
    pub fn parse(expression: &str, zone: Option<&str>) -> Result<Self, ScheduleError> {
        let zone = Self::zone(zone.unwrap_or("UTC"))?;
        // `1/2`, which Vixie's cron does not know and Spin's examples have.
        let parser = CronParser::builder().sloppy_ranges(true).build();
        let cron = parser
            .parse(expression)
            .map_err(|error| ScheduleError::Malformed(clause(&error.to_string())))?;
        let schedule = Self { cron: Box::new(cron), zone, text: expression.trim().to_owned() };
        schedule.next_after(Utc::now()).ok_or(ScheduleError::Never)?;
        Ok(schedule)
    }

    /// Reads the name of a time zone.
    pub(crate) fn zone(name: &str) -> Result<Tz, ScheduleError> {
        name.parse().map_err(|_| ScheduleError::Zone)
    }

    /// When it is due next; `None` if never again.
    #[must_use]
    pub fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = time.with_timezone(&self.zone);
        let next = self.cron.find_next_occurrence(&local, false).ok()?;
        Some(next.with_timezone(&Utc))
    }
}

/// A sentence of the library's as a part of one of ours.
fn clause(sentence: &str) -> String {
    let said = sentence.rsplit_once("error: ").map_or(sentence, |(_, said)| said);
    let said = said.trim_end_matches('.');
    let first = said.chars().next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(said.chars().skip(1)).collect()
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({self})")
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, zone, .. } = self;
        if *zone == Tz::UTC { f.write_str(text) } else { write!(f, "{text} ({zone})") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(expression: &str, zone: Option<&str>, after: &str) -> String {
        let schedule = Schedule::parse(expression, zone).unwrap();
        let next = schedule.next_after(after.parse().unwrap()).unwrap();
        next.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    #[test]
    fn five_fields_six_or_seven() {
        let after = "2026-01-01T00:00:30Z";
        assert_eq!(next("*/5 * * * *", None, after), "2026-01-01T00:05:00Z");
        assert_eq!(next("1/2 * * * * *", None, after), "2026-01-01T00:00:31Z");
        assert_eq!(next("0 0 0 1 1 * 2099", None, after), "2099-01-01T00:00:00Z");
    }

    #[test]
    fn hours_are_those_of_the_time_zone() {
        let berlin = Some("Europe/Berlin");
        assert_eq!(next("0 8 * * *", berlin, "2026-01-01T00:00:00Z"), "2026-01-01T07:00:00Z");
        assert_eq!(next("0 8 * * *", berlin, "2026-07-01T00:00:00Z"), "2026-07-01T06:00:00Z");
    }

    #[test]
    fn hours_that_are_not_or_come_twice_are_due_once() {
        let berlin = Some("Europe/Berlin");
        // On 29 March 2:00 is followed by 3:00.
        assert_eq!(next("30 2 * * *", berlin, "2026-03-28T12:00:00Z"), "2026-03-29T01:00:00Z");
        assert_eq!(next("30 2 * * *", berlin, "2026-03-29T01:00:00Z"), "2026-03-30T00:30:00Z");
        // On 25 October 3:00 is followed by 2:00.
        assert_eq!(next("30 2 * * *", berlin, "2026-10-24T12:00:00Z"), "2026-10-25T00:30:00Z");
        assert_eq!(next("30 2 * * *", berlin, "2026-10-25T00:30:00Z"), "2026-10-26T01:30:00Z");
        // What is due each half hour is due in each.
        assert_eq!(next("*/30 * * * *", berlin, "2026-10-25T00:30:00Z"), "2026-10-25T01:00:00Z");
    }

    #[test]
    fn what_means_nothing_is_told_from_what_never_is() {
        let error = |text, zone| Schedule::parse(text, zone).unwrap_err();
        assert_eq!(error("0 0 30 2 *", None), ScheduleError::Never);
        assert_eq!(error("0 0 0 1 1 * 2020", None), ScheduleError::Never);
        assert_eq!(error("0 0 * * *", Some("Mars/Olympus")), ScheduleError::Zone);
        assert!(matches!(error("61 * * * *", None), ScheduleError::Malformed(_)));
        assert!(matches!(error("", None), ScheduleError::Malformed(_)));
    }
}
