//! Writes the one module, section by section: of each the members' parts, in order.

use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, EntityType,
    ExportSection, FunctionSection, GlobalSection, ImportSection, Instruction, MemorySection,
    Module, NameMap, NameSection, StartSection, TableSection, TagSection, TypeSection,
};
use wasmparser::Operator;

use super::link::{Linked, Member, Shown};
use super::{Kind, Suited, Unsuited};
use crate::bodies;

/// The name that the one module knows all its imports' module by.
pub(super) const OUTER: &str = "";

type Encoded<T> = Result<T, Error<Infallible>>;

/// The name of an import of the one module.
pub(super) fn import_name(kind: Kind, at: usize) -> String {
    format!("{kind:?}{at}")
}

/// The name of an export of the one module.
pub(super) fn export_name((instance, name): &Shown<'_>) -> String {
    format!("{instance}:{name}")
}

pub(super) fn write(linked: &Linked<'_>) -> Suited<Vec<u8>> {
    let mut writer = Writer { linked, maps: maps(linked)? };
    let mut module = Module::new();
    module.section(&writer.types()?);
    module.section(&writer.imports()?);
    module.section(&writer.functions()?);
    module.section(&writer.tables()?);
    module.section(&writer.memories()?);
    let tags = writer.tags()?;
    if !tags.is_empty() {
        module.section(&tags);
    }
    module.section(&writer.globals()?);
    module.section(&writer.exports());
    if let Some(function_index) = writer.start()? {
        module.section(&StartSection { function_index });
    }
    module.section(&writer.elements()?);
    let count = linked.members.iter().map(|member| member.parts.data_count()).sum();
    module.section(&DataCountSection { count });
    module.section(&writer.code()?);
    module.section(&writer.data()?);
    module.section(&writer.names());
    Ok(module.finish())
}

struct Writer<'l, 'a> {
    linked: &'l Linked<'a>,
    maps: Vec<Map<'l, 'a>>,
}

impl<'l, 'a> Writer<'l, 'a> {
    /// Each member, and what copies it.
    fn members(&mut self) -> impl Iterator<Item = (&'l Member<'a>, &mut Map<'l, 'a>)> {
        self.linked.members.iter().zip(&mut self.maps)
    }

    fn types(&mut self) -> Encoded<TypeSection> {
        let mut section = TypeSection::new();
        for (member, map) in self.members() {
            if let Some(types) = member.parts.types.clone() {
                map.parse_type_section(&mut section, types)?;
            }
        }
        Ok(section)
    }

    fn imports(&mut self) -> Encoded<ImportSection> {
        let mut section = ImportSection::new();
        for kind in Kind::ALL {
            for (at, asked) in self.linked.asked[kind].iter().enumerate() {
                let import = self.linked.members[asked.member].parts.imports[kind][asked.import];
                let ty: EntityType = self.maps[asked.member].entity_type(import.ty)?;
                section.import(OUTER, &import_name(kind, at), ty);
            }
        }
        Ok(section)
    }

    fn functions(&mut self) -> Encoded<FunctionSection> {
        let mut section = FunctionSection::new();
        for (member, map) in self.members() {
            for ty in &member.parts.functions {
                section.function(map.type_index(*ty)?);
            }
        }
        Ok(section)
    }

    fn tables(&mut self) -> Encoded<TableSection> {
        let mut section = TableSection::new();
        for (member, map) in self.members() {
            for table in &member.parts.tables {
                map.parse_table(&mut section, table.clone())?;
            }
        }
        Ok(section)
    }

    fn memories(&mut self) -> Encoded<MemorySection> {
        let mut section = MemorySection::new();
        for (member, map) in self.members() {
            for memory in &member.parts.memories {
                section.memory(map.memory_type(*memory)?);
            }
        }
        Ok(section)
    }

    fn tags(&mut self) -> Encoded<TagSection> {
        let mut section = TagSection::new();
        for (member, map) in self.members() {
            for tag in &member.parts.tags {
                section.tag(map.tag_type(*tag)?);
            }
        }
        Ok(section)
    }

    fn globals(&mut self) -> Encoded<GlobalSection> {
        let mut section = GlobalSection::new();
        for (member, map) in self.members() {
            for global in &member.parts.globals {
                map.parse_global(&mut section, global.clone())?;
            }
        }
        Ok(section)
    }

    fn exports(&self) -> ExportSection {
        let mut section = ExportSection::new();
        for (shown, (kind, number)) in &self.linked.shown {
            section.export(&export_name(shown), kind.encoded(), *number);
        }
        section
    }

    /// Only the last one has any.
    fn start(&mut self) -> Encoded<Option<u32>> {
        let starts = self.members().filter_map(|(member, map)| Some((member.parts.start?, map)));
        starts.last().map(|(start, map)| map.function_index(start)).transpose()
    }

    fn elements(&mut self) -> Encoded<ElementSection> {
        let mut section = ElementSection::new();
        for (member, map) in self.members() {
            if let Some(elements) = member.parts.elements.clone() {
                map.parse_element_section(&mut section, elements)?;
            }
        }
        Ok(section)
    }

    fn code(&mut self) -> Encoded<CodeSection> {
        let mut section = CodeSection::new();
        for (member, map) in self.members() {
            for body in &member.parts.bodies {
                bodies::copy(map, &mut section, body)?;
            }
        }
        Ok(section)
    }

    fn data(&mut self) -> Encoded<DataSection> {
        let mut section = DataSection::new();
        for (member, map) in self.members() {
            if let Some(data) = member.parts.data.clone() {
                map.parse_data_section(&mut section, data)?;
            }
        }
        Ok(section)
    }

    /// The names of functions, which make a trap's backtrace legible.
    fn names(&self) -> NameSection {
        let mut named = Vec::new();
        for member in &self.linked.members {
            let imported = member.parts.imports[Kind::Function].len();
            let numbers = &member.numbers[Kind::Function];
            // What is imported has its name where it is from.
            let own = member.parts.names.iter().filter(|(index, _)| *index as usize >= imported);
            named.extend(
                own.filter_map(|(index, name)| Some((*numbers.get(*index as usize)?, *name))),
            );
        }
        named.sort_by_key(|(number, _)| *number);
        named.dedup_by_key(|(number, _)| *number);
        let mut names = NameMap::new();
        for (number, name) in named {
            names.append(number, name);
        }
        let mut section = NameSection::new();
        section.functions(&names);
        section
    }
}

/// What a member knows by its numbers, by those of the outcome.
struct Map<'l, 'a> {
    linked: &'l Linked<'a>,
    member: &'l Member<'a>,
    types: u32,
    elements: u32,
    data: u32,
}

fn maps<'l, 'a>(linked: &'l Linked<'a>) -> Suited<Vec<Map<'l, 'a>>> {
    let (mut types, mut elements, mut data) = (0_u32, 0_u32, 0_u32);
    let mut maps = Vec::new();
    for member in &linked.members {
        maps.push(Map { linked, member, types, elements, data });
        types = types.checked_add(member.parts.type_count).ok_or(Unsuited)?;
        elements = elements.checked_add(member.parts.element_count()).ok_or(Unsuited)?;
        data = data.checked_add(member.parts.data_count()).ok_or(Unsuited)?;
    }
    Ok(maps)
}

impl Map<'_, '_> {
    fn number(&self, kind: Kind, index: u32) -> Encoded<u32> {
        let number = self.member.numbers[kind].get(index as usize).copied();
        number.ok_or(Error::InvalidConstExpr)
    }

    /// What a global always is, by the member's number.
    fn constant(&self, global: u32) -> Option<i32> {
        let number = self.member.numbers[Kind::Global].get(global as usize)?;
        self.linked.constants.get(number).copied()
    }
}

impl Reencode for Map<'_, '_> {
    type Error = Infallible;

    fn function_index(&mut self, index: u32) -> Encoded<u32> {
        self.number(Kind::Function, index)
    }

    fn table_index(&mut self, index: u32) -> Encoded<u32> {
        self.number(Kind::Table, index)
    }

    fn memory_index(&mut self, index: u32) -> Encoded<u32> {
        self.number(Kind::Memory, index)
    }

    fn global_index(&mut self, index: u32) -> Encoded<u32> {
        self.number(Kind::Global, index)
    }

    fn tag_index(&mut self, index: u32) -> Encoded<u32> {
        self.number(Kind::Tag, index)
    }

    fn type_index(&mut self, index: u32) -> Encoded<u32> {
        Ok(self.types.saturating_add(index))
    }

    fn element_index(&mut self, index: u32) -> Encoded<u32> {
        Ok(self.elements.saturating_add(index))
    }

    fn data_index(&mut self, index: u32) -> Encoded<u32> {
        Ok(self.data.saturating_add(index))
    }

    /// Where a library's part of memory begins is a number by now.
    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Encoded<Instruction<'a>> {
        match operator {
            Operator::GlobalGet { global_index } => match self.constant(global_index) {
                Some(constant) => Ok(Instruction::I32Const(constant)),
                None => utils::instruction(self, operator),
            },
            operator => utils::instruction(self, operator),
        }
    }

    /// The same where a place is reckoned from it, so that whoever reads the outcome needs no arithmetic.
    fn const_expr(&mut self, expr: wasmparser::ConstExpr<'_>) -> Encoded<ConstExpr> {
        let operators = expr.get_operators_reader().into_iter();
        let operators = operators.collect::<wasmparser::Result<Vec<_>>>()?;
        let (global, offset) = match operators[..] {
            [Operator::GlobalGet { global_index }, Operator::End] => (global_index, 0),
            [
                Operator::GlobalGet { global_index },
                Operator::I32Const { value },
                Operator::I32Add,
                Operator::End,
            ] => (global_index, value),
            _ => return utils::const_expr(self, expr),
        };
        match self.constant(global) {
            Some(place) => Ok(ConstExpr::i32_const(place.wrapping_add(offset))),
            None => utils::const_expr(self, expr),
        }
    }
}
