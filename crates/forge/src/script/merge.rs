//! Links a *driver*, a small module of ours, with an interpreter's module: the outcome is one module
//! with the code of both.
//!
//! The driver imports, from the module
//! - `interpreter`: functions of the interpreter, by the name of an export, of its name section, or
//!   of a pin; its memory and its table, declared as large as the driver's own part of them is;
//! - `place`: where those parts begin, as the globals `memory` and `table`;
//! - anything else: what the outcome imports as well.
//!
//! What the driver exports is what the outcome exports, with the interpreter's memory. An export
//! `serve MODULE NAME` takes the place of that import of the interpreter. What is neither served nor
//! WASI's traps when it is called. A [`Cut`] leaves a function of the interpreter early. The same input
//! gives the same bytes.

#[cfg(test)]
mod tests;

use wasmparser::{BinaryReader, FunctionBody, Import, Operator, TypeRef};

use crate::join::{self, Each, Joined, Kind, Parts, Target};

/// The module that the driver names the interpreter by.
const INTERPRETER: &str = "interpreter";

/// The module of the driver's constants.
const PLACE: &str = "place";

/// The module whose functions the host has.
const WASI: &str = "wasi_snapshot_preview1";

/// How an export begins that serves an import of the interpreter.
const SERVE: &str = "serve ";

const PAGE: u64 = 65_536;

/// A function's body: no variables, and one instruction.
const TRAP: &[u8] = &[0, 0x00, 0x0b];

/// The instruction that ends a function early.
const RETURN: u8 = 0x0f;

/// A driver and an interpreter do not fit each other.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// One of them is no module, or damaged.
    #[error("failed to read a module")]
    Malformed(#[from] wasmparser::BinaryReaderError),
    /// The interpreter lacks something.
    #[error("the interpreter has no {0}")]
    Missing(String),
    /// One of them has something that cannot be linked.
    #[error("{0}")]
    Unsuited(&'static str),
    /// The driver is no module.
    #[error("failed to assemble the driver")]
    Driver(#[source] wat::Error),
    /// They cannot be one module.
    #[error("failed to make one module of two")]
    Join(#[from] join::Error),
}

/// Where a function of the interpreter, which gives nothing back, returns in place of going on. What is
/// on the stack of the language then stays there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// The function's name.
    pub(super) function: &'static str,
    /// The name of the function that it would call next, as it does at this one place only.
    pub(super) before: &'static str,
}

/// The interpreter with the driver in it. `pins` names functions of an interpreter that has no names.
pub(crate) fn merge(
    interpreter: &[u8],
    driver: &[u8],
    pins: &[(&str, u32)],
    cut: Option<Cut>,
) -> Result<Vec<u8>, MergeError> {
    let shortened;
    let mut interpreter = Interpreter { parts: Parts::read(interpreter)?, pins };
    let driver = Parts::read(driver)?;
    if interpreter.parts.start.or(driver.start).is_some() {
        return Err(MergeError::Unsuited("a module runs code when it is instantiated"));
    }
    if let Some(cut) = cut {
        let (at, body) = interpreter.shortened(&cut)?;
        shortened = body;
        interpreter.parts.bodies[at] = body_of(&shortened);
    }
    let mut targets = Each::default();
    for kind in Kind::ALL {
        targets[kind] = interpreter.targets(&driver, kind)?;
    }
    interpreter.grow(&driver)?;
    let mut joined = Joined::new(vec![interpreter.parts, driver]);
    for kind in Kind::ALL {
        joined.number(kind, std::mem::take(&mut targets[kind]))?;
    }
    let driver = &joined.members[NEW];
    let mut exports = vec![("memory".to_owned(), Kind::Memory, 0)];
    for &(name, kind, index) in &driver.parts.exports {
        if kind == Kind::Function && !name.starts_with(SERVE) {
            exports.push((name.to_owned(), kind, driver.number(kind, index)?));
        }
    }
    Ok(joined.write(|_, _, (module, name)| (*module, (*name).to_owned()), &exports)?)
}

/// What the outcome imports: the module, and the name there.
type Outer<'a> = (&'a str, &'a str);

/// The two modules, in the order of their parts: the interpreter's and the driver's.
const OLD: usize = 0;
const NEW: usize = 1;

struct Interpreter<'a, 'p> {
    parts: Parts<'a>,
    pins: &'p [(&'p str, u32)],
}

impl<'a> Interpreter<'a, '_> {
    /// What the imports of both are.
    fn targets(
        &mut self,
        driver: &Parts<'a>,
        kind: Kind,
    ) -> Result<Vec<Target<Outer<'a>>>, MergeError> {
        let mut targets = Vec::new();
        for import in self.parts.imports[kind].clone() {
            targets.push(self.served(&import, driver)?);
        }
        for import in &driver.imports[kind] {
            targets.push(self.asked(import)?);
        }
        Ok(targets)
    }

    /// What an import of the interpreter is: the driver's, the host's, or a function that traps.
    fn served(
        &mut self,
        import: &Import<'a>,
        driver: &Parts<'a>,
    ) -> Result<Target<Outer<'a>>, MergeError> {
        let TypeRef::Func(ty) = import.ty else {
            return Err(MergeError::Unsuited("something else than functions is imported"));
        };
        match exported(driver, &format!("{SERVE}{} {}", import.module, import.name)) {
            Some(index) => Ok(Target::Own { member: NEW, own: own(driver, index)? }),
            None if import.module == WASI => Ok(Target::Outer((import.module, import.name))),
            None => {
                self.parts.functions.push(ty);
                self.parts.bodies.push(body_of(TRAP));
                Ok(Target::Own { member: OLD, own: self.parts.functions.len() - 1 })
            }
        }
    }

    /// What an import of the driver is.
    fn asked(&self, import: &Import<'a>) -> Result<Target<Outer<'a>>, MergeError> {
        match (import.module, import.ty) {
            (INTERPRETER, TypeRef::Func(_)) => {
                let own = own(&self.parts, self.function(import.name)?)?;
                Ok(Target::Own { member: OLD, own })
            }
            (INTERPRETER, TypeRef::Memory(_) | TypeRef::Table(_)) => {
                Ok(Target::Own { member: OLD, own: 0 })
            }
            (PLACE, TypeRef::Global(_)) => Ok(Target::Constant(self.place(import.name)?)),
            (module, TypeRef::Func(_)) => Ok(Target::Outer((module, import.name))),
            _ => Err(MergeError::Unsuited("something else than functions is imported")),
        }
    }

    /// The function that is called `name`. Where the name section calls several so, as it does
    /// private functions of C, it is none.
    fn function(&self, name: &str) -> Result<u32, MergeError> {
        let pinned = || self.pins.iter().find(|(pin, _)| *pin == name).map(|(_, index)| *index);
        let named = || {
            let mut called = self.parts.names.iter().filter(|(_, called)| *called == name);
            called.next().filter(|_| called.next().is_none()).map(|(index, _)| *index)
        };
        let found = exported(&self.parts, name).or_else(pinned).or_else(named);
        found.ok_or_else(|| MergeError::Missing(format!("function `{name}`")))
    }

    /// Where the driver's part of the memory or the table begins: behind the interpreter's.
    fn place(&self, of: &str) -> Result<i32, MergeError> {
        let begins = match of {
            "memory" => self.parts.memories.first().map(|memory| memory.initial * PAGE),
            "table" => self.parts.tables.first().map(|table| table.ty.initial),
            _ => return Err(MergeError::Unsuited("the driver asks for an unknown place")),
        };
        let begins = u32::try_from(begins.ok_or_else(|| MergeError::Missing(of.to_owned()))?);
        begins
            .map(u32::cast_signed)
            .map_err(|_| MergeError::Unsuited("the interpreter's memory or table is too large"))
    }

    /// Adds the driver's part of the memory and of the table.
    fn grow(&mut self, driver: &Parts<'_>) -> Result<(), MergeError> {
        let missing = |what: &str| MergeError::Missing(what.to_owned());
        for import in driver.imports[Kind::Memory].iter().chain(&driver.imports[Kind::Table]) {
            match import.ty {
                TypeRef::Memory(more) => {
                    let memory = self.parts.memories.first_mut();
                    memory.ok_or_else(|| missing("memory"))?.initial += more.initial;
                }
                TypeRef::Table(more) => {
                    let table = self.parts.tables.first_mut();
                    let ty = &mut table.ok_or_else(|| missing("table"))?.ty;
                    ty.initial += more.initial;
                    ty.maximum = ty.maximum.map(|maximum| maximum + more.initial);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The body of a function that is cut, if there is one place for that; and whose it is.
    fn shortened(&self, cut: &Cut) -> Result<(usize, Vec<u8>), MergeError> {
        let callee = self.function(cut.before)?;
        let at = own(&self.parts, self.function(cut.function)?)?;
        let body = self.parts.bodies.get(at);
        let body = body.ok_or(MergeError::Unsuited("what is to be cut is not there"))?;
        let mut operators = body.get_operators_reader()?;
        let mut calls = Vec::new();
        while !operators.eof() {
            let begins = operators.original_position();
            let operator = operators.read()?;
            if matches!(operator, Operator::Call { function_index } if function_index == callee) {
                calls.push(begins..operators.original_position());
            }
        }
        let [call] = &calls[..] else {
            return Err(MergeError::Unsuited("there is not one place to cut at"));
        };
        let (bytes, first) = (body.as_bytes(), body.range().start);
        let (before, after) = (&bytes[..call.start - first], &bytes[call.end - first..]);
        Ok((at, [before, &[RETURN], after].concat()))
    }
}

/// The function that is exported as `name`.
fn exported(parts: &Parts<'_>, name: &str) -> Option<u32> {
    let mut exports = parts.exports.iter();
    let found = exports.find(|(export, kind, _)| *kind == Kind::Function && *export == name);
    found.map(|(_, _, index)| *index)
}

/// Which of a module's own functions one is.
fn own(parts: &Parts<'_>, index: u32) -> Result<usize, MergeError> {
    let own = (index as usize).checked_sub(parts.imports[Kind::Function].len());
    own.ok_or(MergeError::Unsuited("a function is imported and asked for"))
}

fn body_of(bytes: &[u8]) -> FunctionBody<'_> {
    FunctionBody::new(BinaryReader::new(bytes, 0))
}
