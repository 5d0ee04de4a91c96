//! How long an instance lives.

use std::time::Duration;

/// How many requests one instance serves, one after the other, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reuse {
    /// How many requests; 1 is a fresh instance for each.
    pub requests: u32,
    /// How long it waits for the next.
    pub idle: Duration,
    /// How much more memory it may have than after its first request, in bytes.
    pub growth_bytes: u64,
}

impl Reuse {
    /// Whether an instance serves more than one request.
    pub fn is_on(&self) -> bool {
        self.requests > 1
    }
}

impl Default for Reuse {
    fn default() -> Self {
        Self { requests: 1, idle: Duration::from_secs(30), growth_bytes: 16 << 20 }
    }
}
