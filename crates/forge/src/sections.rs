//! Walks the sections of one component or module without entering what is nested in it, so that
//! reading the world of an 18 MB component costs microseconds.

use std::ops::Range;

use wasmparser::{Chunk, Parser, Payload};

/// One section: what it says and where it stands, its header included.
pub(crate) struct Section<'a> {
    pub(crate) range: Range<usize>,
    pub(crate) payload: Payload<'a>,
}

/// The sections of `wasm`, in order; ends after the first error.
pub(crate) fn sections(wasm: &[u8]) -> Sections<'_> {
    Sections { parser: Parser::new(0), wasm, at: 0, done: false }
}

pub(crate) struct Sections<'a> {
    parser: Parser,
    wasm: &'a [u8],
    at: usize,
    done: bool,
}

impl<'a> Sections<'a> {
    fn advance(&mut self) -> wasmparser::Result<Option<Section<'a>>> {
        let start = self.at;
        let (payload, consumed) = match self.parser.parse(&self.wasm[start..], true)? {
            Chunk::Parsed { payload, consumed } => (payload, consumed),
            // The parser is told that there is no more data, so it never asks for more.
            Chunk::NeedMoreData(_) => return Ok(None),
        };
        self.at = start + consumed;
        match &payload {
            Payload::ModuleSection { unchecked_range, .. }
            | Payload::ComponentSection { unchecked_range, .. } => {
                if unchecked_range.end > self.wasm.len() {
                    let end = self.wasm.len();
                    return Err(self.truncated(end));
                }
                self.at = unchecked_range.end;
            }
            Payload::CodeSectionStart { range, .. } => {
                if range.end > self.wasm.len() {
                    let end = self.wasm.len();
                    return Err(self.truncated(end));
                }
                self.parser.skip_section();
                self.at = range.end;
            }
            Payload::End(_) => self.done = true,
            _ => {}
        }
        Ok(Some(Section { range: start..self.at, payload }))
    }

    /// The parser's own error for data that ends too early: it is asked to read past the end.
    fn truncated(&self, end: usize) -> wasmparser::BinaryReaderError {
        let mut reader = wasmparser::BinaryReader::new(&self.wasm[end..], end);
        match reader.read_u8() {
            Err(error) => error,
            Ok(_) => unreachable!("an empty slice has no byte"),
        }
    }
}

impl<'a> Iterator for Sections<'a> {
    type Item = wasmparser::Result<Section<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let section = self.advance().transpose();
        if !matches!(section, Some(Ok(_))) {
            self.done = true;
        }
        section
    }
}
