//! What an app's components used, as it is added up: counts, and durations by their length.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What was used within some time. Sums are saturating: nothing that is counted comes near.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Requests that ended, by the class of their status: none (the client left before), 2xx, 3xx,
    /// 4xx, 5xx.
    pub requests: [u64; 5],
    /// Requests that Dayfly answered with an error, or whose answer broke off, by whosever fault but
    /// the client's.
    pub errors: u64,
    /// Events that were handed to a handler; each attempt is one.
    pub events: u64,
    /// Those of them that were not handled.
    pub events_failed: u64,
    /// Requests and events that waited until their component was loaded.
    pub cold_starts: u64,
    /// CPU time of guests and of the host functions that they called, in nanoseconds.
    pub cpu_ns: u64,
    /// The most linear memory that an instance had, in bytes.
    pub memory_peak_bytes: u64,
    /// Bodies of requests, as far as they were taken in, in bytes.
    pub bytes_in: u64,
    /// Bodies of answers, as far as they were handed over, in bytes.
    pub bytes_out: u64,
    /// How long requests and events took, from their arrival at the component until the answer was
    /// handed over.
    pub durations: Durations,
}

/// Durations, counted by their length: each octave has sixteen buckets, so that a percentile is told
/// with a relative error of at most [`Durations::RELATIVE_ERROR`], or of a microsecond if that is more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    counts: BTreeMap<u16, u64>,
    longest_us: u64,
}

/// Buckets of one octave, as a power of two.
const BITS: u32 = 4;

/// The octaves: what is longer than 2^30 µs (18 minutes) is in the last bucket.
const OCTAVES: u32 = 30;

impl Usage {
    /// Adds what was used beside it.
    pub fn add(&mut self, more: &Self) {
        let sum = |own: &mut u64, more: u64| *own = own.saturating_add(more);
        for (own, more) in self.requests.iter_mut().zip(more.requests) {
            sum(own, more);
        }
        sum(&mut self.errors, more.errors);
        sum(&mut self.events, more.events);
        sum(&mut self.events_failed, more.events_failed);
        sum(&mut self.cold_starts, more.cold_starts);
        sum(&mut self.cpu_ns, more.cpu_ns);
        sum(&mut self.bytes_in, more.bytes_in);
        sum(&mut self.bytes_out, more.bytes_out);
        self.memory_peak_bytes = self.memory_peak_bytes.max(more.memory_peak_bytes);
        self.durations.add(&more.durations);
    }

    /// Whether nothing was used.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Durations {
    /// How many buckets there are.
    pub const BUCKETS: usize = (1 << BITS) + ((OCTAVES - BITS) << BITS) as usize;

    /// How far a percentile may be off, as a part of it.
    pub const RELATIVE_ERROR: f64 = 1.0 / (2 << BITS) as f64;

    /// The bucket of a duration in microseconds.
    #[must_use]
    pub const fn bucket(us: u64) -> usize {
        if us < 1 << BITS {
            return us as usize;
        }
        let octave = us.ilog2();
        if octave >= OCTAVES {
            return Self::BUCKETS - 1;
        }
        let within = (us >> (octave - BITS)) as usize & ((1 << BITS) - 1);
        (((octave - BITS + 1) << BITS) as usize) + within
    }

    /// The middle of a bucket, in microseconds.
    fn middle(bucket: u16) -> u64 {
        let (octave, within) = (u32::from(bucket >> BITS), u64::from(bucket & ((1 << BITS) - 1)));
        match octave.checked_sub(1) {
            None => within,
            Some(shift) => (((1 << BITS) + within) << shift) + (1 << shift) / 2,
        }
    }

    /// Counts so many in a bucket; one that is not there is not counted.
    pub fn count(&mut self, bucket: usize, count: u64) {
        if let Ok(bucket) = u16::try_from(bucket)
            && usize::from(bucket) < Self::BUCKETS
            && count > 0
        {
            let own = self.counts.entry(bucket).or_default();
            *own = own.saturating_add(count);
        }
    }

    /// Notes that one took so long.
    pub fn raise_longest(&mut self, us: u64) {
        self.longest_us = self.longest_us.max(us);
    }

    /// Adds others.
    pub fn add(&mut self, more: &Self) {
        more.counts.iter().for_each(|(bucket, count)| self.count((*bucket).into(), *count));
        self.raise_longest(more.longest_us);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.counts.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The longest, in microseconds; exact.
    #[must_use]
    pub fn longest_us(&self) -> u64 {
        self.longest_us
    }

    /// What so many of a hundred take at most, in microseconds; 0 if there is none.
    #[must_use]
    pub fn percentile_us(&self, percent: f64) -> u64 {
        let rank = (self.len() as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut below = 0_u64;
        let found = self.counts.iter().find(|(_, count)| {
            below = below.saturating_add(**count);
            below >= rank
        });
        found.map_or(0, |(bucket, _)| Self::middle(*bucket).min(self.longest_us))
    }

    /// As few bytes as they take: how far each bucket is from the one before, and its count, as
    /// LEB128. What takes longest is not in it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut before = 0;
        for (bucket, count) in &self.counts {
            write(&mut bytes, u64::from(bucket - before));
            write(&mut bytes, *count);
            before = *bucket;
        }
        bytes
    }

    /// The same read back; nothing if that is no such text.
    #[must_use]
    pub fn from_bytes(mut bytes: &[u8], longest_us: u64) -> Option<Self> {
        let mut durations = Self { longest_us, ..Self::default() };
        let mut bucket = 0_usize;
        while !bytes.is_empty() {
            bucket = bucket.checked_add(usize::try_from(read(&mut bytes)?).ok()?)?;
            if bucket >= Self::BUCKETS {
                return None;
            }
            durations.count(bucket, read(&mut bytes)?);
        }
        Some(durations)
    }
}

fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all: impl IntoIterator<Item = u64>) -> Durations {
        let mut durations = Durations::default();
        for us in all {
            durations.count(Durations::bucket(us), 1);
            durations.raise_longest(us);
        }
        durations
    }

    #[test]
    fn every_duration_is_near_the_middle_of_its_bucket() {
        let octaves = (0..25).flat_map(|bit| [(1 << bit) * 37, (1 << bit) * 31 - 1]);
        for us in (0..5000).chain(octaves) {
            let middle = Durations::middle(Durations::bucket(us) as u16);
            let most = (us as f64 * Durations::RELATIVE_ERROR).max(1.0);
            assert!((middle.abs_diff(us) as f64) <= most, "{us}: {middle}");
        }
        let buckets: Vec<_> = (0..5000).map(Durations::bucket).collect();
        assert!(buckets.windows(2).all(|two| two[1] == two[0] || two[1] == two[0] + 1));
        assert_eq!(Durations::bucket(u64::MAX), Durations::BUCKETS - 1);
        assert_eq!(Durations::bucket((1 << 30) - 1), Durations::BUCKETS - 1);
    }

    #[test]
    fn percentiles_of_a_known_distribution_are_within_the_stated_error() {
        // Uniform from 1 to 100 000 µs, and one that is far off.
        let durations = of((1..=100_000).chain([7_000_000]));
        assert_eq!((durations.len(), durations.longest_us()), (100_001, 7_000_000));
        for (percent, exact) in [(50.0, 50_001.0), (90.0, 90_001.0), (99.0, 99_001.0)] {
            let told = durations.percentile_us(percent) as f64;
            let error = (told - exact).abs() / exact;
            assert!(error <= Durations::RELATIVE_ERROR, "{percent}: {told}, {error}");
        }
        // Exponential, by its quantiles: heavy in the lower buckets.
        let of_rank = |rank: u64| (-1000.0 * (1.0 - rank as f64 / 10_001.0).ln()) as u64;
        let durations = of((1..=10_000).map(of_rank));
        for percent in [1.0_f64, 50.0, 95.0, 99.9] {
            let exact = of_rank((percent * 100.0) as u64) as f64;
            let told = durations.percentile_us(percent) as f64;
            let most = (exact * Durations::RELATIVE_ERROR).max(1.0);
            assert!((told - exact).abs() <= most, "{percent}: {told} {exact}");
        }
        assert_eq!(Durations::default().percentile_us(50.0), 0);
        assert_eq!(of([5]).percentile_us(99.0), 5);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut durations = of([0, 3, 3, 900, 70_000, 1 << 40]);
        durations.count(20, u64::MAX);
        let bytes = durations.to_bytes();
        assert_eq!(Durations::from_bytes(&bytes, durations.longest_us()), Some(durations));
        assert!(bytes.len() < 30, "{bytes:?}");
        for odd in [&[0x80][..], &[1], &[0xff, 0x7f, 1], &[0xff; 12]] {
            assert_eq!(Durations::from_bytes(odd, 0), None, "{odd:?}");
        }
    }

    #[test]
    fn what_is_added_is_the_sum_and_the_higher_peak() {
        let one = Usage {
            requests: [0, 3, 0, 1, 0],
            cpu_ns: 5,
            memory_peak_bytes: 10,
            durations: of([1, 2]),
            ..Usage::default()
        };
        let mut sum = one.clone();
        sum.add(&Usage { memory_peak_bytes: 4, bytes_out: 7, ..one.clone() });
        assert_eq!((sum.requests, sum.cpu_ns, sum.bytes_out), ([0, 6, 0, 2, 0], 10, 7));
        assert_eq!((sum.memory_peak_bytes, sum.durations.len()), (10, 4));
        assert!(!sum.is_nothing() && Usage::default().is_nothing());
    }
}
