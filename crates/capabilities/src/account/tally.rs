//! What was taken in one period, a month or a day, counted anew in each.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike as _, Months, NaiveTime, Utc};

/// A period by its number, and when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) number: u16,
    pub(super) ends: SystemTime,
}

const DAY: Duration = Duration::from_secs(86_400);

/// The day of UTC that a moment is in.
pub(super) fn day(now: SystemTime) -> Period {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let number = since.as_secs() / DAY.as_secs();
    let ends = UNIX_EPOCH + DAY * u32::try_from(number + 1).unwrap_or(u32::MAX);
    Period { number: number.try_into().unwrap_or(u16::MAX), ends }
}

/// The month of UTC that a moment is in.
pub(super) fn month(now: SystemTime) -> Period {
    let date = DateTime::<Utc>::from(now).date_naive();
    let number = (date.year() - 1970) * 12 + i32::try_from(date.month0()).unwrap_or(0);
    let first = date.with_day(1).unwrap_or(date);
    let next = first.checked_add_months(Months::new(1)).unwrap_or(first);
    let ends = next.and_time(NaiveTime::MIN).and_utc().into();
    Period { number: number.try_into().unwrap_or(u16::MAX), ends }
}

/// How far a count goes, in bits; above them is the period's number. Of microseconds that is nearly
/// nine years, of bytes 281 terabytes.
const BITS: u32 = 48;
const MOST: u64 = (1 << BITS) - 1;

/// A count of one period, of which no core waits for another one.
#[derive(Default)]
pub(super) struct Tally(AtomicU64);

impl Tally {
    fn packed(number: u16, count: u64) -> u64 {
        u64::from(number) << BITS | count.min(MOST)
    }

    /// The period that was counted last, and its count.
    pub(super) fn last(&self) -> (u16, u64) {
        let packed = self.0.load(Relaxed);
        ((packed >> BITS) as u16, packed & MOST)
    }

    /// Goes on from what was counted before.
    pub(super) fn restore(&self, number: u16, count: u64) {
        self.0.store(Self::packed(number, count), Relaxed);
    }

    /// Counts in a period, and gives back its count.
    pub(super) fn add(&self, number: u16, count: u64) -> u64 {
        let sum = |packed: u64| {
            let before = if (packed >> BITS) as u16 == number { packed & MOST } else { 0 };
            Some(Self::packed(number, before.saturating_add(count)))
        };
        let before = self.0.fetch_update(Relaxed, Relaxed, sum).unwrap_or_else(|before| before);
        sum(before).unwrap_or(before) & MOST
    }

    /// Counts in a period, unless its count would be beyond a bound; whether it was counted.
    pub(super) fn add_within(&self, number: u16, count: u64, most: u64) -> bool {
        let sum = |packed: u64| {
            let before = if (packed >> BITS) as u16 == number { packed & MOST } else { 0 };
            let sum = before.checked_add(count).filter(|sum| *sum <= most.min(MOST))?;
            Some(Self::packed(number, sum))
        };
        self.0.fetch_update(Relaxed, Relaxed, sum).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        text.parse::<DateTime<Utc>>().unwrap().into()
    }

    #[test]
    fn months_and_days_are_those_of_the_calendar() {
        let new_year = at("2027-01-01T00:00:00Z");
        let before = new_year - Duration::from_nanos(1);
        assert_eq!(month(before), Period { number: 56 * 12 + 11, ends: new_year });
        assert_eq!(month(new_year).number, 57 * 12);
        assert_eq!(month(at("2028-02-29T12:00:00Z")).ends, at("2028-03-01T00:00:00Z"));
        assert_eq!(month(at("2026-10-31T23:59:59Z")).ends, at("2026-11-01T00:00:00Z"));
        assert_eq!(day(before).ends, new_year);
        assert_eq!(day(new_year).number, day(before).number + 1);
        assert_eq!(month(UNIX_EPOCH).number, 0);
    }

    #[test]
    fn each_period_is_counted_anew() {
        let tally = Tally::default();
        assert_eq!((tally.add(7, 5), tally.add(7, 6), tally.last()), (5, 11, (7, 11)));
        assert_eq!((tally.add(8, 2), tally.last()), (2, (8, 2)));
        assert_eq!(tally.add(8, u64::MAX), MOST, "it counts as far as it goes");
        tally.restore(9, 10);
        assert!(tally.add_within(9, 5, 15) && !tally.add_within(9, 1, 15));
        assert!(tally.add_within(10, 15, 15), "a new period");
        assert_eq!(tally.last(), (10, 15));
    }
}
