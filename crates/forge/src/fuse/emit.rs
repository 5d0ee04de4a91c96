//! Writes the component with the one module in the place of those that it is made of.

use std::collections::HashMap;

use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent};
use wasm_encoder::{
    Alias, CanonicalFunctionSection, Component as Encoded, ComponentAliasSection, ExportKind,
    InstanceSection, ModuleArg, RawSection,
};
use wasmparser::CanonicalFunction;

use super::component::{Component, InstanceOf, Item, Source};
use super::link::{Linked, Outer, Shown, imports};
use super::{Suited, Unsuited};
use crate::join::{Each, Kind, narrow};

/// The name that the one module knows all its imports' module by.
const OUTER: &str = "";

/// A module with nothing in it, so that the others keep their numbers.
const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

const MODULES: u8 = 1;
const ALIASES: u8 = 6;

pub(super) fn emit(component: &Component<'_>, linked: &Linked<'_>) -> Suited<Vec<u8>> {
    let mut writer = Writer {
        component,
        linked,
        modules: linked.chosen.iter().map(|it| it.module).collect(),
        out: Encoded::new(),
        counts: Each::default(),
        instances: 0,
        numbers: Numbers::default(),
        waiting: Vec::new(),
        is_there: false,
    };
    for item in &component.items {
        writer.item(item)?;
    }
    match writer.waiting.is_empty() {
        true => Ok(writer.out.finish()),
        false => Err(Unsuited),
    }
}

struct Writer<'a, 'c> {
    component: &'c Component<'a>,
    linked: &'c Linked<'a>,
    /// The chosen modules.
    modules: Vec<usize>,
    out: Encoded,
    /// How many core definitions and instances there are so far.
    counts: Each<u32>,
    instances: u32,
    numbers: Numbers<'a>,
    /// What comes once the one module's instance is there.
    waiting: Vec<&'c Item<'a>>,
    is_there: bool,
}

/// New numbers.
#[derive(Default)]
struct Numbers<'a> {
    /// Of core definitions, by their old ones.
    definitions: Each<HashMap<u32, u32>>,
    /// Of core instances, by their old ones.
    instances: HashMap<u32, u32>,
    /// Of what the one module exports.
    shown: HashMap<Shown<'a>, u32>,
}

impl<'a, 'c> Writer<'a, 'c> {
    fn item(&mut self, item: &'c Item<'a>) -> Suited<()> {
        match item {
            Item::Whole(bytes) => self.whole(bytes),
            Item::Alias(bytes) => {
                let data = [&[1], *bytes].concat();
                self.out.section(&RawSection { id: ALIASES, data: &data });
                Ok(())
            }
            Item::Module(at) => self.module(*at),
            Item::Instance(index) if self.linked.is_last(*index) => self.fused(),
            Item::Instance(index) if self.linked.is_chosen(*index) => Ok(()),
            _ => {
                if !self.core(item)? {
                    // What is lifted has a number among others of the component's own.
                    if self.is_there || matches!(item, Item::Canonical(_, None)) {
                        return Err(Unsuited);
                    }
                    self.waiting.push(item);
                }
                Ok(())
            }
        }
    }

    fn module(&mut self, at: usize) -> Suited<()> {
        let data = match self.modules.contains(&at) {
            true if self.modules.iter().max() == Some(&at) => &self.one()?,
            true => EMPTY,
            false => *self.component.modules.get(at).ok_or(Unsuited)?,
        };
        self.out.section(&RawSection { id: MODULES, data });
        Ok(())
    }

    /// The one module.
    fn one(&self) -> Suited<Vec<u8>> {
        let shown = self.linked.shown.iter();
        let exports = shown.map(|(shown, (kind, number))| (export_name(shown), *kind, *number));
        let exports: Vec<_> = exports.collect();
        let one = self.linked.joined.write(|kind, at, _| (OUTER, import_name(kind, at)), &exports);
        Ok(one?)
    }

    /// Writes a core definition or instance, if all that it names is there; says whether it was.
    fn core(&mut self, item: &Item<'a>) -> Suited<bool> {
        match item {
            Item::CoreAlias(kind, index) => {
                let Source::Export(instance, name) = self.component.source(*kind, *index)? else {
                    return Err(Unsuited);
                };
                // Those of the chosen are named where they are exported.
                if self.linked.is_chosen(instance) {
                    return Ok(true);
                }
                let Some(instance) = self.numbers.instances.get(&instance) else {
                    return Ok(false);
                };
                let number = self.alias(*instance, *kind, name);
                self.numbers.definitions[*kind].insert(*index, number);
                Ok(true)
            }
            Item::Canonical(canonical, made) => self.canonical(canonical, *made),
            Item::Instance(index) => self.instance(*index),
            _ => Err(Unsuited),
        }
    }

    fn canonical(&mut self, canonical: &CanonicalFunction, made: Option<u32>) -> Suited<bool> {
        let mut section = CanonicalFunctionSection::new();
        let mut numbered = Numbered { component: self.component, numbers: &self.numbers };
        match numbered.parse_component_canonical(&mut section, canonical.clone()) {
            Ok(()) => {}
            Err(Error::UserError(NotThere)) => return Ok(false),
            Err(_) => return Err(Unsuited),
        }
        self.out.section(&section);
        if let Some(made) = made {
            let number = self.next(Kind::Function);
            self.numbers.definitions[Kind::Function].insert(made, number);
        }
        Ok(true)
    }

    fn instance(&mut self, index: u32) -> Suited<bool> {
        match self.component.core_instance(index)? {
            // It is made of its parts for each that takes it.
            InstanceOf::Exports(_) => Ok(true),
            InstanceOf::Module { module, args } => {
                let mut given = Vec::new();
                for (name, arg) in args {
                    match self.given(*module, name, *arg)? {
                        Some(instance) => given.push((*name, instance)),
                        None => return Ok(false),
                    }
                }
                let number = self.instantiate(narrow(*module)?, &given);
                self.numbers.instances.insert(index, number);
                Ok(true)
            }
        }
    }

    /// What a module is given as an instance: another's, or what it imports of one.
    fn given(&mut self, module: usize, name: &str, arg: u32) -> Suited<Option<u32>> {
        let exports: Option<Vec<_>> = match self.component.core_instance(arg)? {
            InstanceOf::Module { .. } if self.linked.is_chosen(arg) => {
                let wasm = self.component.modules.get(module).ok_or(Unsuited)?;
                let names = imports(wasm, name)?.into_iter();
                let found = names.map(|(name, kind)| {
                    Some((name.to_owned(), kind, *self.numbers.shown.get(&(arg, name))?))
                });
                found.collect()
            }
            InstanceOf::Module { .. } => {
                return Ok(self.numbers.instances.get(&arg).copied());
            }
            InstanceOf::Exports(exports) => {
                let numbered = Numbered { component: self.component, numbers: &self.numbers };
                let found = exports.iter().map(|(name, (kind, index))| {
                    Some(((*name).to_owned(), *kind, numbered.number(*kind, *index).ok()?))
                });
                found.collect()
            }
        };
        Ok(exports.map(|exports| self.inline(exports)))
    }

    /// Instantiates the one module, names what it exports, and writes what has waited for that.
    fn fused(&mut self) -> Suited<()> {
        let mut given = Vec::new();
        for kind in Kind::ALL {
            for (at, asked) in self.linked.joined.asked[kind].iter().enumerate() {
                let number = self.outer(asked.outer)?;
                given.push((import_name(kind, at), kind, number));
            }
        }
        let given = self.inline(given);
        let module = *self.modules.iter().max().ok_or(Unsuited)?;
        let instance = self.instantiate(narrow(module)?, &[(OUTER, given)]);
        for (shown, (kind, _)) in &self.linked.shown {
            let number = self.alias(instance, *kind, &export_name(shown));
            self.numbers.shown.insert(*shown, number);
        }
        self.is_there = true;
        for item in std::mem::take(&mut self.waiting) {
            self.item(item)?;
        }
        Ok(())
    }

    /// What the one module imports has to be there before it.
    fn outer(&mut self, outer: Outer<'a>) -> Suited<u32> {
        match outer {
            Outer::Definition(kind, index) => {
                self.numbers.definitions[kind].get(&index).copied().ok_or(Unsuited)
            }
            Outer::Export(kind, instance, name) => {
                let instance = *self.numbers.instances.get(&instance).ok_or(Unsuited)?;
                Ok(self.alias(instance, kind, name))
            }
        }
    }

    fn instantiate(&mut self, module: u32, args: &[(&str, u32)]) -> u32 {
        let mut section = InstanceSection::new();
        let args = args.iter().map(|(name, instance)| (*name, ModuleArg::Instance(*instance)));
        section.instantiate(module, args.collect::<Vec<_>>());
        self.out.section(&section);
        self.next_instance()
    }

    fn inline(&mut self, exports: Vec<(String, Kind, u32)>) -> u32 {
        let mut section = InstanceSection::new();
        let exports = exports.iter().map(|(name, kind, index)| (&**name, kind.encoded(), *index));
        section.export_items(exports.collect::<Vec<(&str, ExportKind, u32)>>());
        self.out.section(&section);
        self.next_instance()
    }

    fn alias(&mut self, instance: u32, kind: Kind, name: &str) -> u32 {
        let mut section = ComponentAliasSection::new();
        section.alias(Alias::CoreInstanceExport { instance, kind: kind.encoded(), name });
        self.out.section(&section);
        self.next(kind)
    }

    fn whole(&mut self, bytes: &[u8]) -> Suited<()> {
        let mut reader = wasmparser::BinaryReader::new(bytes, 0);
        let id = reader.read_u8()?;
        reader.read_var_u32()?;
        let data = &bytes[reader.original_position()..];
        self.out.section(&RawSection { id, data });
        Ok(())
    }

    fn next(&mut self, kind: Kind) -> u32 {
        self.counts[kind] += 1;
        self.counts[kind] - 1
    }

    fn next_instance(&mut self) -> u32 {
        self.instances += 1;
        self.instances - 1
    }
}

/// The name of an import of the one module.
fn import_name(kind: Kind, at: usize) -> String {
    format!("{kind:?}{at}")
}

/// The name of an export of the one module.
fn export_name((instance, name): &Shown<'_>) -> String {
    format!("{instance}:{name}")
}

/// What is named is not there yet.
#[derive(Debug, thiserror::Error)]
#[error("not there yet")]
struct NotThere;

/// Copies what the component makes, with new numbers.
struct Numbered<'n, 'a> {
    component: &'n Component<'a>,
    numbers: &'n Numbers<'a>,
}

impl Numbered<'_, '_> {
    fn number(&self, kind: Kind, index: u32) -> Result<u32, Error<NotThere>> {
        let number = match self.component.source(kind, index) {
            Ok(Source::Export(instance, name)) => {
                let shown = self.numbers.shown.get(&(instance, name));
                shown.or_else(|| self.numbers.definitions[kind].get(&index))
            }
            _ => self.numbers.definitions[kind].get(&index),
        };
        number.copied().ok_or(Error::UserError(NotThere))
    }
}

impl Reencode for Numbered<'_, '_> {
    type Error = NotThere;

    fn function_index(&mut self, index: u32) -> Result<u32, Error<NotThere>> {
        self.number(Kind::Function, index)
    }

    fn table_index(&mut self, index: u32) -> Result<u32, Error<NotThere>> {
        self.number(Kind::Table, index)
    }

    fn memory_index(&mut self, index: u32) -> Result<u32, Error<NotThere>> {
        self.number(Kind::Memory, index)
    }
}

impl ReencodeComponent for Numbered<'_, '_> {}
