//! Writes the one module, section by section: of each the members' parts, in order.

use std::collections::HashMap;

use wasm_encoder::reencode::{Reencode, utils};
use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, EntityType,
    ExportSection, FunctionSection, GlobalSection, ImportSection, Instruction, MemorySection,
    Module, NameMap, NameSection, StartSection, TableSection, TagSection, TypeSection,
};
use wasmparser::Operator;

use super::{Asked, Joinable, Joined, Kind, Member, Parts, Unjoinable, unjoinable};
use crate::bodies;

pub(super) struct Writer<'j, 'a, O> {
    joined: &'j Joined<'a, O>,
    /// What copies each member.
    maps: Vec<Map<'j, 'a>>,
}

impl<'j, 'a, O> Writer<'j, 'a, O> {
    pub(super) fn new(joined: &'j Joined<'a, O>) -> Joinable<Self> {
        let (mut types, mut elements, mut data) = (0, 0, 0);
        let mut maps = Vec::new();
        for member in &joined.members {
            maps.push(Map { constants: &joined.constants, member, types, elements, data });
            types = sum(types, member.parts.type_count)?;
            elements = sum(elements, member.parts.element_count())?;
            data = sum(data, member.parts.data_count())?;
        }
        Ok(Self { joined, maps })
    }

    pub(super) fn write<'n>(
        mut self,
        name: impl Fn(Kind, usize, &O) -> (&'n str, String),
        exports: &[(String, Kind, u32)],
    ) -> Joinable<Vec<u8>> {
        let mut module = Module::new();
        module.section(&self.types()?);
        module.section(&self.imports(name)?);
        module.section(&self.functions()?);
        module.section(&self.tables()?);
        module.section(&self.memories()?);
        let tags = self.tags()?;
        if !tags.is_empty() {
            module.section(&tags);
        }
        module.section(&self.globals()?);
        let mut section = ExportSection::new();
        for (name, kind, number) in exports {
            section.export(name, kind.encoded(), *number);
        }
        module.section(&section);
        if let Some(function_index) = self.start()? {
            module.section(&StartSection { function_index });
        }
        module.section(&self.elements()?);
        let count = self.maps.iter().map(|map| map.member.parts.data_count()).sum();
        module.section(&DataCountSection { count });
        module.section(&self.code()?);
        module.section(&self.data()?);
        module.section(&self.names());
        Ok(module.finish())
    }

    /// A section to which each member adds its part.
    fn section<S: Default>(
        &mut self,
        part: impl Fn(&mut S, &Parts<'a>, &mut Map<'j, 'a>) -> Joinable<()>,
    ) -> Joinable<S> {
        let mut section = S::default();
        for map in &mut self.maps {
            part(&mut section, &map.member.parts, map)?;
        }
        Ok(section)
    }

    fn types(&mut self) -> Joinable<TypeSection> {
        self.section(|section, parts, map| match parts.types.clone() {
            Some(types) => map.parse_type_section(section, types),
            None => Ok(()),
        })
    }

    fn imports<'n>(
        &mut self,
        name: impl Fn(Kind, usize, &O) -> (&'n str, String),
    ) -> Joinable<ImportSection> {
        let mut section = ImportSection::new();
        for kind in Kind::ALL {
            for (at, Asked { outer, member, import }) in self.joined.asked[kind].iter().enumerate()
            {
                let import = self.joined.members[*member].parts.imports[kind][*import];
                let ty: EntityType = self.maps[*member].entity_type(import.ty)?;
                let (module, name) = name(kind, at, outer);
                section.import(module, &name, ty);
            }
        }
        Ok(section)
    }

    fn functions(&mut self) -> Joinable<FunctionSection> {
        self.section(|section: &mut FunctionSection, parts, map| {
            for ty in &parts.functions {
                section.function(map.type_index(*ty)?);
            }
            Ok(())
        })
    }

    fn tables(&mut self) -> Joinable<TableSection> {
        self.section(|section, parts, map| {
            parts.tables.iter().try_for_each(|table| map.parse_table(section, table.clone()))
        })
    }

    fn memories(&mut self) -> Joinable<MemorySection> {
        self.section(|section: &mut MemorySection, parts, map| {
            for memory in &parts.memories {
                section.memory(map.memory_type(*memory)?);
            }
            Ok(())
        })
    }

    fn tags(&mut self) -> Joinable<TagSection> {
        self.section(|section: &mut TagSection, parts, map| {
            for tag in &parts.tags {
                section.tag(map.tag_type(*tag)?);
            }
            Ok(())
        })
    }

    fn globals(&mut self) -> Joinable<GlobalSection> {
        self.section(|section, parts, map| {
            parts.globals.iter().try_for_each(|global| map.parse_global(section, global.clone()))
        })
    }

    /// Only the last one has any.
    fn start(&mut self) -> Joinable<Option<u32>> {
        let Some(map) = self.maps.last_mut() else { return Ok(None) };
        map.member.parts.start.map(|start| map.function_index(start)).transpose()
    }

    fn elements(&mut self) -> Joinable<ElementSection> {
        self.section(|section, parts, map| match parts.elements.clone() {
            Some(elements) => map.parse_element_section(section, elements),
            None => Ok(()),
        })
    }

    fn code(&mut self) -> Joinable<CodeSection> {
        self.section(|section, parts, map| {
            let mut bodies = parts.bodies.iter();
            bodies.try_for_each(|body| bodies::copy(map, section, body))
        })
    }

    fn data(&mut self) -> Joinable<DataSection> {
        self.section(|section, parts, map| match parts.data.clone() {
            Some(data) => map.parse_data_section(section, data),
            None => Ok(()),
        })
    }

    /// The names of functions, which make a trap's backtrace legible.
    fn names(&self) -> NameSection {
        let named = self.joined.members.iter().flat_map(|member| {
            let names = member.parts.names.iter();
            names.filter_map(|(index, name)| {
                Some((member.number(Kind::Function, *index).ok()?, *name))
            })
        });
        let mut named: Vec<_> = named.collect();
        named.sort_unstable();
        // What one gives and another imports may have two.
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

fn sum(before: u32, more: u32) -> Joinable<u32> {
    match before.checked_add(more) {
        Some(sum) => Ok(sum),
        None => unjoinable("there is too much in the modules"),
    }
}

/// What a member knows by its numbers, by those of the outcome.
struct Map<'j, 'a> {
    constants: &'j HashMap<u32, i32>,
    member: &'j Member<'a>,
    types: u32,
    elements: u32,
    data: u32,
}

impl Map<'_, '_> {
    /// What a global always is, by the member's number.
    fn constant(&self, global: u32) -> Option<i32> {
        let number = self.member.number(Kind::Global, global).ok()?;
        self.constants.get(&number).copied()
    }
}

impl Reencode for Map<'_, '_> {
    type Error = Unjoinable;

    fn function_index(&mut self, index: u32) -> Joinable<u32> {
        self.member.number(Kind::Function, index)
    }

    fn table_index(&mut self, index: u32) -> Joinable<u32> {
        self.member.number(Kind::Table, index)
    }

    fn memory_index(&mut self, index: u32) -> Joinable<u32> {
        self.member.number(Kind::Memory, index)
    }

    fn global_index(&mut self, index: u32) -> Joinable<u32> {
        self.member.number(Kind::Global, index)
    }

    fn tag_index(&mut self, index: u32) -> Joinable<u32> {
        self.member.number(Kind::Tag, index)
    }

    fn type_index(&mut self, index: u32) -> Joinable<u32> {
        sum(self.types, index)
    }

    fn element_index(&mut self, index: u32) -> Joinable<u32> {
        sum(self.elements, index)
    }

    fn data_index(&mut self, index: u32) -> Joinable<u32> {
        sum(self.data, index)
    }

    /// A global that never changes is a number by now.
    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Joinable<Instruction<'a>> {
        match operator {
            Operator::GlobalGet { global_index } => match self.constant(global_index) {
                Some(constant) => Ok(Instruction::I32Const(constant)),
                None => utils::instruction(self, operator),
            },
            operator => utils::instruction(self, operator),
        }
    }

    /// The same where a place is reckoned from it, so that whoever reads the outcome needs no arithmetic.
    fn const_expr(&mut self, expr: wasmparser::ConstExpr<'_>) -> Joinable<ConstExpr> {
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
