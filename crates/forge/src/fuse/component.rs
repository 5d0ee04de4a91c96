//! A component as far as its core definitions are concerned, in order.

use std::collections::BTreeMap;
use std::ops::Range;

use wasmparser::{
    BinaryReaderError, CanonicalFunction, ComponentAlias, ComponentExternalKind,
    ComponentOuterAliasKind, ComponentTypeRef, Instance, InstantiationArgKind, Payload,
    SectionLimited,
};

use super::{Suited, Unsuited};
use crate::join::{Each, Kind, narrow};
use crate::sections::sections;

#[derive(Default)]
pub(super) struct Component<'a> {
    pub(super) items: Vec<Item<'a>>,
    pub(super) modules: Vec<&'a [u8]>,
    pub(super) instances: Vec<InstanceOf<'a>>,
    /// Where core definitions of each kind come from.
    pub(super) sources: Each<Vec<Source<'a>>>,
}

/// One definition of the component.
pub(super) enum Item<'a> {
    /// A section that names no core definition: its bytes with their header.
    Whole(&'a [u8]),
    /// An alias that names no core definition.
    Alias(&'a [u8]),
    /// A core module, by its number.
    Module(usize),
    /// A core instance, by its number.
    Instance(u32),
    /// An export of a core instance: a core definition, by its number.
    CoreAlias(Kind, u32),
    /// A function that the component makes: a core function of this number, or one that it lifts.
    Canonical(CanonicalFunction, Option<u32>),
}

/// Where a core definition comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Source<'a> {
    /// It is a function that the component makes.
    Made,
    /// An instance exports it.
    Export(u32, &'a str),
}

/// A core instance, by names.
pub(super) enum InstanceOf<'a> {
    Module { module: usize, args: BTreeMap<&'a str, u32> },
    Exports(BTreeMap<&'a str, (Kind, u32)>),
}

/// Core instances that a component may have: as many as the engine takes of one.
const MOST_INSTANCES: usize = 1_000;

impl<'a> Component<'a> {
    /// Reads a component, unless it has what is not known here.
    pub(super) fn read(wasm: &'a [u8]) -> Suited<Self> {
        let mut component = Self::default();
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
                self.items.push(Item::Module(self.modules.len()));
                self.modules.push(&wasm[unchecked_range]);
            }
            // Core modules that are others' would have numbers of their own.
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    if matches!(import?.ty, ComponentTypeRef::Module(_)) {
                        return Err(Unsuited);
                    }
                }
                self.items.push(Item::Whole(whole));
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    if export?.kind == ComponentExternalKind::Module {
                        return Err(Unsuited);
                    }
                }
                self.items.push(Item::Whole(whole));
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    if names_module(&instance?) {
                        return Err(Unsuited);
                    }
                }
                self.items.push(Item::Whole(whole));
            }
            Payload::ComponentTypeSection(_)
            | Payload::CoreTypeSection(_)
            | Payload::ComponentSection { .. } => self.items.push(Item::Whole(whole)),
            // Names of core definitions would be others'.
            Payload::CustomSection(custom) if custom.name() == "component-name" => {}
            Payload::CustomSection(_) => self.items.push(Item::Whole(whole)),
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
                for canonical in canonicals {
                    self.canonical(canonical?)?;
                }
            }
            _ => return Err(Unsuited),
        }
        Ok(())
    }

    fn instance(&mut self, instance: Instance<'a>) -> Suited<()> {
        let instance = match instance {
            Instance::Instantiate { module_index, args } => {
                let args = args.iter().map(|arg| match arg.kind {
                    InstantiationArgKind::Instance => Ok((arg.name, arg.index)),
                });
                InstanceOf::Module { module: module_index as usize, args: by_name(args)? }
            }
            Instance::FromExports(exports) => {
                let exports = exports
                    .iter()
                    .map(|export| Ok((export.name, (Kind::of(export.kind)?, export.index))));
                InstanceOf::Exports(by_name(exports)?)
            }
        };
        if self.instances.len() == MOST_INSTANCES {
            return Err(Unsuited);
        }
        self.items.push(Item::Instance(narrow(self.instances.len())?));
        self.instances.push(instance);
        Ok(())
    }

    fn alias(&mut self, alias: ComponentAlias<'a>, bytes: &'a [u8]) -> Suited<()> {
        match alias {
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Module, .. }
            | ComponentAlias::Outer { kind: ComponentOuterAliasKind::CoreModule, .. } => {
                return Err(Unsuited);
            }
            ComponentAlias::InstanceExport { .. } | ComponentAlias::Outer { .. } => {
                self.items.push(Item::Alias(bytes));
            }
            ComponentAlias::CoreInstanceExport { kind, instance_index, name } => {
                let kind = Kind::of(kind)?;
                let index = self.define(kind, Source::Export(instance_index, name))?;
                self.items.push(Item::CoreAlias(kind, index));
            }
        }
        Ok(())
    }

    fn canonical(&mut self, canonical: CanonicalFunction) -> Suited<()> {
        let made = match canonical {
            CanonicalFunction::Lift { .. } => None,
            _ => Some(self.define(Kind::Function, Source::Made)?),
        };
        self.items.push(Item::Canonical(canonical, made));
        Ok(())
    }

    fn define(&mut self, kind: Kind, source: Source<'a>) -> Suited<u32> {
        let sources = &mut self.sources[kind];
        sources.push(source);
        Ok(narrow(sources.len() - 1)?)
    }

    pub(super) fn source(&self, kind: Kind, index: u32) -> Suited<Source<'a>> {
        self.sources[kind].get(index as usize).copied().ok_or(Unsuited)
    }

    pub(super) fn core_instance(&self, index: u32) -> Suited<&InstanceOf<'a>> {
        self.instances.get(index as usize).ok_or(Unsuited)
    }
}

/// Those of one name twice would be an error, which is not to be mended here.
fn by_name<'a, T>(
    named: impl Iterator<Item = Suited<(&'a str, T)>>,
) -> Suited<BTreeMap<&'a str, T>> {
    let mut found = BTreeMap::new();
    for entry in named {
        let (name, it) = entry?;
        if found.insert(name, it).is_some() {
            return Err(Unsuited);
        }
    }
    Ok(found)
}

fn names_module(instance: &wasmparser::ComponentInstance<'_>) -> bool {
    match instance {
        wasmparser::ComponentInstance::Instantiate { args, .. } => {
            args.iter().any(|arg| arg.kind == ComponentExternalKind::Module)
        }
        wasmparser::ComponentInstance::FromExports(exports) => {
            exports.iter().any(|export| export.kind == ComponentExternalKind::Module)
        }
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
