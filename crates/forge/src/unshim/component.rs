//! A component as far as its core modules are concerned: what is made of them, in order.

use std::ops::Range;

use wasmparser::{
    BinaryReaderError, CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentTypeRef,
    ExternalKind, Instance, InstantiationArgKind, Payload, SectionLimited,
};

use super::{Suited, Unsuited};
use crate::sections::sections;

/// What is before the first lifted function, and what comes from there on.
pub(super) struct Component<'a> {
    pub(super) before: Vec<Item<'a>>,
    pub(super) after: Vec<Item<'a>>,
    pub(super) modules: Vec<&'a [u8]>,
    pub(super) functions: Vec<Function<'a>>,
    pub(super) instances: Vec<InstanceOf<'a>>,
    pub(super) memories: Vec<Alias<'a>>,
    pub(super) tables: Vec<Alias<'a>>,
}

/// One definition of the component.
pub(super) enum Item<'a> {
    /// Sections without core definitions: their bytes with their header.
    Whole(&'a [u8]),
    /// An entry of a section of this number that names no core definition.
    Entry(u8, &'a [u8]),
    /// A function that lowers or lifts: the core function is the next.
    Canonical(CanonicalFunction),
    /// The next core instance.
    Instance,
    /// An export of a core instance: the next core definition of its kind.
    Alias(ExternalKind),
}

/// An export of a core instance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Alias<'a> {
    pub(super) instance: u32,
    pub(super) name: &'a str,
}

/// Where a core function comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Function<'a> {
    /// It is made by the component itself.
    Canonical,
    /// An instance exports it.
    Alias(Alias<'a>),
}

/// A core instance.
pub(super) enum InstanceOf<'a> {
    Module { module: u32, args: Vec<(&'a str, u32)> },
    Exports(Vec<(&'a str, ExternalKind, u32)>),
}

const ALIASES: u8 = 6;
const CANONICALS: u8 = 8;

impl<'a> Component<'a> {
    /// Reads a component, unless it has what is not known here.
    pub(super) fn read(wasm: &'a [u8]) -> Suited<Self> {
        let mut component = Self {
            before: Vec::new(),
            after: Vec::new(),
            modules: Vec::new(),
            functions: Vec::new(),
            instances: Vec::new(),
            memories: Vec::new(),
            tables: Vec::new(),
        };
        for section in sections(wasm) {
            let section = section?;
            let whole = &wasm[section.range.clone()];
            component.section(section.payload, section.range, whole, wasm)?;
        }
        Ok(component)
    }

    fn section(
        &mut self,
        payload: Payload<'a>,
        range: Range<usize>,
        whole: &'a [u8],
        wasm: &'a [u8],
    ) -> Suited<()> {
        match payload {
            Payload::Version { encoding: wasmparser::Encoding::Module, .. } => {
                return Err(Unsuited);
            }
            Payload::Version { .. } | Payload::End(_) => {}
            Payload::ModuleSection { unchecked_range, .. } => {
                self.modules.push(&wasm[unchecked_range]);
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    if matches!(import?.ty, ComponentTypeRef::Module(_)) {
                        return Err(Unsuited);
                    }
                }
                self.push(Item::Whole(whole));
            }
            Payload::ComponentTypeSection(_)
            | Payload::ComponentSection { .. }
            | Payload::ComponentInstanceSection(_)
            | Payload::ComponentExportSection(_) => self.push(Item::Whole(whole)),
            // Names of core definitions would be others'.
            Payload::CustomSection(custom) if custom.name() == "component-name" => {}
            Payload::CustomSection(_) => self.push(Item::Whole(whole)),
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    self.instance(instance?)?;
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for (alias, bytes) in entries(aliases, range.end, wasm)? {
                    self.alias(alias, bytes)?;
                }
            }
            Payload::ComponentCanonicalSection(canonicals) => {
                for (canonical, bytes) in entries(canonicals, range.end, wasm)? {
                    self.canonical(canonical, bytes)?;
                }
            }
            _ => return Err(Unsuited),
        }
        Ok(())
    }

    fn push(&mut self, item: Item<'a>) {
        if self.after.is_empty() { self.before.push(item) } else { self.after.push(item) }
    }

    fn instance(&mut self, instance: Instance<'a>) -> Suited<()> {
        self.instances.push(match instance {
            Instance::Instantiate { module_index, args } => InstanceOf::Module {
                module: module_index,
                args: args
                    .iter()
                    .map(|arg| match arg.kind {
                        InstantiationArgKind::Instance => (arg.name, arg.index),
                    })
                    .collect(),
            },
            Instance::FromExports(exports) => InstanceOf::Exports(
                exports.iter().map(|export| (export.name, export.kind, export.index)).collect(),
            ),
        });
        if !self.after.is_empty() {
            return Err(Unsuited);
        }
        self.push(Item::Instance);
        Ok(())
    }

    fn alias(&mut self, alias: ComponentAlias<'a>, bytes: &'a [u8]) -> Suited<()> {
        match alias {
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Module, .. } => {
                return Err(Unsuited);
            }
            ComponentAlias::InstanceExport { .. } => self.push(Item::Entry(ALIASES, bytes)),
            ComponentAlias::Outer { kind, .. } => match kind {
                wasmparser::ComponentOuterAliasKind::Type
                | wasmparser::ComponentOuterAliasKind::Component => {
                    self.push(Item::Entry(ALIASES, bytes));
                }
                _ => return Err(Unsuited),
            },
            ComponentAlias::CoreInstanceExport { kind, instance_index, name } => {
                let alias = Alias { instance: instance_index, name };
                match kind {
                    ExternalKind::Func => self.functions.push(Function::Alias(alias)),
                    ExternalKind::Memory => self.memories.push(alias),
                    ExternalKind::Table => self.tables.push(alias),
                    _ => return Err(Unsuited),
                }
                self.push(Item::Alias(kind));
            }
        }
        Ok(())
    }

    fn canonical(&mut self, canonical: CanonicalFunction, bytes: &'a [u8]) -> Suited<()> {
        match canonical {
            CanonicalFunction::Lift { .. } => {
                self.after.push(Item::Canonical(canonical));
                return Ok(());
            }
            CanonicalFunction::Lower { .. } => self.push(Item::Canonical(canonical)),
            // They name types alone.
            CanonicalFunction::ResourceNew { .. }
            | CanonicalFunction::ResourceDrop { .. }
            | CanonicalFunction::ResourceRep { .. } => self.push(Item::Entry(CANONICALS, bytes)),
            _ => return Err(Unsuited),
        }
        self.functions.push(Function::Canonical);
        Ok(())
    }
}

/// The entries of a section that ends at `end`, with their bytes.
fn entries<'a, T: wasmparser::FromReader<'a>>(
    section: SectionLimited<'a, T>,
    end: usize,
    wasm: &'a [u8],
) -> Result<Vec<(T, &'a [u8])>, BinaryReaderError> {
    let found = section.into_iter_with_offsets().collect::<Result<Vec<_>, _>>()?;
    let starts: Vec<usize> = found.iter().map(|(start, _)| *start).chain([end]).collect();
    let entries = found.into_iter().zip(starts.windows(2));
    Ok(entries.map(|((_, entry), range)| (entry, &wasm[range[0]..range[1]])).collect())
}
