//! What has to be known of a core module before its memory is taken out of it.

use wasm_encoder::{ConstExpr, ValType};
use wasmparser::{DataKind, GlobalSectionReader, Operator, Parser, Payload, TypeRef};

use super::split::{Suited, Unsuited};

/// What a module is to the memory of its component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It has the memory.
    Owner,
    /// It imports the memory.
    Guest,
    /// It has nothing to do with it.
    Stranger,
}

/// What has to be known of a module before it is rewritten.
pub(super) struct Outline {
    pub(super) role: Role,
    pub(super) has_start: bool,
    /// The globals whose values the image holds: those that can change, of numbers.
    pub(super) globals: Vec<Global>,
    /// Whether it has others that can change.
    pub(super) loses_globals: bool,
    /// The memory's initial size, of its owner's.
    pub(super) pages: u64,
    pub(super) types: u32,
    pub(super) imported_functions: u32,
    pub(super) functions: u32,
    pub(super) imported_globals: u32,
    /// Whether functions may name its data segments.
    pub(super) names_data: bool,
}

/// A global that can change: its index, type, and initial value as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Global {
    pub(super) index: u32,
    pub(super) ty: ValType,
    pub(super) bits: u64,
}

impl Outline {
    /// Reads the outline of a module; its functions are not looked at.
    pub(super) fn read(module: &[u8]) -> Suited<Outline> {
        let mut outline = Outline {
            role: Role::Stranger,
            has_start: false,
            globals: Vec::new(),
            loses_globals: false,
            pages: 0,
            types: 0,
            imported_functions: 0,
            functions: 0,
            imported_globals: 0,
            names_data: false,
        };
        let (mut names_data, mut has_passive) = (false, false);
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::TypeSection(types) => {
                    for group in types {
                        outline.types += u32::try_from(group?.types().len())?;
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        match import?.ty {
                            TypeRef::Func(_) | TypeRef::FuncExact(_) => {
                                outline.imported_functions += 1;
                            }
                            TypeRef::Global(_) => outline.imported_globals += 1,
                            TypeRef::Memory(_) => outline.meets(Role::Guest)?,
                            TypeRef::Table(_) | TypeRef::Tag(_) => {}
                        }
                    }
                }
                Payload::FunctionSection(functions) => outline.functions = functions.count(),
                Payload::MemorySection(memories) => {
                    for memory in memories {
                        let memory = memory?;
                        outline.meets(Role::Owner)?;
                        outline.pages = memory.initial;
                        if memory.memory64 || memory.shared || memory.page_size_log2.is_some() {
                            return Err(Unsuited("its memory is of an unusual kind"));
                        }
                    }
                }
                Payload::GlobalSection(globals) => {
                    (outline.globals, outline.loses_globals) =
                        read_globals(globals, outline.imported_globals)?;
                }
                Payload::StartSection { .. } => outline.has_start = true,
                Payload::DataCountSection { .. } => outline.names_data = true,
                Payload::CodeSectionStart { range, .. } if outline.names_data => {
                    outline.names_data = may_name_data(&module[range]);
                }
                Payload::CodeSectionEntry(body) if outline.names_data && !names_data => {
                    names_data = has_named_data(&body)?;
                }
                Payload::DataSection(section) => {
                    for segment in section {
                        has_passive |= matches!(segment?.kind, DataKind::Passive);
                    }
                }
                _ => {}
            }
        }
        outline.names_data = names_data || has_passive;
        if outline.role == Role::Stranger {
            outline.loses_globals |= !outline.globals.is_empty();
            outline.globals.clear();
        }
        Ok(outline)
    }

    fn meets(&mut self, role: Role) -> Suited<()> {
        if self.role != Role::Stranger {
            return Err(Unsuited("a module has several memories"));
        }
        self.role = role;
        Ok(())
    }
}

/// The globals that an image can hold, and whether others can change.
fn read_globals(globals: GlobalSectionReader<'_>, imported: u32) -> Suited<(Vec<Global>, bool)> {
    let (mut found, mut loses) = (Vec::new(), false);
    for (index, global) in (imported..).zip(globals) {
        let global = global?;
        if !global.ty.mutable {
            continue;
        }
        let mut operators = global.init_expr.get_operators_reader();
        let constant = match operators.read()? {
            Operator::I32Const { value } => Some((ValType::I32, u64::from(value.cast_unsigned()))),
            Operator::I64Const { value } => Some((ValType::I64, value.cast_unsigned())),
            Operator::F32Const { value } => Some((ValType::F32, u64::from(value.bits()))),
            Operator::F64Const { value } => Some((ValType::F64, value.bits())),
            _ => None,
        };
        // What is computed from something else keeps its own way of beginning.
        let whole = matches!(operators.read()?, Operator::End);
        match constant.filter(|_| whole) {
            Some((ty, bits)) => found.push(Global { index, ty, bits }),
            None => loses = true,
        }
    }
    Ok((found, loses))
}

impl Global {
    /// A constant of its type.
    pub(super) fn constant(&self, bits: u64) -> ConstExpr {
        let low = bits as u32;
        match self.ty {
            ValType::I32 => ConstExpr::i32_const(low.cast_signed()),
            ValType::I64 => ConstExpr::i64_const(bits.cast_signed()),
            ValType::F32 => ConstExpr::f32_const(wasm_encoder::Ieee32::new(low)),
            _ => ConstExpr::f64_const(wasm_encoder::Ieee64::new(bits)),
        }
    }
}

/// Whether a module's code has an instruction that changes a table.
pub(super) fn changes_tables(module: &[u8]) -> Suited<bool> {
    for payload in Parser::new(0).parse_all(module) {
        let Payload::CodeSectionEntry(body) = payload? else { continue };
        for operator in body.get_operators_reader()? {
            if matches!(
                operator?,
                Operator::TableSet { .. }
                    | Operator::TableGrow { .. }
                    | Operator::TableFill { .. }
                    | Operator::TableCopy { .. }
                    | Operator::TableInit { .. }
            ) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether bytes of code may hold an instruction that names a data segment: `memory.init` or
/// `data.drop`. Tools that optimise write a data count section whether or not there is one.
fn may_name_data(code: &[u8]) -> bool {
    let follows = |at: usize| code.get(at + 1).is_some_and(|next| matches!(next & 0x7f, 8 | 9));
    memchr::memchr_iter(0xfc, code).any(follows)
}

fn has_named_data(body: &wasmparser::FunctionBody<'_>) -> Suited<bool> {
    if !may_name_data(body.as_bytes()) {
        return Ok(false);
    }
    for operator in body.get_operators_reader()? {
        if matches!(operator?, Operator::MemoryInit { .. } | Operator::DataDrop { .. }) {
            return Ok(true);
        }
    }
    Ok(false)
}
