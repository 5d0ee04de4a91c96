//! Takes the memory out of one core module, section by section: functions stay as they are, byte
//! for byte, whatever their number.

use std::convert::Infallible;
use std::ops::Range;

use wasm_encoder::reencode::{self, Reencode, utils};
use wasm_encoder::{
    ConstExpr, Encode as _, ExportKind, ExportSection, Function, ImportSection, MemArg,
    MemorySection, RawSection, SectionId, StartSection, ValType,
};
use wasmparser::{
    DataKind, DataSectionReader, GlobalSectionReader, Operator, Parser, Payload, TypeRef,
};

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
    /// The memory's initial size, of its owner's.
    pub(super) pages: u64,
    types: u32,
    imported_functions: u32,
    functions: u32,
    imported_globals: u32,
    /// Whether functions may name its data segments.
    names_data: bool,
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
                    outline.globals = read_globals(globals, outline.imported_globals)?;
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

fn read_globals(globals: GlobalSectionReader<'_>, imported: u32) -> Suited<Vec<Global>> {
    let mut found = Vec::new();
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
        if let Some((ty, bits)) = constant.filter(|_| whole) {
            found.push(Global { index, ty, bits });
        }
    }
    Ok(found)
}

/// What is done to a module.
pub(super) struct Rewriting<'a> {
    pub(super) outline: &'a Outline,
    /// The place of its first global among all of the image's.
    pub(super) first_slot: u32,
    /// Whether a function is added, and exported under this name, that writes the globals behind
    /// the end of memory.
    pub(super) save_as: Option<&'a str>,
}

/// A piece of initial memory.
pub(super) struct Data<'a> {
    pub(super) offset: u64,
    pub(super) bytes: &'a [u8],
}

impl Rewriting<'_> {
    /// The module without its memory's contents, and those.
    pub(super) fn rewrite<'a>(&self, module: &'a [u8]) -> Suited<(Vec<u8>, Vec<Data<'a>>)> {
        let mut out = wasm_encoder::Module::new();
        let mut data = Vec::new();
        let mut start = None;
        let mut written = Written::default();
        let added = self.added();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload?;
            if let Some((id, range)) = payload.as_section() {
                self.write_missing(id, &mut out, &mut written, start);
                let range = range.clone();
                match payload {
                    Payload::TypeSection(section) => {
                        written.types = true;
                        let count = section.count() + u32::from(added > 0);
                        // The type of functions that take and give nothing.
                        let more: &[u8] = if added > 0 { &[0x60, 0, 0] } else { &[] };
                        extend(&mut out, module, id, &range, count, more);
                    }
                    Payload::FunctionSection(section) => {
                        written.functions = true;
                        let mut more = Vec::new();
                        (0..added).for_each(|_| self.outline.types.encode(&mut more));
                        extend(&mut out, module, id, &range, section.count() + added, &more);
                    }
                    Payload::MemorySection(section) => {
                        let mut memories = MemorySection::new();
                        AsLarge(0).parse_memory_section(&mut memories, section)?;
                        out.section(&memories);
                    }
                    Payload::ImportSection(section) if self.outline.role == Role::Guest => {
                        let mut imports = ImportSection::new();
                        AsLarge(0).parse_import_section(&mut imports, section)?;
                        out.section(&imports);
                    }
                    Payload::GlobalSection(section) => {
                        let zeros = self.outline.globals.iter().map(|it| (it.index, zero(it.ty)));
                        write_globals(&mut out, self.outline, module, section, zeros.collect())?;
                    }
                    Payload::ExportSection(section) => {
                        written.exports = true;
                        let mut more = Vec::new();
                        if let Some(name) = self.save_as {
                            if section.clone().into_iter().flatten().any(|it| it.name == name) {
                                return Err(Unsuited("it exports what Dayfly would add"));
                            }
                            name.encode(&mut more);
                            more.push(0);
                            self.save_index().encode(&mut more);
                        }
                        let count = section.count() + u32::from(self.save_as.is_some());
                        extend(&mut out, module, id, &range, count, &more);
                    }
                    Payload::StartSection { func, .. } => start = Some(func),
                    Payload::CodeSectionStart { count, range: content, .. } => {
                        written.code = true;
                        let more = self.code(start);
                        extend(&mut out, module, id, &content, count + added, &more);
                    }
                    Payload::DataCountSection { .. } => {
                        if self.outline.names_data {
                            copy(&mut out, module, id, &range);
                        }
                    }
                    Payload::DataSection(section) => {
                        self.write_data(&mut out, section, &mut data)?;
                    }
                    _ => copy(&mut out, module, id, &range),
                }
            }
        }
        self.write_missing(u8::MAX, &mut out, &mut written, start);
        if added > 0 && !(written.types && written.functions && written.code) {
            return Err(Unsuited("it has no functions"));
        }
        Ok((out.finish(), data))
    }

    fn thaws(&self) -> bool {
        !self.outline.globals.is_empty()
    }

    /// How many functions are added.
    fn added(&self) -> u32 {
        u32::from(self.thaws()) + u32::from(self.save_as.is_some())
    }

    fn thaw_index(&self) -> u32 {
        self.outline.imported_functions + self.outline.functions
    }

    fn save_index(&self) -> u32 {
        self.thaw_index() + u32::from(self.thaws())
    }

    /// Writes the sections that have to stand before the next one, which are the export and the
    /// start section.
    fn write_missing(
        &self,
        next: u8,
        out: &mut wasm_encoder::Module,
        written: &mut Written,
        start: Option<u32>,
    ) {
        // Custom sections may stand anywhere.
        let after = |section: u8| next != 0 && order(next) > order(section);
        if after(SectionId::Export as u8) && !written.exports {
            written.exports = true;
            if let Some(name) = self.save_as {
                let mut exports = ExportSection::new();
                exports.export(name, ExportKind::Func, self.save_index());
                out.section(&exports);
            }
        }
        if after(SectionId::Start as u8) && !written.start {
            written.start = true;
            let function = if self.thaws() { Some(self.thaw_index()) } else { start };
            if let Some(function_index) = function {
                out.section(&StartSection { function_index });
            }
        }
    }

    fn write_data<'a>(
        &self,
        out: &mut wasm_encoder::Module,
        section: DataSectionReader<'a>,
        data: &mut Vec<Data<'a>>,
    ) -> Suited<()> {
        let mut kept = wasm_encoder::DataSection::new();
        for segment in section {
            let segment = segment?;
            match segment.kind {
                DataKind::Passive => {
                    kept.passive(segment.data.iter().copied());
                }
                DataKind::Active { memory_index: 0, offset_expr } => {
                    let mut operators = offset_expr.get_operators_reader();
                    let Operator::I32Const { value } = operators.read()? else {
                        return Err(Unsuited("where its data goes is computed"));
                    };
                    if !matches!(operators.read()?, Operator::End) {
                        return Err(Unsuited("where its data goes is computed"));
                    }
                    let offset = u64::from(value.cast_unsigned());
                    data.push(Data { offset, bytes: segment.data });
                    // As one that has been used up, which is what it is once an instance is made.
                    kept.passive([]);
                }
                DataKind::Active { .. } => return Err(Unsuited("it has several memories")),
            }
        }
        if self.outline.names_data {
            out.section(&kept);
        }
        Ok(())
    }

    /// The functions that are added, one after the other.
    fn code(&self, start: Option<u32>) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.thaws() {
            self.thaw(start).encode(&mut bytes);
        }
        if self.save_as.is_some() {
            self.save().encode(&mut bytes);
        }
        bytes
    }

    /// Takes the globals from the image's last page, which is the memory's, and leaves zeros.
    fn thaw(&self, start: Option<u32>) -> Function {
        const AT: u32 = 0;
        let mut function = Function::new([(1, ValType::I32)]);
        let mut body = function.instructions();
        body.memory_size(0).i32_const(16).i32_shl().i32_const(65_536).i32_sub().local_set(AT);
        for (slot, global) in (self.first_slot..).zip(&self.outline.globals) {
            let arg = MemArg { offset: u64::from(slot) * 8, align: 2, memory_index: 0 };
            body.local_get(AT);
            match global.ty {
                ValType::I32 => body.i32_load(arg),
                ValType::I64 => body.i64_load(arg),
                ValType::F32 => body.f32_load(arg),
                _ => body.f64_load(arg),
            };
            body.global_set(global.index);
            body.local_get(AT).i64_const(0).i64_store(arg);
        }
        if let Some(start) = start {
            body.call(start);
        }
        body.end();
        function
    }

    /// Adds a page to the memory and writes the globals there; gives nothing. It traps when the
    /// memory cannot grow.
    fn save(&self) -> Function {
        const AT: u32 = 0;
        let mut function = Function::new([(1, ValType::I32)]);
        let mut body = function.instructions();
        body.i32_const(1).memory_grow(0).local_tee(AT).i32_const(-1).i32_eq();
        body.if_(wasm_encoder::BlockType::Empty).unreachable().end();
        body.local_get(AT).i32_const(16).i32_shl().local_set(AT);
        for (slot, global) in (self.first_slot..).zip(&self.outline.globals) {
            let arg = MemArg { offset: u64::from(slot) * 8, align: 2, memory_index: 0 };
            body.local_get(AT).global_get(global.index);
            match global.ty {
                ValType::I32 => body.i32_store(arg),
                ValType::I64 => body.i64_store(arg),
                ValType::F32 => body.f32_store(arg),
                _ => body.f64_store(arg),
            };
        }
        body.end();
        function
    }
}

/// Whether bytes of code may hold an instruction that names a data segment: `memory.init` or
/// `data.drop`. Tools that optimise write a data count section whether or not there is one.
fn may_name_data(code: &[u8]) -> bool {
    code.windows(2).any(|two| two[0] == 0xfc && matches!(two[1] & 0x7f, 8 | 9))
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

/// Copies, with memories that have so many pages at least.
struct AsLarge(u64);

impl Reencode for AsLarge {
    type Error = Infallible;

    fn memory_type(
        &mut self,
        memory: wasmparser::MemoryType,
    ) -> Result<wasm_encoder::MemoryType, reencode::Error> {
        Ok(wasm_encoder::MemoryType { minimum: self.0, ..utils::memory_type(self, memory) })
    }
}

/// Which sections were written, of those that may have to be added.
#[derive(Default)]
struct Written {
    types: bool,
    functions: bool,
    exports: bool,
    start: bool,
    code: bool,
}

/// The place of a section in the order that the standard asks for.
fn order(id: u8) -> usize {
    const ORDER: [SectionId; 13] = [
        SectionId::Type,
        SectionId::Import,
        SectionId::Function,
        SectionId::Table,
        SectionId::Memory,
        SectionId::Tag,
        SectionId::Global,
        SectionId::Export,
        SectionId::Start,
        SectionId::Element,
        SectionId::DataCount,
        SectionId::Code,
        SectionId::Data,
    ];
    ORDER.iter().position(|known| *known as u8 == id).unwrap_or(ORDER.len())
}

fn zero(ty: ValType) -> ConstExpr {
    match ty {
        ValType::I32 => ConstExpr::i32_const(0),
        ValType::I64 => ConstExpr::i64_const(0),
        ValType::F32 => ConstExpr::f32_const(0.0.into()),
        _ => ConstExpr::f64_const(0.0.into()),
    }
}

/// Copies the globals, with these values for some; `values` is in the order of their indices.
fn write_globals(
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

fn copy(out: &mut wasm_encoder::Module, module: &[u8], id: u8, content: &Range<usize>) {
    out.section(&RawSection { id, data: &module[content.clone()] });
}

/// Copies a section of so many items, the last of which are added.
fn extend(
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

/// What a module has become by its initialiser.
pub(super) struct Grown<'a> {
    pub(super) pages: u64,
    /// In the order of [`Outline::globals`].
    pub(super) globals: &'a [u64],
    pub(super) data: &'a [Data<'a>],
}

impl Grown<'_> {
    /// The module as if it began there.
    pub(super) fn rewrite(&self, outline: &Outline, module: &[u8]) -> Suited<Vec<u8>> {
        let mut out = wasm_encoder::Module::new();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload?;
            let Some((id, range)) = payload.as_section() else { continue };
            match payload {
                Payload::MemorySection(section) => {
                    let mut memories = MemorySection::new();
                    AsLarge(self.pages).parse_memory_section(&mut memories, section)?;
                    out.section(&memories);
                }
                Payload::GlobalSection(section) => {
                    let globals = outline.globals.iter().zip(self.globals);
                    let values = globals.map(|(it, bits)| (it.index, it.constant(*bits)));
                    write_globals(&mut out, outline, module, section, values.collect())?;
                }
                // It has begun.
                Payload::StartSection { .. } => {}
                Payload::DataCountSection { count, .. } if outline.names_data => {
                    out.section(&wasm_encoder::DataCountSection {
                        count: count + u32::try_from(self.data.len())?,
                    });
                }
                Payload::DataCountSection { .. } => {}
                Payload::DataSection(section) => self.write_data(&mut out, outline, section)?,
                _ => copy(&mut out, module, id, &range),
            }
        }
        Ok(out.finish())
    }

    fn write_data(
        &self,
        out: &mut wasm_encoder::Module,
        outline: &Outline,
        section: DataSectionReader<'_>,
    ) -> Suited<()> {
        let mut all = wasm_encoder::DataSection::new();
        for segment in section {
            let segment = segment?;
            match segment.kind {
                DataKind::Passive => {
                    all.passive(segment.data.iter().copied());
                }
                DataKind::Active { .. } if outline.names_data => {
                    all.passive([]);
                }
                DataKind::Active { .. } => {}
            }
        }
        for data in self.data {
            let offset = ConstExpr::i32_const(u32::try_from(data.offset)?.cast_signed());
            all.active(0, &offset, data.bytes.iter().copied());
        }
        out.section(&all);
        Ok(())
    }
}

impl Global {
    fn constant(&self, bits: u64) -> ConstExpr {
        let low = bits as u32;
        match self.ty {
            ValType::I32 => ConstExpr::i32_const(low.cast_signed()),
            ValType::I64 => ConstExpr::i64_const(bits.cast_signed()),
            ValType::F32 => ConstExpr::f32_const(wasm_encoder::Ieee32::new(low)),
            _ => ConstExpr::f64_const(wasm_encoder::Ieee64::new(bits)),
        }
    }
}
