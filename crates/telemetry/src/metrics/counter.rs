//! A number that only grows, unless it is taken.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows; adding to it orders nothing.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One that is zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds one.
    #[inline]
    pub fn count(&self) {
        self.add(1);
    }

    /// Adds `more`.
    #[inline]
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// Raises it to `value` if it is less.
    #[inline]
    pub fn raise(&self, value: u64) {
        // Most look and change nothing.
        if self.0.load(Relaxed) < value {
            self.0.fetch_max(value, Relaxed);
        }
    }

    /// The number now, which is zero from here on.
    pub fn take(&self) -> u64 {
        // Most are, of components that nobody asks for.
        if self.get() == 0 { 0 } else { self.0.swap(0, Relaxed) }
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
