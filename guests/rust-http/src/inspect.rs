//! What the guest sees of itself and its surroundings, one fact a line.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use wasip2::cli::environment;
use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::random::{insecure, random};

use crate::exchange::{Exchange, Failure, wit_failure};
use bindings::wasi::config::store;

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "imports" });
}

/// Lines `method …`, `scheme …`, `authority …`, `target …`, then `name: value` as they came.
pub fn headers(exchange: &mut Exchange) -> Result<(), Failure> {
    let request = &exchange.request;
    let mut text = String::new();
    writeln!(text, "method {:?}", request.method())?;
    writeln!(text, "scheme {:?}", request.scheme())?;
    writeln!(text, "authority {}", request.authority().unwrap_or_default())?;
    writeln!(text, "target {}", exchange.target())?;
    for (name, value) in request.headers().entries() {
        writeln!(text, "{name}: {}", String::from_utf8_lossy(&value))?;
    }
    exchange.text(&text)
}

pub fn env(exchange: &mut Exchange) -> Result<(), Failure> {
    let mut text = String::new();
    for (name, value) in environment::get_environment() {
        writeln!(text, "{name}={value}")?;
    }
    exchange.text(&text)
}

pub fn args(exchange: &mut Exchange) -> Result<(), Failure> {
    let lines: Vec<_> = environment::get_arguments().iter().map(|arg| format!("{arg}\n")).collect();
    exchange.text(&lines.concat())
}

/// The value of a key of `wasi:config`: 404 where it has none.
pub fn config(exchange: &mut Exchange, key: &str) -> Result<(), Failure> {
    match store::get(key).map_err(|error| wit_failure("wasi:config", error))? {
        Some(value) => exchange.text(&value),
        None => exchange.answer(404, "no such key\n"),
    }
}

/// `bytes` random bytes (16 unless told) in hexadecimal.
pub fn random(exchange: &mut Exchange) -> Result<(), Failure> {
    let bytes = random::get_random_bytes(exchange.number("bytes", 16)?);
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    exchange.text(&text)
}

/// The same of numbers that need not be hard to guess.
pub fn insecure(exchange: &mut Exchange) -> Result<(), Failure> {
    let mut bytes = insecure::get_insecure_random_bytes(exchange.number("bytes", 16)?);
    bytes.extend(insecure::get_insecure_random_u64().to_le_bytes());
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    exchange.text(&text)
}

/// Lines `monotonic NANOSECONDS` and `wall SECONDS.NANOSECONDS`.
pub fn clock(exchange: &mut Exchange) -> Result<(), Failure> {
    let wall = wall_clock::now();
    let text = format!(
        "monotonic {}\nwall {}.{:09}\n",
        monotonic_clock::now(),
        wall.seconds,
        wall.nanoseconds
    );
    exchange.text(&text)
}

/// How many requests this instance has served: always 1 where each has an instance of its own.
pub fn count(exchange: &mut Exchange) -> Result<(), Failure> {
    static SERVED: AtomicU32 = AtomicU32::new(0);
    let served = SERVED.fetch_add(1, Ordering::Relaxed) + 1;
    exchange.text(&served.to_string())
}

/// Writes `lines` lines (1 unless told) to standard output and as many to standard error.
pub fn log(exchange: &mut Exchange) -> Result<(), Failure> {
    let text = exchange.query("text").unwrap_or_else(|| "line".to_owned());
    for number in 1..=exchange.number("lines", 1)? {
        println!("stdout {text} {number}");
        eprintln!("stderr {text} {number}");
    }
    exchange.text("logged\n")
}
