//! A core module, taken apart.

use std::collections::HashMap;

use wasmparser::{
    BinaryReader, CodeSectionReader, CustomSectionReader, DataSectionReader, ElementSectionReader,
    FunctionBody, Global, Import, Imports, KnownCustom, MemoryType, Name, Operator, Parser,
    Payload, Table, TagType, TypeRef, TypeSectionReader,
};

use super::{Each, Kind, Suited, Unsuited, narrow};

#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) types: Option<TypeSectionReader<'a>>,
    /// How many types there are, those of recursive groups each counted.
    pub(super) type_count: u32,
    /// What is imported of each kind.
    pub(super) imports: Each<Vec<Import<'a>>>,
    /// The types of the module's own functions, and what they do.
    pub(super) functions: Vec<u32>,
    pub(super) bodies: Vec<FunctionBody<'a>>,
    pub(super) tables: Vec<Table<'a>>,
    pub(super) memories: Vec<MemoryType>,
    pub(super) globals: Vec<Global<'a>>,
    pub(super) tags: Vec<TagType>,
    pub(super) exports: HashMap<&'a str, (Kind, u32)>,
    /// What runs when the module is instantiated.
    pub(super) start: Option<u32>,
    pub(super) elements: Option<ElementSectionReader<'a>>,
    pub(super) data: Option<DataSectionReader<'a>>,
    /// What the name section calls functions.
    pub(super) names: Vec<(u32, &'a str)>,
}

impl<'a> Parts<'a> {
    pub(super) fn read(wasm: &'a [u8]) -> Suited<Self> {
        let mut parts = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            parts.take(payload?, wasm)?;
        }
        if parts.bodies.len() != parts.functions.len() {
            return Err(Unsuited);
        }
        Ok(parts)
    }

    fn take(&mut self, payload: Payload<'a>, wasm: &'a [u8]) -> Suited<()> {
        match payload {
            Payload::TypeSection(types) => {
                for group in types.clone() {
                    self.type_count += narrow(group?.types().len())?;
                }
                self.types = Some(types);
            }
            Payload::ImportSection(imports) => {
                for group in imports {
                    let Imports::Single(_, import) = group? else { return Err(Unsuited) };
                    self.imports[kind_of(&import.ty)?].push(import);
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
            Payload::TagSection(tags) => self.tags = tags.into_iter().collect::<Result<_, _>>()?,
            Payload::GlobalSection(globals) => {
                self.globals = globals.into_iter().collect::<Result<_, _>>()?;
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    self.exports.insert(export.name, (Kind::of(export.kind)?, export.index));
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::ElementSection(elements) => self.elements = Some(elements),
            Payload::CodeSectionStart { range, .. } => {
                let bytes = wasm.get(range.clone()).ok_or(Unsuited)?;
                let bodies = CodeSectionReader::new(BinaryReader::new(bytes, range.start))?;
                self.bodies = bodies.into_iter().collect::<Result<_, _>>()?;
            }
            Payload::DataSection(data) => self.data = Some(data),
            Payload::CustomSection(section) => self.name(&section),
            Payload::Version { encoding: wasmparser::Encoding::Module, .. }
            | Payload::DataCountSection { .. }
            | Payload::CodeSectionEntry(_)
            | Payload::End(_) => {}
            _ => return Err(Unsuited),
        }
        Ok(())
    }

    /// Names are for people: damaged ones are left out.
    fn name(&mut self, section: &CustomSectionReader<'a>) {
        let KnownCustom::Name(names) = section.as_known() else { return };
        for names in names {
            let Ok(Name::Function(functions)) = names else { continue };
            self.names
                .extend(functions.into_iter().map_while(Result::ok).map(|it| (it.index, it.name)));
        }
    }

    /// How many of a kind are the module's own.
    pub(super) fn own(&self, kind: Kind) -> usize {
        match kind {
            Kind::Function => self.functions.len(),
            Kind::Table => self.tables.len(),
            Kind::Memory => self.memories.len(),
            Kind::Global => self.globals.len(),
            Kind::Tag => self.tags.len(),
        }
    }

    pub(super) fn element_count(&self) -> u32 {
        self.elements.as_ref().map_or(0, ElementSectionReader::count)
    }

    pub(super) fn data_count(&self) -> u32 {
        self.data.as_ref().map_or(0, DataSectionReader::count)
    }

    /// What one of the module's own globals always is, if it is a plain number of 32 bits.
    pub(super) fn constant(&self, own: usize) -> Option<i32> {
        let global = self.globals.get(own).filter(|global| !global.ty.mutable)?;
        let mut operators = global.init_expr.get_operators_reader();
        match (operators.read().ok()?, operators.read().ok()?) {
            (Operator::I32Const { value }, Operator::End) => Some(value),
            _ => None,
        }
    }
}

fn kind_of(ty: &TypeRef) -> Suited<Kind> {
    Ok(match ty {
        TypeRef::Func(_) => Kind::Function,
        TypeRef::Table(_) => Kind::Table,
        TypeRef::Memory(_) => Kind::Memory,
        TypeRef::Global(_) => Kind::Global,
        TypeRef::Tag(_) => Kind::Tag,
        TypeRef::FuncExact(_) => return Err(Unsuited),
    })
}

/// What a module imports: the kinds and names of what it asks another for.
pub(super) fn imports<'a>(wasm: &'a [u8], from: &str) -> Suited<Vec<(&'a str, Kind)>> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(imports) => {
                for group in imports {
                    let Imports::Single(_, import) = group? else { return Err(Unsuited) };
                    if import.module == from {
                        found.push((import.name, kind_of(&import.ty)?));
                    }
                }
                break;
            }
            Payload::CodeSectionStart { .. } => break,
            _ => {}
        }
    }
    Ok(found)
}
