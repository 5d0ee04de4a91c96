//! Replaces names inside sections and leaves every other byte as it is.

use std::ops::Range;

/// Replaces one length-prefixed name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    /// The section that the name stands in, header included.
    pub(crate) section: Range<usize>,
    /// The name with its length prefix.
    pub(crate) name: Range<usize>,
    /// The new name.
    pub(crate) to: String,
}

impl Edit {
    /// The edit that makes `name`, a slice of `wasm` inside `section`, read `to`.
    ///
    /// The byte before a name's length prefix must be below 0x80, as the last byte of an index or
    /// a discriminant is: that is how the prefix, which may be padded, is found.
    pub(crate) fn new(wasm: &[u8], section: &Range<usize>, name: &str, to: String) -> Self {
        let text = name.as_ptr() as usize - wasm.as_ptr() as usize;
        let mut start = text - 1;
        while start > section.start && wasm[start - 1] >= 0x80 {
            start -= 1;
        }
        Self { section: section.clone(), name: start..text + name.len(), to }
    }
}

/// `wasm` with `edits` made. Edits may come in any order; none may overlap.
pub(crate) fn splice(wasm: &[u8], mut edits: Vec<Edit>) -> Vec<u8> {
    edits.sort_by_key(|edit| edit.name.start);
    edits.dedup();
    let mut out = Vec::with_capacity(wasm.len() + 64);
    let mut copied = 0;
    for group in edits.chunk_by(|a, b| a.section == b.section) {
        let section = &group[0].section;
        out.extend_from_slice(&wasm[copied..section.start]);
        write_section(&mut out, wasm, section, group);
        copied = section.end;
    }
    out.extend_from_slice(&wasm[copied..]);
    out
}

fn write_section(out: &mut Vec<u8>, wasm: &[u8], section: &Range<usize>, edits: &[Edit]) {
    let mut content = Vec::with_capacity(section.len() + 64);
    let mut copied = section.start + 1;
    // The section's own size: skipped here, written anew below.
    while wasm[copied] >= 0x80 {
        copied += 1;
    }
    copied += 1;
    for edit in edits {
        content.extend_from_slice(&wasm[copied..edit.name.start]);
        write_size(&mut content, edit.to.len());
        content.extend_from_slice(edit.to.as_bytes());
        copied = edit.name.end;
    }
    content.extend_from_slice(&wasm[copied..section.end]);
    out.push(wasm[section.start]);
    write_size(out, content.len());
    out.extend_from_slice(&content);
}

/// Unsigned LEB128, in as few bytes as it takes.
fn write_size(out: &mut Vec<u8>, mut size: usize) {
    loop {
        let byte = (size & 0x7f) as u8;
        size >>= 7;
        if size == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}
