//! Using up the processor.

use std::hint::black_box;

use wasip3::cli::environment;
use wasip3::clocks::monotonic_clock::{now, wait_for};
use wasip3::http::types::Fields;
use wasip3::random::random::get_random_bytes;

pub fn spin() -> ! {
    loop {
        black_box(0);
    }
}

/// Hardly any time is the guest's own.
pub fn spin_in_host() -> ! {
    loop {
        black_box(now());
    }
}

/// Each wait is over at once.
pub async fn spin_in_yields() -> ! {
    loop {
        wait_for(0).await;
    }
}

/// Each call takes the host a while.
pub fn spin_in_random() -> ! {
    loop {
        black_box(get_random_bytes(1 << 20));
    }
}

/// Each call has the host copy a hundred kilobytes.
pub fn spin_in_copies() -> ! {
    let value = vec![b'x'; 100_000];
    loop {
        let fields = Fields::new();
        let _ = black_box(fields.append("x", &value));
    }
}

/// Has the host make the same texts for ever.
pub fn environment() -> ! {
    loop {
        black_box(environment::get_environment());
    }
}

pub fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth + 1))) + 1
}
