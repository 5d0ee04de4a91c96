//! Sizes and durations: a whole number with its unit.

use std::time::Duration;

use super::form::Mistake;
use super::formats::{no, no_hint};

/// A number and its unit.
fn measure<'t>(text: &'t str, example: &str) -> Result<(u64, &'t str), Mistake> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..end].parse::<u64>();
    match (number, text[end..].trim_start()) {
        (_, "") if end > 0 => Err(no_hint("has no unit", format!("for example `{example}`"))),
        (Ok(number), unit) => Ok((number, unit)),
        (Err(_), _) => {
            Err(no_hint("is not a whole number with a unit", format!("for example `{example}`")))
        }
    }
}

/// Reads a size in bytes, at least 1.
pub(super) fn parse_size(text: &str) -> Result<u64, Mistake> {
    let (number, unit) = measure(text, "128MiB")?;
    let factor: u64 = match unit {
        "B" => 1,
        "KB" | "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => {
            return Err(no_hint(
                format!("has the unit `{unit}`"),
                "units are B, KiB, MiB, GiB, KB, MB and GB",
            ));
        }
    };
    match number.checked_mul(factor) {
        None => Err(no("is too large")),
        Some(0) => Err(no("is zero")),
        Some(bytes) => Ok(bytes),
    }
}

/// Reads the size of a stack: with less no guest runs, and more is a mistake.
pub(super) fn parse_stack(text: &str) -> Result<u64, Mistake> {
    match parse_size(text)? {
        bytes @ 0x1_0000..=0x400_0000 => Ok(bytes),
        _ => Err(no("is not between 64KiB and 64MiB")),
    }
}

/// Reads a duration, more than zero and at most a week.
pub(super) fn parse_duration(text: &str) -> Result<Duration, Mistake> {
    let (number, unit) = measure(text, "500ms")?;
    let factor: u64 = match unit {
        "us" | "µs" => 1,
        "ms" => 1000,
        "s" => 1_000_000,
        "m" | "min" => 60_000_000,
        "h" => 3_600_000_000,
        _ => {
            return Err(no_hint(format!("has the unit `{unit}`"), "units are us, ms, s, m and h"));
        }
    };
    match number.checked_mul(factor) {
        Some(0) => Err(no("is zero")),
        Some(micros) if micros <= 7 * 24 * 3_600_000_000 => Ok(Duration::from_micros(micros)),
        _ => Err(no("is longer than a week")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let size = |text| parse_size(text).ok();
        assert_eq!(size("1B"), Some(1));
        assert_eq!(size("128MiB"), Some(128 << 20));
        assert_eq!(size("2 GB"), Some(2_000_000_000));
        for text in [
            "",
            "1",
            "MiB",
            "-1B",
            "1.5GiB",
            "0KiB",
            "1TB",
            "18446744073709551615GiB",
            "1\u{a0}mib",
        ] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn durations() {
        let duration = |text| parse_duration(text).ok();
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(duration("168h"), Some(Duration::from_secs(7 * 24 * 3600)));
        for text in ["", "5", "0s", "169h", "1d", "1.5s", "99999999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
