//! How a test went, for people and for machines.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use dayfly_host::printable;
use dayfly_model::Place;
use dayfly_model::test_file::Test;
use serde_json::{Value, json};

use super::matching::Mismatch;

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// How many lines of a log are shown; the last ones.
const SHOWN_LINES: usize = 50;

/// How a test went.
pub(crate) struct Verdict {
    pub(crate) file: String,
    pub(crate) name: String,
    place: Place,
    pub(crate) took: Duration,
    /// What was not as expected; nothing if it passed.
    pub(crate) failures: Vec<Failure>,
    /// What components logged.
    pub(super) log: Vec<String>,
}

/// A step that did not bring what is expected.
pub(crate) struct Failure {
    pub(super) title: String,
    pub(super) place: Place,
    pub(super) mismatches: Vec<Mismatch>,
}

impl Verdict {
    pub(super) fn new(file: &str, test: &Test) -> Self {
        Self {
            file: file.to_owned(),
            name: test.name.clone(),
            place: test.place.clone(),
            took: Duration::ZERO,
            failures: Vec::new(),
            log: Vec::new(),
        }
    }

    pub(crate) fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// A line, and behind it what went wrong.
    pub(crate) fn text(&self) -> String {
        let (word, style) = if self.passed() { ("PASS", GOOD) } else { ("FAIL", BAD) };
        let (name, took) = (printable(&self.name), self.took.as_millis());
        let mut text =
            format!("{style}{word}{style:#}  {}  {name} {DIM}({took} ms){DIM:#}", self.file);
        for failure in &self.failures {
            failure.write(&mut text);
        }
        if !self.passed() && !self.log.is_empty() {
            text.push_str("\n    log");
            let left_out = self.log.len().saturating_sub(SHOWN_LINES);
            if left_out > 0 {
                let _ = write!(text, ", without its first {left_out} lines");
            }
            for line in &self.log[left_out..] {
                let _ = write!(text, "\n      {}", printable(line));
            }
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "file": self.file,
            "name": self.name,
            "line": self.place.line,
            "passed": self.passed(),
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "failures": self.failures.iter().flat_map(Failure::json).collect::<Vec<_>>(),
            "log": if self.passed() { &[][..] } else { &self.log[..] },
        })
    }
}

impl Failure {
    /// Writing to a string cannot fail.
    fn write(&self, text: &mut String) {
        let _ = write!(text, "\n    {}: {}", self.place, printable(&self.title));
        for Mismatch { what, expected, got } in &self.mismatches {
            let (what, got) = (printable(what), if got.is_empty() { "\"\"" } else { got.as_str() });
            if !expected.contains('\n') && !got.contains('\n') {
                let _ = write!(text, "\n      {what}: expected {expected}, got {got}");
                continue;
            }
            let _ = write!(text, "\n      {what}:");
            for line in differing(expected, got) {
                let _ = write!(text, "\n        {line}");
            }
        }
    }

    fn json(&self) -> impl Iterator<Item = Value> {
        self.mismatches.iter().map(|Mismatch { what, expected, got }| {
            json!({
                "step": self.title,
                "line": self.place.line,
                "what": what,
                "expected": expected,
                "got": got,
            })
        })
    }
}

/// Two texts line by line: what only the first has behind a `-`, what only the second has behind a `+`, a
/// line of what both have around it.
fn differing(one: &str, other: &str) -> Vec<String> {
    let (expected, got): (Vec<_>, Vec<_>) = (one.lines().collect(), other.lines().collect());
    if expected == got {
        // Only the end of the last line differs.
        return vec![format!("- {one:?}"), format!("+ {other:?}")];
    }
    let same = expected.iter().zip(&got).take_while(|(a, b)| a == b).count();
    let rest = expected[same..].iter().rev().zip(got[same..].iter().rev());
    let after = rest.take_while(|(a, b)| a == b).count();
    let mut lines = Vec::new();
    let both = |line: &&str| format!("  {line}");
    lines.extend(same.checked_sub(1).map(|last| both(&expected[last])));
    lines.extend(expected[same..expected.len() - after].iter().map(|line| format!("- {line}")));
    lines.extend(got[same..got.len() - after].iter().map(|line| format!("+ {line}")));
    lines.extend(expected[expected.len() - after..].first().map(both));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_shown_with_a_line_around_it() {
        assert_eq!(differing("a\nb\nc\nd\n", "a\nb\nx\nd\n"), ["  b", "- c", "+ x", "  d"]);
        assert_eq!(differing("a", "a\nb"), ["  a", "+ b"]);
        assert_eq!(differing("a\na", "a"), ["  a", "- a"]);
        assert_eq!(differing("hello\n", "hello"), ["- \"hello\\n\"", "+ \"hello\""]);
    }
}
