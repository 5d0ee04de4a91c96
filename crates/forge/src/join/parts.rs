//! A core module, taken apart.

use wasmparser::{
    BinaryReader, CodeSectionReader, CustomSectionReader, DataSectionReader, ElementSectionReader,
    FunctionBody, Global, Import, KnownCustom, MemoryType, Name, Parser, Payload, Table, TagType,
    TypeSectionReader,
};

use super::{Each, Error, Joinable, Kind, narrow, unjoinable};

#[derive(Default)]
pub(crate) struct Parts<'a> {
    pub(super) types: Option<TypeSectionReader<'a>>,
    /// How many types there are, those of recursive groups each counted.
    pub(super) type_count: u32,
    /// What is imported of each kind.
    pub(crate) imports: Each<Vec<Import<'a>>>,
    /// The types of the module's own functions, and what they do.
    pub(crate) functions: Vec<u32>,
    pub(crate) bodies: Vec<FunctionBody<'a>>,
    pub(crate) tables: Vec<Table<'a>>,
    pub(crate) memories: Vec<MemoryType>,
    pub(crate) globals: Vec<Global<'a>>,
    pub(super) tags: Vec<TagType>,
    pub(crate) exports: Vec<(&'a str, Kind, u32)>,
    /// What runs when the module is instantiated.
    pub(crate) start: Option<u32>,
    pub(super) elements: Option<ElementSectionReader<'a>>,
    pub(super) data: Option<DataSectionReader<'a>>,
    /// What the name section calls functions.
    pub(crate) names: Vec<(u32, &'a str)>,
}

impl<'a> Parts<'a> {
    pub(crate) fn read(wasm: &'a [u8]) -> Joinable<Self> {
        let mut parts = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            parts.take(payload?, wasm)?;
        }
        if parts.bodies.len() != parts.functions.len() {
            return unjoinable("a module has not as many functions as it says");
        }
        Ok(parts)
    }

    fn take(&mut self, payload: Payload<'a>, wasm: &'a [u8]) -> Joinable<()> {
        match payload {
            Payload::TypeSection(types) => {
                for group in types.clone() {
                    self.type_count += narrow(group?.types().len())?;
                }
                self.types = Some(types);
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    self.imports[Kind::of_type(&import.ty)?].push(import);
                }
            }
            Payload::FunctionSection(functions) => self.functions = all(functions)?,
            Payload::TableSection(tables) => self.tables = all(tables)?,
            Payload::MemorySection(memories) => self.memories = all(memories)?,
            Payload::TagSection(tags) => self.tags = all(tags)?,
            Payload::GlobalSection(globals) => self.globals = all(globals)?,
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    self.exports.push((export.name, Kind::of(export.kind)?, export.index));
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::ElementSection(elements) => self.elements = Some(elements),
            Payload::CodeSectionStart { range, .. } => {
                let bytes = wasm.get(range.clone()).ok_or(Error::InvalidCodeSectionSize)?;
                self.bodies = all(CodeSectionReader::new(BinaryReader::new(bytes, range.start))?)?;
            }
            Payload::DataSection(data) => self.data = Some(data),
            Payload::CustomSection(section) => self.name(&section),
            Payload::Version { encoding: wasmparser::Encoding::Module, .. }
            | Payload::DataCountSection { .. }
            | Payload::CodeSectionEntry(_)
            | Payload::End(_) => {}
            _ => return Err(Error::UnexpectedNonCoreModuleSection),
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
    pub(crate) fn own(&self, kind: Kind) -> usize {
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
}

/// What is in a section.
fn all<T>(section: impl IntoIterator<Item = wasmparser::Result<T>>) -> Joinable<Vec<T>> {
    Ok(section.into_iter().collect::<wasmparser::Result<_>>()?)
}
