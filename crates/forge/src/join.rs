//! Makes one core module of several: takes them apart, gives what they define other numbers, and writes it
//! all in their order. What each of their imports is, the caller says; whether what comes out is valid, others.

mod parts;
mod write;

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use wasm_encoder::reencode;
use wasmparser::{ExternalKind, TypeRef};

pub(crate) use parts::Parts;

/// Modules cannot become one: they are damaged, or something in them is not for that.
pub(crate) type Error = reencode::Error<Unjoinable>;

pub(crate) type Joinable<T> = Result<T, Error>;

/// What a module has that cannot be in one of several.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unjoinable(&'static str);

fn unjoinable<T>(what: &'static str) -> Joinable<T> {
    Err(Error::UserError(Unjoinable(what)))
}

/// Modules that become one. Of them only the last may run anything when it is instantiated. `O` says
/// what the outcome imports.
pub(crate) struct Joined<'a, O> {
    pub(crate) members: Vec<Member<'a>>,
    /// Of each kind, what the outcome imports.
    pub(crate) asked: Each<Vec<Asked<O>>>,
    /// Which of the outcome's globals are always which number, to be written in their place.
    pub(crate) constants: HashMap<u32, i32>,
}

/// A module that becomes part of another.
pub(crate) struct Member<'a> {
    pub(crate) parts: Parts<'a>,
    /// The numbers in the outcome of what the module knows by its own numbers: of each kind first what it
    /// imports, then its own.
    numbers: Each<Vec<u32>>,
}

/// An import of the outcome: what it is, and the first member that imports it, by which of its imports.
pub(crate) struct Asked<O> {
    pub(crate) outer: O,
    member: usize,
    import: usize,
}

/// What a member imports.
pub(crate) enum Target<O> {
    /// A member's own.
    Own { member: usize, own: usize },
    /// What the outcome imports as well.
    Outer(O),
    /// A global that is nowhere, because it is always this number.
    Constant(i32),
}

impl<'a, O: Copy + Eq + Hash> Joined<'a, O> {
    pub(crate) fn new(modules: Vec<Parts<'a>>) -> Self {
        let members = modules.into_iter().map(|parts| Member { parts, numbers: Each::default() });
        Self { members: members.collect(), asked: Each::default(), constants: HashMap::new() }
    }

    /// Numbers all definitions of a kind: what is imported, then each member's own. `targets` are what
    /// the first member imports of that kind, then what the second does, and so on.
    pub(crate) fn number(&mut self, kind: Kind, targets: Vec<Target<O>>) -> Joinable<()> {
        let asked = self.imports(kind, &targets);
        let places: HashMap<O, usize> =
            asked.iter().enumerate().map(|(at, asked)| (asked.outer, at)).collect();
        let mut next = asked.len();
        let mut firsts = Vec::new();
        for member in &self.members {
            firsts.push(next);
            next += member.parts.own(kind);
        }
        let mut targets = targets.into_iter();
        for (first, member) in firsts.iter().zip(&mut self.members) {
            let imported = targets.by_ref().take(member.parts.imports[kind].len());
            let imported = imported.map(|target| match target {
                Target::Own { member, own } => narrow(firsts[member] + own),
                Target::Outer(outer) => narrow(places[&outer]),
                // Its number is behind those of all that there are.
                Target::Constant(value) => {
                    let number = narrow(next)?;
                    next += 1;
                    self.constants.insert(number, value);
                    Ok(number)
                }
            });
            let own = (*first..).take(member.parts.own(kind)).map(narrow);
            member.numbers[kind] = imported.chain(own).collect::<Joinable<_>>()?;
        }
        self.asked[kind] = asked;
        Ok(())
    }

    /// What the outcome imports of a kind: all that members do, once.
    fn imports(&self, kind: Kind, targets: &[Target<O>]) -> Vec<Asked<O>> {
        let members = self.members.iter().enumerate();
        let imports = members.flat_map(|(member, it)| {
            (0..it.parts.imports[kind].len()).map(move |import| (member, import))
        });
        let mut seen = HashSet::new();
        let asked = imports.zip(targets).filter_map(|((member, import), target)| match *target {
            Target::Outer(outer) if seen.insert(outer) => Some(Asked { outer, member, import }),
            _ => None,
        });
        asked.collect()
    }

    /// The bytes of the outcome. `name` gives its imports their module and name, by their kind and place.
    pub(crate) fn write<'n>(
        &self,
        name: impl Fn(Kind, usize, &O) -> (&'n str, String),
        exports: &[(String, Kind, u32)],
    ) -> Joinable<Vec<u8>> {
        write::Writer::new(self)?.write(name, exports)
    }
}

impl Member<'_> {
    /// The number in the outcome of what the module knows by a number.
    pub(crate) fn number(&self, kind: Kind, index: u32) -> Joinable<u32> {
        match self.numbers[kind].get(index as usize) {
            Some(number) => Ok(*number),
            None => unjoinable("a module names what it does not have"),
        }
    }
}

/// What a core definition is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Kind {
    Function,
    Table,
    Memory,
    Global,
    Tag,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Function, Self::Table, Self::Memory, Self::Global, Self::Tag];

    pub(crate) fn of(kind: ExternalKind) -> Joinable<Self> {
        match kind {
            ExternalKind::Func => Ok(Self::Function),
            ExternalKind::Table => Ok(Self::Table),
            ExternalKind::Memory => Ok(Self::Memory),
            ExternalKind::Global => Ok(Self::Global),
            ExternalKind::Tag => Ok(Self::Tag),
            ExternalKind::FuncExact => unjoinable("a function is of an exact type"),
        }
    }

    pub(crate) fn of_type(ty: &TypeRef) -> Joinable<Self> {
        Self::of(match ty {
            TypeRef::Func(_) => ExternalKind::Func,
            TypeRef::Table(_) => ExternalKind::Table,
            TypeRef::Memory(_) => ExternalKind::Memory,
            TypeRef::Global(_) => ExternalKind::Global,
            TypeRef::Tag(_) => ExternalKind::Tag,
            TypeRef::FuncExact(_) => ExternalKind::FuncExact,
        })
    }

    pub(crate) fn encoded(self) -> wasm_encoder::ExportKind {
        match self {
            Self::Function => wasm_encoder::ExportKind::Func,
            Self::Table => wasm_encoder::ExportKind::Table,
            Self::Memory => wasm_encoder::ExportKind::Memory,
            Self::Global => wasm_encoder::ExportKind::Global,
            Self::Tag => wasm_encoder::ExportKind::Tag,
        }
    }
}

/// One of each kind of definition.
#[derive(Clone, Default, Debug)]
pub(crate) struct Each<T>([T; 5]);

impl<T> std::ops::Index<Kind> for Each<T> {
    type Output = T;

    fn index(&self, kind: Kind) -> &T {
        &self.0[kind as usize]
    }
}

impl<T> std::ops::IndexMut<Kind> for Each<T> {
    fn index_mut(&mut self, kind: Kind) -> &mut T {
        &mut self.0[kind as usize]
    }
}

/// Counts of what is in a module are below 2^32, as its bytes are.
pub(crate) fn narrow(count: usize) -> Joinable<u32> {
    match u32::try_from(count) {
        Ok(count) => Ok(count),
        Err(_) => unjoinable("there is too much in the modules"),
    }
}
