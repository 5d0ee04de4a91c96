//! Every way in which a handler can go wrong, and odd answers that are nevertheless right.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Duration;

use wasip2::http::types::ErrorCode;

use crate::exchange::{Exchange, Failure};

/// Answers with status `code`.
pub fn status(exchange: &mut Exchange) -> Result<(), Failure> {
    let code = exchange.number("code", 200)?;
    exchange.answer(u16::try_from(code)?, &format!("status {code}\n"))
}

/// Answers after `ms` milliseconds.
pub fn sleep(exchange: &mut Exchange) -> Result<(), Failure> {
    std::thread::sleep(Duration::from_millis(exchange.number("ms", 1000)?));
    exchange.text("slept\n")
}

/// Never ends.
pub fn spin() -> Result<(), Failure> {
    loop {
        black_box(0);
    }
}

/// Computes for `rounds` rounds, of about a nanosecond each.
pub fn work(exchange: &mut Exchange) -> Result<(), Failure> {
    let mut sum = 1_u64;
    for round in 0..exchange.number("rounds", 1_000_000)? {
        sum = black_box(sum.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ round);
    }
    exchange.text(&format!("{sum}\n"))
}

pub fn panic() -> Result<(), Failure> {
    panic!("this handler panics when asked to")
}

/// Holds `mb` mebibytes, each page of them written.
pub fn alloc(exchange: &mut Exchange) -> Result<(), Failure> {
    let bytes = usize::try_from(exchange.number("mb", 1)? << 20)?;
    let memory = black_box(vec![1_u8; bytes]);
    exchange.text(&format!("{}\n", memory.len()))
}

/// Recurses `depth` calls deep: a trap where the stack ends.
pub fn recurse(exchange: &mut Exchange) -> Result<(), Failure> {
    let depth = exchange.number("depth", u64::from(u32::MAX))?;
    let reached = descend(depth);
    exchange.text(&format!("{reached}\n"))
}

#[inline(never)]
fn descend(depth: u64) -> u64 {
    let frame = black_box([depth; 8]);
    if depth == 0 { 0 } else { black_box(descend(depth - 1)) + u64::from(frame[7] == depth) }
}

/// Traps in the middle of the body.
pub fn break_off(exchange: &mut Exchange) -> Result<(), Failure> {
    let mut body = exchange.start(200, &[])?;
    body.write_all(b"the first half, and then")?;
    body.flush()?;
    panic!("this handler breaks off in the middle of its body")
}

/// Returns without a response.
pub fn no_response(_exchange: &mut Exchange) -> Result<(), Failure> {
    Ok(())
}

/// Hands back an error code in place of a response.
pub fn refuse(exchange: &mut Exchange) -> Result<(), Failure> {
    exchange.refuse(ErrorCode::InternalError(Some("this handler refuses".to_owned())));
    Ok(())
}
