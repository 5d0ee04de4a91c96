//! A module, taken apart.

use std::collections::HashMap;

use wasmparser::{
    BinaryReader, CodeSectionReader, CustomSectionReader, DataSectionReader, ElementSectionReader,
    Export, ExternalKind, FunctionBody, GlobalSectionReader, Imports, KnownCustom, MemoryType,
    Name, Parser, Payload, Table, TagSectionReader, TypeRef, TypeSectionReader,
};

use super::{INTERPRETER, MergeError, PLACE};

/// A function that a module imports.
pub(super) struct Import<'a> {
    pub(super) module: &'a str,
    pub(super) name: &'a str,
    pub(super) ty: u32,
}

impl Import<'_> {
    /// Whether both are of one name.
    pub(super) fn is(&self, other: &Import<'_>) -> bool {
        (self.module, self.name) == (other.module, other.name)
    }
}

#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) types: Option<TypeSectionReader<'a>>,
    pub(super) imports: Vec<Import<'a>>,
    /// The imported globals, which are constants; of a driver only.
    pub(super) places: Vec<&'a str>,
    /// How much of the interpreter's memory, in pages, and of its table a driver asks for.
    pub(super) pages: u64,
    pub(super) slots: u64,
    /// The types of the module's own functions, and what they do.
    pub(super) functions: Vec<u32>,
    pub(super) bodies: Vec<FunctionBody<'a>>,
    pub(super) tables: Vec<Table<'a>>,
    pub(super) memories: Vec<MemoryType>,
    pub(super) tags: Option<TagSectionReader<'a>>,
    pub(super) globals: Option<GlobalSectionReader<'a>>,
    pub(super) exports: Vec<Export<'a>>,
    pub(super) elements: Option<ElementSectionReader<'a>>,
    pub(super) data: Option<DataSectionReader<'a>>,
    /// What the name section calls functions.
    pub(super) names: HashMap<u32, &'a str>,
}

impl<'a> Parts<'a> {
    pub(super) fn read(wasm: &'a [u8]) -> Result<Self, MergeError> {
        let mut parts = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            parts.take(payload?, wasm)?;
        }
        Ok(parts)
    }

    fn take(&mut self, payload: Payload<'a>, wasm: &'a [u8]) -> Result<(), MergeError> {
        match payload {
            Payload::TypeSection(types) => self.types = Some(types),
            Payload::ImportSection(imports) => {
                for group in imports {
                    let Imports::Single(_, import) = group? else {
                        return Err(MergeError::Unsuited("imports are grouped"));
                    };
                    self.import(import)?;
                }
            }
            Payload::FunctionSection(functions) => {
                self.functions = functions.into_iter().collect::<Result<_, _>>()?;
            }
            Payload::TableSection(tables) => {
                self.tables = tables.into_iter().collect::<Result<_, _>>()?;
            }
            Payload::MemorySection(memories) => {
                self.memories = memories.into_iter().collect::<Result<_, _>>()?;
            }
            Payload::TagSection(tags) => self.tags = Some(tags),
            Payload::GlobalSection(globals) => self.globals = Some(globals),
            Payload::ExportSection(exports) => {
                self.exports = exports.into_iter().collect::<Result<_, _>>()?;
            }
            Payload::StartSection { .. } => {
                return Err(MergeError::Unsuited("a module runs code when it is instantiated"));
            }
            Payload::ElementSection(elements) => self.elements = Some(elements),
            Payload::CodeSectionStart { range, .. } => {
                let reader = BinaryReader::new(&wasm[range.clone()], range.start);
                let bodies = CodeSectionReader::new(reader)?;
                self.bodies = bodies.into_iter().collect::<Result<_, _>>()?;
            }
            Payload::DataSection(data) => self.data = Some(data),
            Payload::CustomSection(section) => self.name(&section)?,
            Payload::Version { .. }
            | Payload::DataCountSection { .. }
            | Payload::CodeSectionEntry(_)
            | Payload::End(_) => {}
            _ => return Err(MergeError::Unsuited("one of the two is no core module")),
        }
        Ok(())
    }

    fn import(&mut self, import: wasmparser::Import<'a>) -> Result<(), MergeError> {
        match (import.module, import.ty) {
            (module, TypeRef::Func(ty)) => {
                self.imports.push(Import { module, name: import.name, ty });
            }
            (PLACE, TypeRef::Global(_)) => self.places.push(import.name),
            (INTERPRETER, TypeRef::Memory(memory)) => self.pages = memory.initial,
            (INTERPRETER, TypeRef::Table(table)) => self.slots = table.initial,
            _ => return Err(MergeError::Unsuited("something else than functions is imported")),
        }
        Ok(())
    }

    fn name(&mut self, section: &CustomSectionReader<'a>) -> Result<(), MergeError> {
        let KnownCustom::Name(names) = section.as_known() else { return Ok(()) };
        for names in names {
            let Name::Function(functions) = names? else { continue };
            for naming in functions {
                let naming = naming?;
                self.names.insert(naming.index, naming.name);
            }
        }
        Ok(())
    }

    /// The function that is exported as `name`.
    pub(super) fn export(&self, name: &str) -> Option<u32> {
        let is_it = |export: &&Export<'_>| export.kind == ExternalKind::Func && export.name == name;
        self.exports.iter().find(is_it).map(|export| export.index)
    }

    /// The function that is called `name`. Where the name section calls several so, as it does
    /// private functions of C, it is none.
    pub(super) fn function(&self, name: &str, pins: &[(&str, u32)]) -> Result<u32, MergeError> {
        let pinned = || pins.iter().find(|(pinned, _)| *pinned == name).map(|(_, index)| *index);
        let named = || {
            let mut called = self.names.iter().filter(|(_, called)| **called == name);
            called.next().filter(|_| called.next().is_none()).map(|(index, _)| *index)
        };
        let found = self.export(name).or_else(pinned).or_else(named);
        found.ok_or_else(|| MergeError::Missing(format!("function `{name}`")))
    }

    /// How many types there are, those of recursive groups each counted.
    pub(super) fn type_count(&self) -> Result<u32, wasmparser::BinaryReaderError> {
        let mut count = 0;
        for group in self.types.clone().into_iter().flatten() {
            count += group?.types().len();
        }
        Ok(super::narrow(count))
    }

    pub(super) fn tag_count(&self) -> u32 {
        self.tags.as_ref().map_or(0, TagSectionReader::count)
    }

    pub(super) fn data_count(&self) -> u32 {
        self.data.as_ref().map_or(0, DataSectionReader::count)
    }

    pub(super) fn element_count(&self) -> u32 {
        self.elements.as_ref().map_or(0, ElementSectionReader::count)
    }

    pub(super) fn global_count(&self) -> u32 {
        self.globals.as_ref().map_or(0, GlobalSectionReader::count)
    }
}
