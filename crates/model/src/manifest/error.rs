//! Mistakes in manifests: where, what, how to mend it, and how they are shown.

use std::fmt;

use crate::place::Place;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError {
    /// What is wrong.
    pub message: String,
    /// Where. The line is 0 when the file could not be read at all.
    pub place: Place,
    /// How to mend it.
    pub hint: Option<String>,
    /// The line that the place is in, empty if it is too long to be shown.
    pub line: String,
    /// How many characters of the line are meant.
    pub width: usize,
}

/// All mistakes of a manifest, in the order of their places. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestErrors {
    errors: Vec<ManifestError>,
    /// How many more there were.
    left_out: usize,
}

/// More than these are not even kept: a hostile manifest has one every other byte.
pub(crate) const MAX_KEPT: usize = 10_000;

/// More than these help nobody.
const MAX_ERRORS: usize = 100;

impl ManifestError {
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl ManifestErrors {
    pub(crate) fn new(mut errors: Vec<ManifestError>) -> Self {
        errors.sort_by(|a, b| a.place.cmp(&b.place));
        errors.dedup();
        let left_out = errors.len().saturating_sub(MAX_ERRORS);
        errors.truncate(MAX_ERRORS);
        Self { errors, left_out }
    }

    pub(crate) fn unread(file: &str, problem: &str) -> Self {
        Self::unread_as("manifest", file, problem)
    }

    /// Why a file of that kind could not be read at all.
    pub(crate) fn unread_as(kind: &str, file: &str, problem: &str) -> Self {
        Self::new(vec![ManifestError {
            message: format!("failed to read the {kind}: {problem}"),
            place: Place { file: file.into(), line: 0, column: 0 },
            hint: None,
            line: String::new(),
            width: 0,
        }])
    }

    /// The mistakes.
    pub fn iter(&self) -> impl Iterator<Item = &ManifestError> {
        self.errors.iter()
    }
}

impl fmt::Display for ManifestError {
    /// `file:line:column: message`, the hint on a line of its own; with `{:#}` also the line that
    /// is meant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if f.alternate() && !self.line.is_empty() {
            let column = self.place.column.saturating_sub(1) as usize;
            // Tabs are kept so that the marks stand under what they mark.
            let indent = self.line.chars().take(column).map(|c| if c == '\t' { c } else { ' ' });
            let indent: String = indent.collect();
            write!(f, "\n  | {}\n  | {indent}{}", self.line, "^".repeat(self.width))?;
        }
        match &self.hint {
            None => Ok(()),
            Some(hint) => write!(f, "\n  hint: {hint}"),
        }
    }
}

impl fmt::Display for ManifestErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            // The alternate form is handed on.
            fmt::Display::fmt(error, f)?;
        }
        match self.left_out {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for ManifestError {}

impl std::error::Error for ManifestErrors {}
