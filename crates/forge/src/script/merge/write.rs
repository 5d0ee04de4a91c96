//! Writes the outcome, section by section: the interpreter's part of it, then the driver's.

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, EntityType, ExportKind,
    ExportSection, Function, FunctionSection, GlobalSection, ImportSection, Instruction,
    MemorySection, Module, NameMap, NameSection, TableSection, TagSection, TypeSection,
};
use wasmparser::{ExternalKind, Operator};

use super::parts::Parts;
use super::{Place, Plan, SERVE};

/// A function is called that is not there.
#[derive(Debug, thiserror::Error)]
#[error("function {0} is not there")]
pub struct NoFunction(u32);

type Encoded<T> = Result<T, Error<NoFunction>>;

pub(super) fn write(plan: &Plan, interpreter: &Parts<'_>, driver: &Parts<'_>) -> Encoded<Vec<u8>> {
    let offsets = Offsets {
        types: interpreter.type_count()?,
        tags: interpreter.tag_count(),
        globals: interpreter.global_count(),
        elements: interpreter.element_count(),
        data: interpreter.data_count(),
    };
    let writer =
        Writer { plan, interpreter, driver, old: Old { plan }, new: New { plan, offsets } };
    writer.write()
}

struct Writer<'a> {
    plan: &'a Plan,
    interpreter: &'a Parts<'a>,
    driver: &'a Parts<'a>,
    old: Old<'a>,
    new: New<'a>,
}

impl Writer<'_> {
    fn write(mut self) -> Encoded<Vec<u8>> {
        let mut module = Module::new();
        module.section(&self.types()?);
        module.section(&self.imports()?);
        module.section(&self.functions()?);
        module.section(&self.tables()?);
        module.section(&self.memories()?);
        let tags = self.tags()?;
        if !tags.is_empty() {
            module.section(&tags);
        }
        module.section(&self.globals()?);
        module.section(&self.exports());
        module.section(&self.elements()?);
        let count = self.interpreter.data_count() + self.driver.data_count();
        module.section(&DataCountSection { count });
        module.section(&self.code()?);
        module.section(&self.data()?);
        module.section(&self.names());
        Ok(module.finish())
    }

    fn types(&mut self) -> Encoded<TypeSection> {
        let mut section = TypeSection::new();
        if let Some(types) = self.interpreter.types.clone() {
            self.old.parse_type_section(&mut section, types)?;
        }
        if let Some(types) = self.driver.types.clone() {
            self.new.parse_type_section(&mut section, types)?;
        }
        Ok(section)
    }

    fn imports(&mut self) -> Encoded<ImportSection> {
        let mut section = ImportSection::new();
        for import in self.plan.kept.iter().map(|at| &self.interpreter.imports[*at]) {
            section.import(import.module, import.name, EntityType::Function(import.ty));
        }
        for import in self.plan.added.iter().map(|at| &self.driver.imports[*at]) {
            let ty = self.new.type_index(import.ty)?;
            section.import(import.module, import.name, EntityType::Function(ty));
        }
        Ok(section)
    }

    fn functions(&mut self) -> Encoded<FunctionSection> {
        let mut section = FunctionSection::new();
        for ty in self.interpreter.functions.iter().chain(&self.plan.traps) {
            section.function(*ty);
        }
        for ty in &self.driver.functions {
            section.function(self.new.type_index(*ty)?);
        }
        Ok(section)
    }

    fn tables(&mut self) -> Encoded<TableSection> {
        let mut section = TableSection::new();
        for table in &self.interpreter.tables {
            let mut ty = self.old.table_type(table.ty)?;
            ty.minimum += self.driver.slots;
            ty.maximum = ty.maximum.map(|maximum| maximum + self.driver.slots);
            section.table(ty);
        }
        Ok(section)
    }

    fn memories(&mut self) -> Encoded<MemorySection> {
        let mut section = MemorySection::new();
        for memory in &self.interpreter.memories {
            let mut ty = self.old.memory_type(*memory)?;
            ty.minimum += self.driver.pages;
            section.memory(ty);
        }
        Ok(section)
    }

    fn tags(&mut self) -> Encoded<TagSection> {
        let mut section = TagSection::new();
        if let Some(tags) = self.interpreter.tags.clone() {
            self.old.parse_tag_section(&mut section, tags)?;
        }
        if let Some(tags) = self.driver.tags.clone() {
            self.new.parse_tag_section(&mut section, tags)?;
        }
        Ok(section)
    }

    fn globals(&mut self) -> Encoded<GlobalSection> {
        let mut section = GlobalSection::new();
        if let Some(globals) = self.interpreter.globals.clone() {
            self.old.parse_global_section(&mut section, globals)?;
        }
        if let Some(globals) = self.driver.globals.clone() {
            self.new.parse_global_section(&mut section, globals)?;
        }
        Ok(section)
    }

    fn exports(&self) -> ExportSection {
        let mut section = ExportSection::new();
        section.export("memory", ExportKind::Memory, 0);
        for export in &self.driver.exports {
            if export.kind == ExternalKind::Func && !export.name.starts_with(SERVE) {
                let index = self.plan.driver[export.index as usize];
                section.export(export.name, ExportKind::Func, index);
            }
        }
        section
    }

    fn elements(&mut self) -> Encoded<ElementSection> {
        let mut section = ElementSection::new();
        if let Some(elements) = self.interpreter.elements.clone() {
            self.old.parse_element_section(&mut section, elements)?;
        }
        if let Some(elements) = self.driver.elements.clone() {
            self.new.parse_element_section(&mut section, elements)?;
        }
        Ok(section)
    }

    fn code(&mut self) -> Encoded<CodeSection> {
        let mut section = CodeSection::new();
        for (at, body) in self.interpreter.bodies.iter().enumerate() {
            match self.plan.cut.filter(|cut| cut.body == at) {
                Some(Place { callee, .. }) => {
                    let mut cut = CutShort { old: &mut self.old, callee };
                    cut.parse_function_body(&mut section, body.clone())?;
                }
                None => self.old.parse_function_body(&mut section, body.clone())?,
            }
        }
        for _ in &self.plan.traps {
            let mut function = Function::new([]);
            function.instructions().unreachable().end();
            section.function(&function);
        }
        for body in &self.driver.bodies {
            self.new.parse_function_body(&mut section, body.clone())?;
        }
        Ok(section)
    }

    fn data(&mut self) -> Encoded<DataSection> {
        let mut section = DataSection::new();
        if let Some(data) = self.interpreter.data.clone() {
            self.old.parse_data_section(&mut section, data)?;
        }
        if let Some(data) = self.driver.data.clone() {
            self.new.parse_data_section(&mut section, data)?;
        }
        Ok(section)
    }

    /// The names of functions, which make a trap's backtrace legible.
    fn names(&self) -> NameSection {
        let new = |parts: &Parts<'_>, indices: &[u32]| {
            let names = parts.names.iter();
            let named = names.filter_map(|(index, name)| {
                Some((*indices.get(*index as usize)?, (*name).to_owned()))
            });
            named.collect::<Vec<_>>()
        };
        let mut named = new(self.interpreter, &self.plan.interpreter);
        named.extend(new(self.driver, &self.plan.driver));
        // An import of both has two names.
        named.sort_unstable();
        named.dedup_by_key(|(index, _)| *index);
        let mut names = NameMap::new();
        for (index, name) in &named {
            names.append(*index, name);
        }
        let mut section = NameSection::new();
        section.functions(&names);
        section
    }
}

/// Copies what is the interpreter's: only its functions have new indices.
struct Old<'a> {
    plan: &'a Plan,
}

impl Reencode for Old<'_> {
    type Error = NoFunction;

    fn function_index(&mut self, index: u32) -> Encoded<u32> {
        found(&self.plan.interpreter, index)
    }
}

/// Copies a function of the interpreter that returns where it would call `callee`.
struct CutShort<'a, 'b> {
    old: &'a mut Old<'b>,
    callee: u32,
}

impl Reencode for CutShort<'_, '_> {
    type Error = NoFunction;

    fn function_index(&mut self, index: u32) -> Encoded<u32> {
        self.old.function_index(index)
    }

    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Encoded<Instruction<'a>> {
        if super::is_call(&operator, self.callee) {
            return Ok(Instruction::Return);
        }
        utils::instruction(self, operator)
    }
}

/// Copies what is the driver's, behind what is the interpreter's.
struct New<'a> {
    plan: &'a Plan,
    offsets: Offsets,
}

/// How many of each the interpreter has.
struct Offsets {
    types: u32,
    tags: u32,
    globals: u32,
    elements: u32,
    data: u32,
}

impl Reencode for New<'_> {
    type Error = NoFunction;

    fn function_index(&mut self, index: u32) -> Encoded<u32> {
        found(&self.plan.driver, index)
    }

    fn type_index(&mut self, index: u32) -> Encoded<u32> {
        Ok(index + self.offsets.types)
    }

    fn tag_index(&mut self, index: u32) -> Encoded<u32> {
        Ok(index + self.offsets.tags)
    }

    fn global_index(&mut self, index: u32) -> Encoded<u32> {
        Ok(index - super::narrow(self.plan.constants.len()) + self.offsets.globals)
    }

    fn element_index(&mut self, index: u32) -> Encoded<u32> {
        Ok(index + self.offsets.elements)
    }

    fn data_index(&mut self, index: u32) -> Encoded<u32> {
        Ok(index + self.offsets.data)
    }

    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Encoded<Instruction<'a>> {
        match operator {
            Operator::GlobalGet { global_index } if self.constant(global_index).is_some() => {
                Ok(Instruction::I32Const(self.constant(global_index).unwrap_or_default()))
            }
            operator => utils::instruction(self, operator),
        }
    }

    /// A place and an offset from it are one constant, so that whoever reads the outcome needs no
    /// arithmetic.
    fn const_expr(&mut self, expr: wasmparser::ConstExpr<'_>) -> Encoded<ConstExpr> {
        let operators = expr.get_operators_reader().into_iter();
        let operators = operators.collect::<wasmparser::Result<Vec<_>>>()?;
        let (place, offset) = match operators[..] {
            [Operator::GlobalGet { global_index }, Operator::End] => (global_index, 0),
            [
                Operator::GlobalGet { global_index },
                Operator::I32Const { value },
                Operator::I32Add,
                Operator::End,
            ] => (global_index, value),
            _ => return utils::const_expr(self, expr),
        };
        match self.constant(place) {
            Some(place) => Ok(ConstExpr::i32_const(place.wrapping_add(offset))),
            None => utils::const_expr(self, expr),
        }
    }
}

impl New<'_> {
    /// What a global is that is a place.
    fn constant(&self, global: u32) -> Option<i32> {
        self.plan.constants.get(global as usize).copied()
    }
}

fn found(indices: &[u32], index: u32) -> Encoded<u32> {
    let found = indices.get(index as usize).copied();
    found.ok_or(Error::UserError(NoFunction(index)))
}
