//! Copies single sections of a core module, changed in one thing.

use std::convert::Infallible;
use std::ops::Range;

use wasm_encoder::reencode::{self, Reencode, utils};
use wasm_encoder::{ConstExpr, Encode as _, RawSection, SectionId};
use wasmparser::GlobalSectionReader;

use super::outline::Outline;
use super::split::Suited;

/// Copies, with memories that have so many pages at least.
pub(super) struct AsLarge(pub(super) u64);

impl Reencode for AsLarge {
    type Error = Infallible;

    fn memory_type(
        &mut self,
        memory: wasmparser::MemoryType,
    ) -> Result<wasm_encoder::MemoryType, reencode::Error> {
        Ok(wasm_encoder::MemoryType { minimum: self.0, ..utils::memory_type(self, memory) })
    }
}

/// Copies the globals, with these values for some; `values` is in the order of their indices.
pub(super) fn write_globals(
    out: &mut wasm_encoder::Module,
    outline: &Outline,
    module: &[u8],
    section: GlobalSectionReader<'_>,
    values: Vec<(u32, ConstExpr)>,
) -> Suited<()> {
    let mut content = Vec::new();
    section.count().encode(&mut content);
    let end = section.range().end;
    let all = section.into_iter_with_offsets().collect::<Result<Vec<_>, _>>()?;
    let ends = all.iter().skip(1).map(|(at, _)| *at).chain([end]);
    let mut values = values.into_iter().peekable();
    for ((index, (at, global)), end) in (outline.imported_globals..).zip(&all).zip(ends) {
        match values.next_if(|(known, _)| *known == index) {
            Some((_, value)) => {
                let type_end = global.init_expr.get_binary_reader().original_position();
                content.extend_from_slice(&module[*at..type_end]);
                value.encode(&mut content);
            }
            None => content.extend_from_slice(&module[*at..end]),
        }
    }
    out.section(&RawSection { id: SectionId::Global as u8, data: &content });
    Ok(())
}

pub(super) fn copy(out: &mut wasm_encoder::Module, module: &[u8], id: u8, content: &Range<usize>) {
    out.section(&RawSection { id, data: &module[content.clone()] });
}

/// Copies a section of so many items, the last of which are added.
pub(super) fn extend(
    out: &mut wasm_encoder::Module,
    module: &[u8],
    id: u8,
    content: &Range<usize>,
    count: u32,
    more: &[u8],
) {
    let content = &module[content.clone()];
    let items = 1 + content.iter().take_while(|byte| **byte >= 0x80).count();
    let mut data = Vec::with_capacity(content.len() + more.len() + 1);
    count.encode(&mut data);
    data.extend_from_slice(&content[items..]);
    data.extend_from_slice(more);
    out.section(&RawSection { id, data: &data });
}
