//! Finds out what each chosen module's imports are: another chosen module's own, or something that
//! exists before all of them.

use std::collections::{BTreeMap, HashMap};

use wasmparser::{Global, Operator, Payload};

use super::choose::named_by;
use super::component::{Component, InstanceOf, Item, Source};
use super::{Suited, Unsuited};
use crate::join::{Joined, Kind, Parts, Target, narrow};
use crate::sections::sections;

/// What the outcome imports: a core definition of the component, or an export of a core instance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Outer<'a> {
    Definition(Kind, u32),
    Export(Kind, u32, &'a str),
}

/// An export of a chosen instance that is used elsewhere.
pub(super) type Shown<'a> = (u32, &'a str);

/// A chosen instance.
pub(super) struct Chosen<'a> {
    pub(super) instance: u32,
    pub(super) module: usize,
    args: &'a BTreeMap<&'a str, u32>,
    exports: HashMap<(Kind, &'a str), u32>,
}

pub(super) struct Linked<'a> {
    pub(super) chosen: Vec<Chosen<'a>>,
    /// Their modules, in the same order.
    pub(super) joined: Joined<'a, Outer<'a>>,
    /// What the outcome exports, and its kind and number.
    pub(super) shown: BTreeMap<Shown<'a>, (Kind, u32)>,
}

impl<'a> Linked<'a> {
    pub(super) fn new(component: &'a Component<'a>, instances: &[u32]) -> Suited<Self> {
        let (mut chosen, mut modules) = (Vec::new(), Vec::new());
        for &instance in instances {
            let InstanceOf::Module { module, args } = component.core_instance(instance)? else {
                return Err(Unsuited);
            };
            let mut parts = Parts::read(component.modules.get(*module).ok_or(Unsuited)?)?;
            // What is imported has its name where it is from.
            let imported = parts.imports[Kind::Function].len();
            parts.names.retain(|(index, _)| *index as usize >= imported);
            let exports = parts.exports.iter();
            let exports = exports.map(|(name, kind, index)| ((*kind, *name), *index)).collect();
            chosen.push(Chosen { instance, module: *module, args, exports });
            modules.push(parts);
        }
        let mut linked = Self { chosen, joined: Joined::new(modules), shown: BTreeMap::new() };
        for kind in Kind::ALL {
            let targets = linked.targets(component, kind)?;
            linked.joined.number(kind, targets)?;
        }
        linked.check()?;
        linked.find_constants()?;
        linked.show(component)?;
        Ok(linked)
    }

    /// One memory is what code apart from memory takes; and what runs by itself runs last.
    fn check(&self) -> Suited<()> {
        let members = self.joined.members.iter().map(|member| &member.parts);
        let mut early = members.clone().rev().skip(1);
        let own: usize = members.map(|parts| parts.memories.len()).sum();
        let memories = self.joined.asked[Kind::Memory].len() + own;
        if memories > 1 || early.any(|parts| parts.start.is_some()) {
            return Err(Unsuited);
        }
        Ok(())
    }

    /// What all imports of a kind are.
    fn targets(&self, component: &Component<'a>, kind: Kind) -> Suited<Vec<Target<Outer<'a>>>> {
        let mut targets = Vec::new();
        for (member, it) in self.joined.members.iter().enumerate() {
            for import in 0..it.parts.imports[kind].len() {
                targets.push(self.target(component, member, kind, narrow(import)?)?);
            }
        }
        Ok(targets)
    }

    /// What a member knows by a number: chosen modules only ask those before them, so it ends.
    fn target(
        &self,
        component: &Component<'a>,
        mut member: usize,
        kind: Kind,
        mut index: u32,
    ) -> Suited<Target<Outer<'a>>> {
        loop {
            let parts = &self.joined.members[member].parts;
            let imports = &parts.imports[kind];
            let Some(import) = imports.get(index as usize) else {
                let own = index as usize - imports.len();
                return match own < parts.own(kind) {
                    true => Ok(Target::Own { member, own }),
                    false => Err(Unsuited),
                };
            };
            let arg = self.chosen[member].args.get(import.module).ok_or(Unsuited)?;
            let (instance, name) = match component.core_instance(*arg)? {
                InstanceOf::Module { .. } => (*arg, import.name),
                InstanceOf::Exports(exports) => {
                    let found = exports.get(import.name).filter(|(it, _)| *it == kind);
                    let (_, index) = found.ok_or(Unsuited)?;
                    match component.source(kind, *index)? {
                        Source::Export(instance, name) if self.is_chosen(instance) => {
                            (instance, name)
                        }
                        _ => return Ok(Target::Outer(Outer::Definition(kind, *index))),
                    }
                }
            };
            let Some(at) = self.position(instance) else {
                return Ok(Target::Outer(Outer::Export(kind, instance, name)));
            };
            if at >= member {
                return Err(Unsuited);
            }
            (member, index) = (at, self.exported(at, kind, name)?);
        }
    }

    fn exported(&self, member: usize, kind: Kind, name: &str) -> Suited<u32> {
        self.chosen[member].exports.get(&(kind, name)).copied().ok_or(Unsuited)
    }

    fn position(&self, instance: u32) -> Option<usize> {
        self.chosen.binary_search_by_key(&instance, |it| it.instance).ok()
    }

    pub(super) fn is_chosen(&self, instance: u32) -> bool {
        self.position(instance).is_some()
    }

    /// Whether it is the last of the chosen.
    pub(super) fn is_last(&self, instance: u32) -> bool {
        self.chosen.last().is_some_and(|last| last.instance == instance)
    }

    fn find_constants(&mut self) -> Suited<()> {
        for member in &self.joined.members {
            let imported = member.parts.imports[Kind::Global].len();
            for (own, global) in member.parts.globals.iter().enumerate() {
                if let Some(constant) = constant(global) {
                    let number = member.number(Kind::Global, narrow(imported + own)?)?;
                    self.joined.constants.insert(number, constant);
                }
            }
        }
        Ok(())
    }

    /// Finds what those that are not chosen use of those that are.
    fn show(&mut self, component: &Component<'a>) -> Suited<()> {
        let mut used = Vec::new();
        let mut of_source = |kind: Kind, index: u32| -> Suited<()> {
            if let Source::Export(instance, name) = component.source(kind, index)? {
                used.push((kind, instance, name));
            }
            Ok(())
        };
        let mut whole = Vec::new();
        for item in &component.items {
            match item {
                Item::Canonical(canonical, _) => {
                    for (kind, index) in named_by(canonical)? {
                        of_source(kind, index)?;
                    }
                }
                Item::Instance(index) if !self.is_chosen(*index) => {
                    let InstanceOf::Module { module, args } = component.core_instance(*index)?
                    else {
                        continue;
                    };
                    for (from, arg) in args {
                        match component.core_instance(*arg)? {
                            InstanceOf::Module { .. } => whole.push((*module, *from, *arg)),
                            InstanceOf::Exports(exports) => {
                                for (kind, index) in exports.values() {
                                    of_source(*kind, *index)?;
                                }
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        for (module, from, instance) in whole {
            let wasm = component.modules.get(module).ok_or(Unsuited)?;
            let names = imports(wasm, from)?.into_iter();
            used.extend(names.map(|(name, kind)| (kind, instance, name)));
        }
        for (kind, instance, name) in used {
            let Some(member) = self.position(instance) else { continue };
            let index = self.exported(member, kind, name)?;
            let number = self.joined.members[member].number(kind, index)?;
            self.shown.insert((instance, name), (kind, number));
        }
        Ok(())
    }
}

/// What a global always is, if it is a plain number of 32 bits.
fn constant(global: &Global<'_>) -> Option<i32> {
    let mut operators = global.init_expr.get_operators_reader();
    match (operators.read().ok()?, operators.read().ok()?) {
        (Operator::I32Const { value }, Operator::End) if !global.ty.mutable => Some(value),
        _ => None,
    }
}

/// What a module imports: the kinds and names of what it asks another for.
pub(super) fn imports<'a>(wasm: &'a [u8], from: &str) -> Suited<Vec<(&'a str, Kind)>> {
    let mut found = Vec::new();
    for section in sections(wasm) {
        let Payload::ImportSection(imports) = section?.payload else { continue };
        for import in imports.into_imports() {
            let import = import?;
            if import.module == from {
                found.push((import.name, Kind::of_type(&import.ty)?));
            }
        }
    }
    Ok(found)
}
