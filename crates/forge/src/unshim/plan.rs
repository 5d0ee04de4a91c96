//! What is connected to what, once the shim is gone.

use std::collections::HashMap;

use wasmparser::{CanonicalFunction, CanonicalOption, ExternalKind, FuncType, MemoryType, TypeRef};

use super::component::{Alias, Component, Function, InstanceOf, Item};
use super::core::{Core, TABLE};
use super::{Suited, Unsuited};

/// How a component is put together without its shim.
pub(super) struct Plan<'a> {
    /// The memory that everything is lowered with: the main module's.
    pub(super) memory: Alias<'a>,
    pub(super) memory_type: MemoryType,
    /// The core functions that the shim's exports stand for.
    shimmed: HashMap<&'a str, u32>,
    shim: u32,
    /// Functions that are called before their module is there, with their types.
    pub(super) early: Vec<(Alias<'a>, FuncType)>,
    /// The instances of modules in their new order; the main one among them, shim and fixup not.
    pub(super) order: Vec<u32>,
    /// How many of these come before the table is filled.
    pub(super) filled_after: usize,
    /// The module of the main instance.
    pub(super) main_module: u32,
    cores: Vec<Core<'a>>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(component: &Component<'a>) -> Suited<Self> {
        let cores: Vec<Core<'a>> =
            component.modules.iter().map(|module| Core::read(module)).collect::<Suited<_>>()?;
        let (shim, fixup) = shim_and_fixup(component, &cores)?;
        let shimmed = shimmed(component, &cores, shim, fixup)?;
        let memory = memory(component)?;
        let main_module = module_of(component, memory.instance)?;
        let main = &cores[main_module as usize];
        let [memory_type] = main.memories[..] else { return Err(Unsuited) };
        let plain = !memory_type.memory64 && !memory_type.shared;
        let exported = main.export(memory.name) == Some((ExternalKind::Memory, 0));
        if !plain || !exported || memory_type.page_size_log2.is_some() {
            return Err(Unsuited);
        }
        let mut plan = Self {
            memory,
            memory_type,
            shimmed,
            shim,
            early: Vec::new(),
            order: Vec::new(),
            filled_after: 0,
            main_module,
            cores,
        };
        plan.reallocs(component)?;
        plan.put_in_order(component, fixup)?;
        plan.give_types(component)?;
        Ok(plan)
    }

    /// What a module imports under a module's name.
    pub(super) fn imports_from(
        &self,
        module: u32,
        from: &str,
    ) -> Suited<Vec<(&'a str, ExternalKind)>> {
        let core = self.cores.get(module as usize).ok_or(Unsuited)?;
        let imports = core.imports.iter().filter(|(module, ..)| *module == from);
        imports
            .map(|(_, name, ty)| match ty {
                TypeRef::Func(_) => Ok((*name, ExternalKind::Func)),
                TypeRef::Memory(_) => Ok((*name, ExternalKind::Memory)),
                _ => Err(Unsuited),
            })
            .collect()
    }

    /// A core function, past the shim.
    pub(super) fn resolve(
        &self,
        component: &Component<'a>,
        function: u32,
    ) -> Suited<(u32, Function<'a>)> {
        let found = *component.functions.get(function as usize).ok_or(Unsuited)?;
        match found {
            Function::Alias(alias) if alias.instance == self.shim => {
                let function = *self.shimmed.get(alias.name).ok_or(Unsuited)?;
                let found = *component.functions.get(function as usize).ok_or(Unsuited)?;
                Ok((function, found))
            }
            found => Ok((function, found)),
        }
    }

    fn reallocs(&mut self, component: &Component<'a>) -> Suited<()> {
        for item in &component.before {
            let Item::Canonical(CanonicalFunction::Lower { options, .. }) = item else { continue };
            for option in options {
                match option {
                    CanonicalOption::Realloc(function) => {
                        let (_, Function::Alias(alias)) = self.resolve(component, *function)?
                        else {
                            return Err(Unsuited);
                        };
                        self.call_early(alias);
                    }
                    CanonicalOption::Memory(_)
                    | CanonicalOption::UTF8
                    | CanonicalOption::UTF16
                    | CanonicalOption::CompactUTF16 => {}
                    _ => return Err(Unsuited),
                }
            }
        }
        Ok(())
    }

    fn call_early(&mut self, alias: Alias<'a>) {
        if self.early.iter().all(|(known, _)| *known != alias) {
            self.early.push((alias, FuncType::new([], [])));
        }
    }

    /// Adapters first, then the main module, then what starts by itself.
    fn put_in_order(&mut self, component: &Component<'a>, fixup: u32) -> Suited<()> {
        let main = self.memory.instance;
        let main_starts = self.cores[self.main_module as usize].starts();
        let (mut adapters, mut starters) = (Vec::new(), Vec::new());
        for (index, instance) in (0..).zip(&component.instances) {
            let InstanceOf::Module { module, .. } = instance else { continue };
            if index == main || index == self.shim || index == fixup {
                continue;
            }
            let core = self.cores.get(*module as usize).ok_or(Unsuited)?;
            // A main module that runs at once must find the memory as it was.
            let early = !core.starts() || core.starts_alone() && !main_starts;
            if early { adapters.push(index) } else { starters.push(index) }
        }
        self.order.extend(&adapters);
        self.order.push(main);
        self.filled_after = self.order.len();
        self.order.extend(starters);
        for place in 0..self.order.len() {
            self.connect(component, place)?;
        }
        Ok(())
    }

    /// Looks at what an instance imports: what comes later is called early, or cannot be had.
    fn connect(&mut self, component: &Component<'a>, place: usize) -> Suited<()> {
        let InstanceOf::Module { module, args } = &component.instances[self.order[place] as usize]
        else {
            return Err(Unsuited);
        };
        for (from, instance) in args {
            match component.instances.get(*instance as usize).ok_or(Unsuited)? {
                InstanceOf::Exports(exports) => {
                    for (_, kind, index) in exports {
                        match kind {
                            ExternalKind::Func => {
                                if let (_, Function::Alias(alias)) =
                                    self.resolve(component, *index)?
                                {
                                    self.is_there_or_early(alias, place);
                                }
                            }
                            ExternalKind::Memory => {
                                let memory = component.memories.get(*index as usize);
                                self.is_the_memory(memory)?;
                            }
                            _ => return Err(Unsuited),
                        }
                    }
                }
                InstanceOf::Module { .. } => {
                    for (name, kind) in self.imports_from(*module, from)? {
                        let alias = Alias { instance: *instance, name };
                        match kind {
                            ExternalKind::Func => self.is_there_or_early(alias, place),
                            _ => self.is_the_memory(Some(&alias))?,
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn is_there_or_early(&mut self, alias: Alias<'a>, place: usize) {
        if !self.order[..place].contains(&alias.instance) {
            self.call_early(alias);
        }
    }

    fn is_the_memory(&self, memory: Option<&Alias<'a>>) -> Suited<()> {
        if memory == Some(&self.memory) { Ok(()) } else { Err(Unsuited) }
    }

    fn give_types(&mut self, component: &Component<'a>) -> Suited<()> {
        for (alias, ty) in &mut self.early {
            // Only what is there when the table is filled can be in it.
            if !self.order[..self.filled_after].contains(&alias.instance) {
                return Err(Unsuited);
            }
            let module = module_of(component, alias.instance)?;
            *ty = self.cores[module as usize].exported(alias.name)?.clone();
        }
        Ok(())
    }
}

fn module_of(component: &Component<'_>, instance: u32) -> Suited<u32> {
    match component.instances.get(instance as usize) {
        Some(InstanceOf::Module { module, .. }) if (*module as usize) < component.modules.len() => {
            Ok(*module)
        }
        _ => Err(Unsuited),
    }
}

/// The instance whose table another one fills, and that one.
fn shim_and_fixup(component: &Component<'_>, cores: &[Core<'_>]) -> Suited<(u32, u32)> {
    for (fixup, instance) in (0..).zip(&component.instances) {
        let InstanceOf::Module { module, args } = instance else { continue };
        let core = cores.get(*module as usize).ok_or(Unsuited)?;
        let table = core
            .imports
            .iter()
            .find(|(_, name, ty)| *name == TABLE && matches!(ty, TypeRef::Table(_)));
        let Some((from, ..)) = table else { continue };
        let (_, given) = args.iter().find(|(name, _)| name == from).ok_or(Unsuited)?;
        let shim = match component.instances.get(*given as usize).ok_or(Unsuited)? {
            InstanceOf::Module { .. } => *given,
            InstanceOf::Exports(exports) => {
                let table = exports
                    .iter()
                    .find(|(name, kind, _)| *name == TABLE && *kind == ExternalKind::Table);
                let (.., table) = table.ok_or(Unsuited)?;
                component.tables.get(*table as usize).ok_or(Unsuited)?.instance
            }
        };
        return Ok((shim, fixup));
    }
    Err(Unsuited)
}

/// The function that each of the shim's calls in the end.
fn shimmed<'a>(
    component: &Component<'a>,
    cores: &[Core<'a>],
    shim: u32,
    fixup: u32,
) -> Suited<HashMap<&'a str, u32>> {
    let module = |instance| module_of(component, instance).map(|module| &cores[module as usize]);
    let mut slots = Vec::new();
    for (from, name) in module(fixup)?.fixed()? {
        let InstanceOf::Exports(given) = argument(component, fixup, from)? else {
            return Err(Unsuited);
        };
        let function =
            given.iter().find(|(it, kind, _)| *it == name && *kind == ExternalKind::Func);
        slots.push(function.ok_or(Unsuited)?.2);
    }
    match component.instances.get(shim as usize) {
        Some(InstanceOf::Module { args, .. }) if args.is_empty() => {}
        _ => return Err(Unsuited),
    }
    let calls = module(shim)?.shimmed()?.into_iter();
    calls.map(|(name, slot)| Ok((name, *slots.get(slot as usize).ok_or(Unsuited)?))).collect()
}

/// What an instance was given by a name.
fn argument<'c, 'a>(
    component: &'c Component<'a>,
    instance: u32,
    name: &str,
) -> Suited<&'c InstanceOf<'a>> {
    let Some(InstanceOf::Module { args, .. }) = component.instances.get(instance as usize) else {
        return Err(Unsuited);
    };
    let (_, given) = args.iter().find(|(it, _)| *it == name).ok_or(Unsuited)?;
    component.instances.get(*given as usize).ok_or(Unsuited)
}

/// The one memory of all that is lowered.
fn memory<'a>(component: &Component<'a>) -> Suited<Alias<'a>> {
    let mut found = None;
    for item in &component.before {
        let Item::Canonical(CanonicalFunction::Lower { options, .. }) = item else { continue };
        for option in options {
            let CanonicalOption::Memory(index) = option else { continue };
            let memory = *component.memories.get(*index as usize).ok_or(Unsuited)?;
            if *found.get_or_insert(memory) != memory {
                return Err(Unsuited);
            }
        }
    }
    found.ok_or(Unsuited)
}
