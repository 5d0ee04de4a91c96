//! Keeps a place for the adapter in the memory of Go's modules.
//!
//! The adapter keeps its state in the module's memory. Where a module exports no `cabi_realloc`
//! the adapter grows the memory by itself, but Go's allocator takes every page between its data
//! and its memory's end for its own, and overwrites the adapter. So the memory of such a module is
//! declared as large as it may become; the last pages are the adapter's, through a `cabi_realloc`;
//! and where the module asks for its memory's size, or to grow it, it is told of the rest alone.
//! Pages that nobody touches cost nothing.

use wasm_encoder::reencode::{self, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, ExportKind, ExportSection, Function, FunctionSection,
    GlobalSection, GlobalType, Instruction, MemorySection, TypeSection, ValType,
};
use wasmparser::{
    CodeSectionReader, ExportSectionReader, FunctionSectionReader, GlobalSectionReader,
    MemorySectionReader, Operator, Parser, TypeSectionReader,
};

use super::module::CoreModule;
use crate::bodies;

const PAGE: u64 = 65_536;

/// How large the memory may become, in pages, unless the module says less: 192 MiB, which is below
/// the default of a component's memory limit.
const LARGEST: u64 = 3072;

/// Pages for the adapter: one for its state, one for its stack, and as much again.
const PAGES: u64 = 4;

/// The section that Go's linker writes.
const GO_SECTION: &str = "go:buildid";

/// The function that the adapter asks for memory.
const REALLOC: &str = "cabi_realloc";

type Error = reencode::Error<std::convert::Infallible>;

/// Whether the module needs a reservation.
pub(super) fn is_needed(module: &CoreModule) -> bool {
    module.custom_sections.iter().any(|name| name == GO_SECTION) && module.export(REALLOC).is_none()
}

/// The module with a place for the adapter.
pub(super) fn reserve(wasm: &[u8], module: &CoreModule) -> Result<Vec<u8>, Error> {
    let mut reserve = Reserve { imported: module.imported_functions(), ..Reserve::default() };
    let mut encoded = wasm_encoder::Module::new();
    reserve.parse_core_module(&mut encoded, Parser::new(0), wasm)?;
    Ok(encoded.finish())
}

/// Copies a module and adds to its sections. The sections come in the standard's order, so each
/// index is known when it is needed.
#[derive(Default)]
struct Reserve {
    imported: u32,
    /// The index of the first of two types: `cabi_realloc`'s, and that of what grows the memory.
    types: u32,
    /// The index of the first of the two functions.
    functions: u32,
    /// The index of the first of two globals: the adapter's next free byte, and the pages that
    /// the module knows of.
    globals: u32,
    /// The pages that the module knows of at first, and may know of.
    initial: u64,
    largest: u64,
}

impl Reencode for Reserve {
    type Error = std::convert::Infallible;

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_type_section(self, types, section)?;
        self.types = types.len();
        types.ty().function([ValType::I32; 4], [ValType::I32]);
        types.ty().function([ValType::I32], [ValType::I32]);
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_function_section(self, functions, section)?;
        self.functions = self.imported + functions.len();
        functions.function(self.types).function(self.types + 1);
        Ok(())
    }

    fn parse_memory_section(
        &mut self,
        memories: &mut MemorySection,
        section: MemorySectionReader<'_>,
    ) -> Result<(), Error> {
        for memory in section {
            let mut memory = self.memory_type(memory?)?;
            self.initial = memory.minimum;
            let largest = memory.maximum.unwrap_or(LARGEST).min(LARGEST);
            self.largest = largest.max(memory.minimum);
            memory.minimum = self.largest + PAGES;
            memory.maximum = Some(memory.minimum);
            memories.memory(memory);
        }
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_global_section(self, globals, section)?;
        self.globals = globals.len();
        let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        globals.global(ty, &ConstExpr::i32_const(unsigned(self.largest * PAGE)));
        globals.global(ty, &ConstExpr::i32_const(unsigned(self.initial)));
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: ExportSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_export_section(self, exports, section)?;
        exports.export(REALLOC, ExportKind::Func, self.functions);
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error> {
        for body in section {
            bodies::copy(self, code, &body?)?;
        }
        code.function(&self.realloc()).function(&self.grow());
        Ok(())
    }

    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Result<Instruction<'a>, Error> {
        match operator {
            Operator::MemorySize { .. } => Ok(Instruction::GlobalGet(self.globals + 1)),
            Operator::MemoryGrow { .. } => Ok(Instruction::Call(self.functions + 1)),
            operator => utils::instruction(self, operator),
        }
    }
}

impl Reserve {
    /// `cabi_realloc(old, old_length, align, length)`: the adapter's next bytes. It traps when they
    /// are used up, and when old ones are to grow, which the adapter never asks for.
    fn realloc(&self) -> Function {
        const OLD: u32 = 0;
        const ALIGN: u32 = 2;
        const LENGTH: u32 = 3;
        const FOUND: u32 = 4;
        let next = self.globals;
        let end = unsigned((self.largest + PAGES) * PAGE);
        let mut function = Function::new([(1, ValType::I32)]);
        let mut body = function.instructions();
        body.local_get(OLD).if_(BlockType::Empty).unreachable().end();
        // found = (next + align - 1) & -align
        body.global_get(next).local_get(ALIGN).i32_add().i32_const(1).i32_sub();
        body.i32_const(0).local_get(ALIGN).i32_sub().i32_and().local_set(FOUND);
        // next = found + length
        body.local_get(FOUND).local_get(LENGTH).i32_add().global_set(next);
        body.global_get(next).i32_const(end).i32_gt_u();
        body.if_(BlockType::Empty).unreachable().end();
        body.local_get(FOUND).end();
        function
    }

    /// `grow(pages)`: what `memory.grow` would answer.
    fn grow(&self) -> Function {
        const BY: u32 = 0;
        const TO: u32 = 1;
        let known = self.globals + 1;
        let mut function = Function::new([(1, ValType::I32)]);
        let mut body = function.instructions();
        body.global_get(known).local_get(BY).i32_add().local_set(TO);
        // Neither more than there is, nor so much more that the sum wrapped around.
        body.local_get(TO).i32_const(unsigned(self.largest)).i32_gt_u();
        body.local_get(TO).global_get(known).i32_lt_u().i32_or();
        body.if_(BlockType::Empty).i32_const(-1).return_().end();
        body.global_get(known).local_get(TO).global_set(known).end();
        function
    }
}

/// An address or a size as a constant of WebAssembly's, which are signed.
fn unsigned(value: u64) -> i32 {
    u32::try_from(value).unwrap_or(u32::MAX).cast_signed()
}
