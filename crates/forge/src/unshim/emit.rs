//! Writes the component that a plan describes.

use std::collections::HashMap;

use wasm_encoder::{
    Alias as CoreAlias, CanonicalFunctionSection, CanonicalOption as Option_, Component as Encoded,
    ComponentAliasSection, ExportKind, InstanceSection, ModuleArg, RawSection,
};
use wasmparser::{CanonicalFunction, CanonicalOption, ExternalKind};

use super::component::{Alias, Component, Function, InstanceOf, Item};
use super::modules::{self, BASE, MEMORY, TABLE, index, slot_name, split};
use super::plan::Plan;
use super::{Suited, Unsuited};

/// The memory that everything uses: the first that is named.
const THE_MEMORY: u32 = 0;

pub(super) fn emit(component: &Component<'_>, plan: &Plan<'_>) -> Suited<Vec<u8>> {
    let mut writer = Writer {
        component,
        plan,
        out: Encoded::new(),
        functions: 0,
        instances: 0,
        known: HashMap::new(),
        module_of: HashMap::new(),
        instance_of: HashMap::new(),
        made: HashMap::new(),
    };
    let modules = writer.modules()?;
    writer.base(modules.base)?;
    writer.before()?;
    for (place, instance) in plan.order.iter().enumerate() {
        if place == plan.filled_after {
            writer.fill(modules.fixup)?;
        }
        writer.instance(*instance)?;
    }
    if plan.order.len() == plan.filled_after {
        writer.fill(modules.fixup)?;
    }
    writer.after()?;
    Ok(writer.out.finish())
}

struct Writer<'a, 'c> {
    component: &'c Component<'a>,
    plan: &'c Plan<'a>,
    out: Encoded,
    /// How many core functions and instances there are so far.
    functions: u32,
    instances: u32,
    /// The functions of instances that are named already.
    known: HashMap<Name<'a>, u32>,
    /// The new numbers of modules.
    module_of: HashMap<u32, u32>,
    /// The new numbers of the instances of modules.
    instance_of: HashMap<u32, u32>,
    /// The new numbers of functions that the component makes, by their old ones.
    made: HashMap<u32, u32>,
}

/// A function of an instance.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Name<'a> {
    Export(Alias<'a>),
    /// Through the base's table.
    Early(usize),
}

/// The numbers of the modules that were added.
struct Added {
    base: u32,
    fixup: u32,
}

impl<'a> Writer<'a, '_> {
    fn modules(&mut self) -> Suited<Added> {
        let mut data = None;
        let mut count = 0;
        for (at, module) in self.component.modules.iter().enumerate() {
            let at = index(at)?;
            if !self.is_instantiated(at) {
                continue;
            }
            self.module_of.insert(at, count);
            count += 1;
            if at == self.plan.main_module {
                let (main, taken) = modules::main(module, self.plan)?;
                data = Some(taken);
                self.out.section(&RawSection { id: 1, data: &main });
            } else {
                self.out.section(&RawSection { id: 1, data: module });
            }
        }
        let base = modules::base(self.plan, &data.ok_or(Unsuited)?)?;
        let fixup = modules::fixup(self.plan)?;
        self.out.section(&RawSection { id: 1, data: &base });
        self.out.section(&RawSection { id: 1, data: &fixup });
        Ok(Added { base: count, fixup: count + 1 })
    }

    /// Whether a module is neither the shim nor its fixup.
    fn is_instantiated(&self, module: u32) -> bool {
        self.plan.order.iter().any(|instance| {
            let instance = &self.component.instances[*instance as usize];
            matches!(instance, InstanceOf::Module { module: it, .. } if *it == module)
        })
    }

    /// Instantiates the base, and names its memory and its table: the first of their kinds.
    fn base(&mut self, module: u32) -> Suited<()> {
        let instance = self.instantiate(module, &[]);
        debug_assert_eq!(instance, 0);
        self.alias(instance, ExportKind::Memory, MEMORY);
        self.alias(instance, ExportKind::Table, TABLE);
        for slot in 0..self.plan.early.len() {
            self.alias(instance, ExportKind::Func, &slot_name(slot));
            let function = self.next_function();
            self.known.insert(Name::Early(slot), function);
        }
        Ok(())
    }

    /// All that the component imports, lowered.
    fn before(&mut self) -> Suited<()> {
        let mut function = 0;
        for item in &self.component.before {
            match item {
                Item::Whole(bytes) => self.whole(bytes)?,
                Item::Entry(id, bytes) => {
                    self.entry(*id, bytes);
                    if *id == CANONICALS {
                        let made = self.next_function();
                        self.made.insert(function, made);
                        function += 1;
                    }
                }
                Item::Canonical(CanonicalFunction::Lower { func_index, options }) => {
                    let options = self.options(options, true)?;
                    let mut section = CanonicalFunctionSection::new();
                    section.lower(*func_index, options);
                    self.out.section(&section);
                    let made = self.next_function();
                    self.made.insert(function, made);
                    function += 1;
                }
                Item::Canonical(_) => return Err(Unsuited),
                Item::Alias(ExternalKind::Func) => function += 1,
                Item::Alias(_) | Item::Instance => {}
            }
        }
        Ok(())
    }

    /// What the component exports.
    fn after(&mut self) -> Suited<()> {
        for item in &self.component.after {
            match item {
                Item::Whole(bytes) => self.whole(bytes)?,
                Item::Entry(id, bytes) => {
                    if *id == CANONICALS {
                        // No use of its number would be seen here.
                        return Err(Unsuited);
                    }
                    self.entry(*id, bytes);
                }
                Item::Canonical(CanonicalFunction::Lift {
                    core_func_index,
                    type_index,
                    options,
                }) => {
                    let options = self.options(options, false)?;
                    let function = self.function(*core_func_index, false)?;
                    let mut section = CanonicalFunctionSection::new();
                    section.lift(function, *type_index, options);
                    self.out.section(&section);
                }
                Item::Alias(ExternalKind::Func | ExternalKind::Memory) => {}
                Item::Canonical(_) | Item::Alias(_) | Item::Instance => return Err(Unsuited),
            }
        }
        Ok(())
    }

    fn options(&mut self, options: &[CanonicalOption], early: bool) -> Suited<Vec<Option_>> {
        let options = options.iter().map(|option| {
            Ok(match option {
                CanonicalOption::UTF8 => Option_::UTF8,
                CanonicalOption::UTF16 => Option_::UTF16,
                CanonicalOption::CompactUTF16 => Option_::CompactUTF16,
                CanonicalOption::Memory(memory) => {
                    let memory = self.component.memories.get(*memory as usize);
                    if memory != Some(&self.plan.memory) {
                        return Err(Unsuited);
                    }
                    Option_::Memory(THE_MEMORY)
                }
                CanonicalOption::Realloc(it) => Option_::Realloc(self.function(*it, early)?),
                CanonicalOption::PostReturn(it) => Option_::PostReturn(self.function(*it, early)?),
                _ => return Err(Unsuited),
            })
        });
        options.collect()
    }

    /// The new number of a function, through the base's table if it is wanted early.
    fn function(&mut self, old: u32, early: bool) -> Suited<u32> {
        match self.plan.resolve(self.component, old)? {
            (old, Function::Canonical) => self.made.get(&old).copied().ok_or(Unsuited),
            (_, Function::Alias(alias)) => self.aliased(alias, early),
        }
    }

    fn aliased(&mut self, alias: Alias<'a>, early: bool) -> Suited<u32> {
        let slot = self.plan.early.iter().position(|(known, _)| *known == alias);
        match slot {
            Some(slot) if early || !self.instance_of.contains_key(&alias.instance) => {
                self.known.get(&Name::Early(slot)).copied().ok_or(Unsuited)
            }
            _ => self.export(alias),
        }
    }

    /// The number of a function that an instance exports.
    fn export(&mut self, alias: Alias<'a>) -> Suited<u32> {
        if let Some(known) = self.known.get(&Name::Export(alias)) {
            return Ok(*known);
        }
        let instance = *self.instance_of.get(&alias.instance).ok_or(Unsuited)?;
        self.alias(instance, ExportKind::Func, alias.name);
        let function = self.next_function();
        self.known.insert(Name::Export(alias), function);
        Ok(function)
    }

    /// Instantiates a module with what it imports.
    fn instance(&mut self, old: u32) -> Suited<()> {
        let InstanceOf::Module { module, args } = &self.component.instances[old as usize] else {
            return Err(Unsuited);
        };
        let mut given = Vec::new();
        for (name, instance) in args {
            let instance = match &self.component.instances[*instance as usize] {
                InstanceOf::Module { .. } => self.whole_instance(*module, name, *instance)?,
                InstanceOf::Exports(exports) => self.exports(exports)?,
            };
            given.push((*name, instance));
        }
        if *module == self.plan.main_module {
            given.push((BASE, 0));
        }
        let module = *self.module_of.get(module).ok_or(Unsuited)?;
        let new = self.instantiate(module, &given);
        self.instance_of.insert(old, new);
        Ok(())
    }

    /// What a module imports of another's instance by a name; through the base where that instance
    /// is not there yet.
    fn whole_instance(&mut self, module: u32, name: &str, old: u32) -> Suited<u32> {
        if let Some(new) = self.instance_of.get(&old) {
            return Ok(*new);
        }
        let mut given = Vec::new();
        for (name, kind) in self.plan.imports_from(module, name)? {
            given.push(match kind {
                ExternalKind::Func => {
                    let function = self.aliased(Alias { instance: old, name }, false)?;
                    (name, ExportKind::Func, function)
                }
                _ => (name, ExportKind::Memory, THE_MEMORY),
            });
        }
        Ok(self.inline(given))
    }

    fn exports(&mut self, exports: &[(&'a str, ExternalKind, u32)]) -> Suited<u32> {
        let mut given = Vec::new();
        for (name, kind, old) in exports {
            given.push(match kind {
                ExternalKind::Func => (*name, ExportKind::Func, self.function(*old, false)?),
                ExternalKind::Memory => (*name, ExportKind::Memory, THE_MEMORY),
                _ => return Err(Unsuited),
            });
        }
        Ok(self.inline(given))
    }

    /// Fills the base's table.
    fn fill(&mut self, module: u32) -> Suited<()> {
        let mut given = vec![(TABLE.to_owned(), ExportKind::Table, 0)];
        for (slot, (alias, _)) in self.plan.early.iter().enumerate() {
            given.push((slot_name(slot), ExportKind::Func, self.export(*alias)?));
        }
        let given = self.inline(given);
        self.instantiate(module, &[("", given)]);
        Ok(())
    }

    fn instantiate(&mut self, module: u32, args: &[(&str, u32)]) -> u32 {
        let mut section = InstanceSection::new();
        let args = args.iter().map(|(name, instance)| (*name, ModuleArg::Instance(*instance)));
        section.instantiate(module, args.collect::<Vec<_>>());
        self.out.section(&section);
        self.next_instance()
    }

    fn inline<S: AsRef<str>>(&mut self, exports: Vec<(S, ExportKind, u32)>) -> u32 {
        let mut section = InstanceSection::new();
        let exports = exports.iter().map(|(name, kind, index)| (name.as_ref(), *kind, *index));
        section.export_items(exports.collect::<Vec<_>>());
        self.out.section(&section);
        self.next_instance()
    }

    fn alias(&mut self, instance: u32, kind: ExportKind, name: &str) {
        let mut section = ComponentAliasSection::new();
        section.alias(CoreAlias::CoreInstanceExport { instance, kind, name });
        self.out.section(&section);
    }

    fn whole(&mut self, bytes: &[u8]) -> Suited<()> {
        let (id, data) = split(bytes)?;
        self.out.section(&RawSection { id, data });
        Ok(())
    }

    fn entry(&mut self, id: u8, bytes: &[u8]) {
        let data = [&[1], bytes].concat();
        self.out.section(&RawSection { id, data: &data });
    }

    fn next_function(&mut self) -> u32 {
        self.functions += 1;
        self.functions - 1
    }

    fn next_instance(&mut self) -> u32 {
        self.instances += 1;
        self.instances - 1
    }
}

/// The number of the section of canonical functions.
const CANONICALS: u8 = 8;
