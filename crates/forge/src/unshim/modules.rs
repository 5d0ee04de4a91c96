//! The modules that take the shim's place.

use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ElementSection, Elements, EntityType, ExportKind,
    ExportSection, Function, FunctionSection, ImportSection, MemorySection, Module, RawSection,
    RefType, TableSection, TableType, TypeSection,
};
use wasmparser::{DataKind, FuncType, Payload};

use super::core::constant;
use super::plan::Plan;
use super::{Suited, Unsuited};
use crate::sections::sections;

/// What the base is called by those that import its memory.
pub(super) const BASE: &str = "dayfly:base";
pub(super) const MEMORY: &str = "memory";
pub(super) const TABLE: &str = "table";

const IMPORTS: u8 = 2;

/// The name of the function in a slot of the base's table.
pub(super) fn slot_name(slot: usize) -> String {
    slot.to_string()
}

/// The base: memory, its initial data, and calls through a table.
pub(super) fn base(plan: &Plan<'_>, data: &DataSection) -> Suited<Vec<u8>> {
    let (mut types, mut functions, mut code) =
        (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    let mut exports = ExportSection::new();
    for (slot, (_, ty)) in plan.early.iter().enumerate() {
        let index = index(slot)?;
        types.ty().func_type(&function_type(ty)?);
        functions.function(index);
        let mut body = Function::new([]);
        let mut instructions = body.instructions();
        for param in 0..ty.params().len() {
            instructions.local_get(self::index(param)?);
        }
        instructions.i32_const(index.cast_signed()).call_indirect(0, index).end();
        code.function(&body);
        exports.export(&slot_name(slot), ExportKind::Func, index);
    }
    let mut memories = MemorySection::new();
    memories.memory(plan.memory_type.into());
    let mut tables = TableSection::new();
    tables.table(table(plan)?);
    exports.export(MEMORY, ExportKind::Memory, 0).export(TABLE, ExportKind::Table, 0);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&tables).section(&memories);
    module.section(&exports).section(&code).section(data);
    Ok(module.finish())
}

/// The module that fills the base's table.
pub(super) fn fixup(plan: &Plan<'_>) -> Suited<Vec<u8>> {
    let (mut types, mut imports) = (TypeSection::new(), ImportSection::new());
    for (slot, (_, ty)) in plan.early.iter().enumerate() {
        types.ty().func_type(&function_type(ty)?);
        imports.import("", &slot_name(slot), EntityType::Function(index(slot)?));
    }
    imports.import("", TABLE, EntityType::Table(table(plan)?));
    let all: Vec<u32> = (0..index(plan.early.len())?).collect();
    let mut elements = ElementSection::new();
    elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(all.into()));
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&elements);
    Ok(module.finish())
}

/// The main module with the base's memory instead of its own, and the data that was taken out.
pub(super) fn main(wasm: &[u8], plan: &Plan<'_>) -> Suited<(Vec<u8>, DataSection)> {
    let mut taken = DataSection::new();
    let mut module = Module::new();
    let mut imported = false;
    for section in sections(wasm) {
        let section = section?;
        let whole = &wasm[section.range.clone()];
        match section.payload {
            Payload::Version { .. } | Payload::End(_) => {}
            Payload::TypeSection(_) => copy(&mut module, whole)?,
            Payload::ImportSection(imports) => {
                let count = imports.count().checked_add(1).ok_or(Unsuited)?;
                let first = imports.range().end - section.range.start;
                // What follows the count, as it is.
                let entries = &whole[first - entries_bytes(&imports)..];
                import_memory(&mut module, plan, count, entries)?;
                imported = true;
            }
            payload => {
                let custom = matches!(payload, Payload::CustomSection(_));
                if !imported && !custom {
                    import_memory(&mut module, plan, 1, &[])?;
                    imported = true;
                }
                match payload {
                    Payload::MemorySection(_) => {}
                    Payload::DataSection(data) => {
                        module.section(&take(data, &mut taken)?);
                    }
                    _ => copy(&mut module, whole)?,
                }
            }
        }
    }
    Ok((module.finish(), taken))
}

fn entries_bytes(imports: &wasmparser::ImportSectionReader<'_>) -> usize {
    // The reader stands behind the count.
    imports.range().end - imports.original_position()
}

fn import_memory(module: &mut Module, plan: &Plan<'_>, count: u32, entries: &[u8]) -> Suited<()> {
    use wasm_encoder::Encode as _;
    let mut data = Vec::with_capacity(entries.len() + 64);
    count.encode(&mut data);
    data.extend_from_slice(entries);
    BASE.encode(&mut data);
    MEMORY.encode(&mut data);
    EntityType::Memory(plan.memory_type.into()).encode(&mut data);
    module.section(&RawSection { id: IMPORTS, data: &data });
    Ok(())
}

/// Moves the data of active segments: empty ones stay in their place, so that the others keep their
/// numbers.
fn take(data: wasmparser::DataSectionReader<'_>, taken: &mut DataSection) -> Suited<DataSection> {
    let mut left = DataSection::new();
    for segment in data {
        let segment = segment?;
        match segment.kind {
            DataKind::Passive => {
                left.passive(segment.data.iter().copied());
            }
            DataKind::Active { memory_index: 0, offset_expr } => {
                let offset = ConstExpr::i32_const(constant(&offset_expr).ok_or(Unsuited)?);
                taken.active(0, &offset, segment.data.iter().copied());
                left.active(0, &ConstExpr::i32_const(0), []);
            }
            DataKind::Active { .. } => return Err(Unsuited),
        }
    }
    Ok(left)
}

/// Adds a section as it stands.
fn copy(module: &mut Module, whole: &[u8]) -> Suited<()> {
    let (id, data) = split(whole)?;
    module.section(&RawSection { id, data });
    Ok(())
}

/// A section's number and its content.
pub(super) fn split(whole: &[u8]) -> Suited<(u8, &[u8])> {
    let mut reader = wasmparser::BinaryReader::new(whole, 0);
    let id = reader.read_u8()?;
    reader.read_var_u32()?;
    Ok((id, &whole[reader.original_position()..]))
}

fn table(plan: &Plan<'_>) -> Suited<TableType> {
    let slots = u64::from(index(plan.early.len())?);
    Ok(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: slots,
        maximum: Some(slots),
        shared: false,
    })
}

fn function_type(ty: &FuncType) -> Suited<wasm_encoder::FuncType> {
    RoundtripReencoder.func_type(ty.clone()).map_err(|_| Unsuited)
}

pub(super) fn index(at: usize) -> Suited<u32> {
    u32::try_from(at).map_err(|_| Unsuited)
}
