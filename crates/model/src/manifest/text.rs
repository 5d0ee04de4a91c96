//! The manifest's text: which line and column a byte stands at.

use std::ops::Range;
use std::sync::Arc;

use super::error::ManifestError;
use crate::place::Place;

/// Columns up to here count characters, beyond it bytes.
const MAX_COUNTED: usize = 16 << 10;

/// Lines up to here are shown with their mistakes.
const MAX_SHOWN: usize = 500;

/// A manifest's text and name.
pub(crate) struct Source<'t> {
    file: Arc<str>,
    text: &'t str,
    line_starts: Vec<usize>,
    /// Whether no message shows anything of the text but names.
    secret: bool,
}

impl<'t> Source<'t> {
    pub(crate) fn new(file: &str, text: &'t str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        Self {
            file: file.into(),
            text,
            line_starts: std::iter::once(0).chain(breaks.map(|(i, _)| i + 1)).collect(),
            secret: false,
        }
    }

    /// A text that holds secrets: its lines are not shown with their mistakes.
    pub(crate) fn secret(file: &str, text: &'t str) -> Self {
        Self { secret: true, ..Self::new(file, text) }
    }

    /// Whether no message shows anything of the text but names.
    pub(crate) fn is_secret(&self) -> bool {
        self.secret
    }

    pub(crate) fn text(&self) -> &'t str {
        self.text
    }

    /// The place of the byte at `offset`; one past the end is the end.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let (line, start) = self.line_of(offset);
        let offset = self.text.floor_char_boundary(offset);
        let before = &self.text[start..offset.max(start)];
        // Counting characters costs the line's length for each place: bytes will do far out.
        let column = match before.len() {
            0..MAX_COUNTED => before.chars().count() + 1,
            bytes => bytes + 1,
        };
        Place {
            file: self.file.clone(),
            line: u32::try_from(line + 1).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }

    fn line_of(&self, offset: usize) -> (usize, usize) {
        // The first line starts at 0, so at least one start is not behind `offset`.
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1) - 1;
        (line, self.line_starts[line])
    }

    /// A mistake at `span`.
    pub(crate) fn error(&self, span: &Range<usize>, message: impl Into<String>) -> ManifestError {
        let (line, start) = self.line_of(span.start);
        let end = self.line_starts.get(line + 1).map_or(self.text.len(), |next| next - 1);
        let shown = self.text.get(span.start..span.end.min(end));
        let line = &self.text[start..end];
        let line = if line.len() < MAX_SHOWN && !self.secret { line } else { "" };
        ManifestError {
            message: message.into(),
            place: self.place(span.start),
            hint: None,
            line: line.trim_end_matches('\r').to_owned(),
            width: shown.map_or(1, |shown| shown.chars().count().max(1)),
        }
    }
}
