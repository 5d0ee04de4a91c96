//! Durations, counted by their length.

use std::time::Duration;

use super::Counter;

/// The upper bounds of the buckets, in seconds; what is longer is in one more.
pub const BOUNDS: [f64; 16] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// The same in nanoseconds.
const BOUNDS_NANOS: [u64; BOUNDS.len()] = {
    let mut nanos = [0; BOUNDS.len()];
    let mut index = 0;
    while index < BOUNDS.len() {
        nanos[index] = (BOUNDS[index] * 1e9) as u64;
        index += 1;
    }
    nanos
};

/// Durations, counted by their length.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BOUNDS.len() + 1],
    nanos: Counter,
}

/// What a histogram held at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// How many were in each bucket, not cumulated.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// All durations together, in seconds.
    pub seconds: f64,
}

impl Histogram {
    /// Counts one.
    #[inline]
    pub fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        // Most are in the first buckets.
        let bucket = BOUNDS_NANOS.iter().position(|bound| nanos <= *bound);
        self.buckets[bucket.unwrap_or(BOUNDS.len())].count();
        self.nanos.add(nanos);
    }

    /// What it holds now.
    pub fn observed(&self) -> Observed {
        Observed {
            buckets: std::array::from_fn(|index| self.buckets[index].get()),
            seconds: seconds(self.nanos.get()),
        }
    }
}

impl Observed {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// Nanoseconds as seconds.
pub(super) fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_it_fits() {
        let histogram = Histogram::default();
        for micros in [1, 100, 101, 1_000, 9_999_999, 10_000_000, 60_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let observed = histogram.observed();
        let filled: Vec<(usize, u64)> =
            observed.buckets.iter().copied().enumerate().filter(|(_, n)| *n > 0).collect();
        assert_eq!(filled, [(0, 2), (1, 1), (3, 1), (15, 2), (16, 1)]);
        assert_eq!(observed.count(), 7);
        assert!((observed.seconds - 80.001_201).abs() < 1e-6, "{}", observed.seconds);
    }
}
