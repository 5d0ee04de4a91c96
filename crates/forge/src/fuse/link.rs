//! Finds out what each chosen module's imports are: another chosen module's own, or something that
//! exists before all of them.

use std::collections::{BTreeMap, HashMap};

use super::choose::named_by;
use super::component::{Component, InstanceOf, Item, Source};
use super::parts::{self, Parts};
use super::{Each, Kind, Suited, Unsuited, narrow};

/// A chosen instance's module.
pub(super) struct Member<'a> {
    pub(super) parts: Parts<'a>,
    args: &'a BTreeMap<&'a str, u32>,
    /// The numbers in the outcome of what the module knows by its own numbers: of each kind first what it
    /// imports, then its own.
    pub(super) numbers: Each<Vec<u32>>,
}

/// What the outcome imports: a core definition of the component, or an export of a core instance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Outer<'a> {
    Definition(Kind, u32),
    Export(Kind, u32, &'a str),
}

/// An import of the outcome: what it is, and the first member that imports it, by which of its imports.
pub(super) struct Asked<'a> {
    pub(super) outer: Outer<'a>,
    pub(super) member: usize,
    pub(super) import: usize,
}

/// An export of a chosen instance that is used elsewhere.
pub(super) type Shown<'a> = (u32, &'a str);

pub(super) struct Linked<'a> {
    pub(super) instances: Vec<u32>,
    pub(super) members: Vec<Member<'a>>,
    /// Of each kind, what the outcome imports.
    pub(super) asked: Each<Vec<Asked<'a>>>,
    /// What the outcome exports, and its kind and number.
    pub(super) shown: BTreeMap<Shown<'a>, (Kind, u32)>,
    /// Which of the outcome's globals are always which number.
    pub(super) constants: HashMap<u32, i32>,
}

/// Where an import ends.
enum Target<'a> {
    Own { member: usize, own: usize },
    Outer(Outer<'a>),
}

impl<'a> Linked<'a> {
    pub(super) fn new(component: &'a Component<'a>, chosen: &[u32]) -> Suited<Self> {
        let mut members = Vec::new();
        for instance in chosen {
            let InstanceOf::Module { module, args } = component.core_instance(*instance)? else {
                return Err(Unsuited);
            };
            let wasm = component.modules.get(*module).ok_or(Unsuited)?;
            members.push(Member { parts: Parts::read(wasm)?, args, numbers: Each::default() });
        }
        let mut linked = Self {
            instances: chosen.to_vec(),
            members,
            asked: Each::default(),
            shown: BTreeMap::new(),
            constants: HashMap::new(),
        };
        linked.check()?;
        for kind in Kind::ALL {
            linked.number(component, kind)?;
        }
        linked.find_constants()?;
        linked.show(component)?;
        Ok(linked)
    }

    /// One memory is what code apart from memory takes; and what runs by itself runs last.
    fn check(&self) -> Suited<()> {
        let memories = self.members.iter().map(|member| member.parts.memories.len());
        let mut early = self.members.iter().rev().skip(1);
        if memories.sum::<usize>() > 1 || early.any(|member| member.parts.start.is_some()) {
            return Err(Unsuited);
        }
        Ok(())
    }

    /// Numbers all definitions of a kind: what is imported, then each member's own.
    fn number(&mut self, component: &Component<'a>, kind: Kind) -> Suited<()> {
        let mut places = HashMap::new();
        let (mut targets, mut asked) = (Vec::new(), Vec::new());
        for (member, it) in self.members.iter().enumerate() {
            for import in 0..it.parts.imports[kind].len() {
                let target = self.target(component, member, kind, narrow(import)?)?;
                if let Target::Outer(outer) = target {
                    places.entry(outer).or_insert_with(|| {
                        asked.push(Asked { outer, member, import });
                        asked.len() - 1
                    });
                }
                targets.push(target);
            }
        }
        let mut next = asked.len();
        let mut firsts = Vec::new();
        for member in &self.members {
            firsts.push(next);
            next += member.parts.own(kind);
        }
        if kind == Kind::Memory && next > 1 {
            return Err(Unsuited);
        }
        let mut targets = targets.into_iter();
        for (first, member) in firsts.iter().zip(&mut self.members) {
            let imported = targets.by_ref().take(member.parts.imports[kind].len());
            let numbers = imported.map(|target| match target {
                Target::Own { member, own } => Ok(firsts[member] + own),
                Target::Outer(outer) => places.get(&outer).copied().ok_or(Unsuited),
            });
            let numbers = numbers.chain((*first..).take(member.parts.own(kind)).map(Ok));
            member.numbers[kind] = numbers.map(|number| narrow(number?)).collect::<Suited<_>>()?;
        }
        self.asked[kind] = asked;
        Ok(())
    }

    /// What a member knows by a number: chosen modules only ask those before them, so it ends.
    fn target(
        &self,
        component: &Component<'a>,
        mut member: usize,
        kind: Kind,
        mut index: u32,
    ) -> Suited<Target<'a>> {
        loop {
            let it = &self.members[member];
            let imports = &it.parts.imports[kind];
            let Some(import) = imports.get(index as usize) else {
                let own = index as usize - imports.len();
                return match own < it.parts.own(kind) {
                    true => Ok(Target::Own { member, own }),
                    false => Err(Unsuited),
                };
            };
            let arg = it.args.get(import.module).ok_or(Unsuited)?;
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
        match self.members[member].parts.exports.get(name) {
            Some((found, index)) if *found == kind => Ok(*index),
            _ => Err(Unsuited),
        }
    }

    fn position(&self, instance: u32) -> Option<usize> {
        self.instances.binary_search(&instance).ok()
    }

    pub(super) fn is_chosen(&self, instance: u32) -> bool {
        self.position(instance).is_some()
    }

    fn find_constants(&mut self) -> Suited<()> {
        for member in &self.members {
            let imported = member.parts.imports[Kind::Global].len();
            for own in 0..member.parts.globals.len() {
                let number = member.numbers[Kind::Global].get(imported + own).ok_or(Unsuited)?;
                if let Some(constant) = member.parts.constant(own) {
                    self.constants.insert(*number, constant);
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
            let names = parts::imports(wasm, from)?.into_iter();
            used.extend(names.map(|(name, kind)| (kind, instance, name)));
        }
        for (kind, instance, name) in used {
            let Some(member) = self.position(instance) else { continue };
            let index = self.exported(member, kind, name)?;
            let number = self.members[member].numbers[kind].get(index as usize);
            self.shown.insert((instance, name), (kind, *number.ok_or(Unsuited)?));
        }
        Ok(())
    }
}
