//! Using up the processor, and ending badly.

use std::hint::black_box;

use wasip2::clocks::monotonic_clock::{now, subscribe_duration};
use wasip2::http::types::{Fields, OutgoingResponse};
use wasip2::io::poll::poll;
use wasip2::random::random::get_random_bytes;

pub fn spin() {
    loop {
        black_box(0);
    }
}

/// Hardly any time is the guest's own.
pub fn spin_in_host() {
    loop {
        black_box(now());
    }
}

/// Each poll is ready at once.
pub fn spin_in_poll() {
    loop {
        let ready = subscribe_duration(0);
        black_box(poll(&[&ready]));
    }
}

/// Each call takes the host a while.
pub fn spin_in_random() {
    loop {
        black_box(get_random_bytes(1 << 20));
    }
}

/// Each call has the host copy a hundred kilobytes.
pub fn spin_in_copies() {
    let value = vec![b'x'; 100_000];
    loop {
        let fields = Fields::new();
        let _ = black_box(fields.append("x", &value));
    }
}

pub fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth + 1))) + 1
}

/// Never answers, and takes nothing.
pub fn sleep() {
    subscribe_duration(3_600_000_000_000).block();
}

pub fn divide() -> String {
    let by: i32 = black_box(0);
    (black_box(i32::MIN).wrapping_div(by)).to_string()
}

pub fn out_of_bounds() -> String {
    let place = black_box(0xffff_fff0_usize) as *const u8;
    // Beyond the memory, which the host has to notice.
    unsafe { std::ptr::read_volatile(place) }.to_string()
}

/// Uses a handle that nobody gave it.
pub fn forged_handle() {
    let forged = unsafe { OutgoingResponse::from_handle(black_box(12345)) };
    let _ = black_box(forged.status_code());
}
