//! Takes the memory out of one core module, section by section: functions stay as they are, byte
//! for byte, whatever their number. Or puts what the memory has become into it.

use wasm_encoder::reencode::Reencode as _;
use wasm_encoder::{
    ConstExpr, Encode as _, ExportKind, ExportSection, Function, ImportSection, MemArg,
    MemorySection, SectionId, StartSection, ValType,
};
use wasmparser::{DataKind, DataSectionReader, Operator, Parser, Payload};

use super::outline::{Outline, Role};
use super::sections::{AsLarge, copy, extend, write_globals};
use super::split::{Suited, Unsuited};

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
