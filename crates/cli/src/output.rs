//! Results on standard output. Whoever reads them may stop early: a closed pipe is no failure.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Prints one line, or several, of a result.
///
/// # Errors
/// If standard output takes nothing, other than for having been closed.
pub(crate) fn line(text: impl fmt::Display) -> Result<()> {
    tolerate(writeln!(anstream::stdout(), "{text}"))
}

/// Prints a result for machines.
///
/// # Errors
/// As [`line`].
pub(crate) fn json(value: &serde_json::Value) -> Result<()> {
    line(format_args!("{value:#}"))
}

/// Prints rows for people, each column as wide as its widest cell.
///
/// # Errors
/// As [`line`].
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Result<()> {
    let mut widths = head.map(|cell| cell.chars().count());
    for (width, column) in widths.iter_mut().zip(0..) {
        let cells = rows.iter().filter_map(|row| row.get::<usize>(column));
        *width = cells.map(|cell| cell.chars().count()).fold(*width, usize::max);
    }
    let head = head.map(str::to_owned);
    for row in std::iter::once(&head).chain(rows) {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        line(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Prints bytes as they are.
///
/// # Errors
/// As [`line`].
pub(crate) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    tolerate(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// Writes a file that is there whole or not at all.
///
/// # Errors
/// If it cannot be written there.
pub(crate) fn file(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> Result<()> {
        let Some(name) = path.file_name() else { bail!("it names no file") };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(name).tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("failed to write `{}`", path.display()))
}

fn tolerate(written: std::io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// A size for people: three digits and a binary unit.
pub(crate) struct Size(pub(crate) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while value >= 1000.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
        write!(f, "{value:.digits$} {}", UNITS[unit])
    }
}

/// A duration in microseconds for people: three digits and a unit.
pub(crate) struct Micros(pub(crate) u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, f64); 4] = [("ms", 1e3), ("s", 1e6), ("min", 60e6), ("h", 3600e6)];
        if self.0 < 1000 {
            return write!(f, "{} µs", self.0);
        }
        let us = self.0 as f64;
        let fits = |unit: &&(&str, f64)| us / unit.1 >= 1.0;
        let (unit, size) = UNITS.iter().rev().find(fits).unwrap_or(&UNITS[0]);
        let value = us / size;
        let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
        write!(f, "{value:.digits$} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        let micros = |us| Micros(us).to_string();
        assert_eq!(micros(0), "0 µs");
        assert_eq!(micros(999), "999 µs");
        assert_eq!(micros(1_234), "1.23 ms");
        assert_eq!(micros(56_789), "56.8 ms");
        assert_eq!(micros(2_000_000), "2.00 s");
        assert_eq!(micros(90_000_000), "1.50 min");
        assert_eq!(micros(7_200_000_000), "2.00 h");
        assert_eq!(micros(720_000_000_000), "200 h");
    }

    #[test]
    fn sizes_have_three_digits() {
        let size = |bytes| Size(bytes).to_string();
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1024), "1.00 KiB");
        assert_eq!(size(85_820), "83.8 KiB");
        assert_eq!(size(1_023_000), "999 KiB");
        assert_eq!(size(18_848_728), "18.0 MiB");
        assert_eq!(size(4 << 30), "4.00 GiB");
    }
}
