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

mod parts;
#[cfg(test)]
mod tests;
mod write;

use wasm_encoder::reencode;
use wasmparser::Operator;

use parts::Parts;
use write::NoFunction;

/// The module that the driver names the interpreter by.
const INTERPRETER: &str = "interpreter";

/// The module of the driver's constants.
const PLACE: &str = "place";

/// The module whose functions the host has.
const WASI: &str = "wasi_snapshot_preview1";

/// How an export begins that serves an import of the interpreter.
const SERVE: &str = "serve ";

const PAGE: u64 = 65_536;

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
    /// The encoder refused.
    #[error("failed to write the module")]
    Encode(#[from] reencode::Error<NoFunction>),
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
    let interpreter = Parts::read(interpreter)?;
    let driver = Parts::read(driver)?;
    let cut = cut.map(|cut| place_of(&cut, &interpreter, pins)).transpose()?;
    let plan = Plan { cut, ..Plan::new(&interpreter, &driver, pins)? };
    Ok(write::write(&plan, &interpreter, &driver)?)
}

/// The place of a cut, if it is the only one of its kind.
fn place_of(cut: &Cut, interpreter: &Parts<'_>, pins: &[(&str, u32)]) -> Result<Place, MergeError> {
    let callee = interpreter.function(cut.before, pins)?;
    let function = interpreter.function(cut.function, pins)? as usize;
    let body = function.checked_sub(interpreter.imports.len()).unwrap_or(usize::MAX);
    let found = interpreter.bodies.get(body);
    let found = found.ok_or(MergeError::Unsuited("what is to be cut is no function of its own"))?;
    let mut calls = 0;
    for operator in found.get_operators_reader()? {
        calls += usize::from(is_call(&operator?, callee));
    }
    match calls {
        1 => Ok(Place { body, callee }),
        _ => Err(MergeError::Unsuited("there is not one place to cut at")),
    }
}

fn is_call(operator: &Operator<'_>, callee: u32) -> bool {
    matches!(operator, Operator::Call { function_index } if *function_index == callee)
}

/// What the outcome is made of. Its functions are, in this order: the imports that the interpreter
/// keeps, those that only the driver has, the interpreter's own, traps, the driver's own.
struct Plan {
    /// The new index of each function of the interpreter, and of the driver.
    interpreter: Vec<u32>,
    driver: Vec<u32>,
    /// The interpreter's imports that remain, and the driver's that are not among them.
    kept: Vec<usize>,
    added: Vec<usize>,
    /// The types of the interpreter's imports that trap.
    traps: Vec<u32>,
    /// What the driver's imported globals are.
    constants: Vec<i32>,
    /// Where a function of the interpreter is left.
    cut: Option<Place>,
}

/// The call, in the body of one of the interpreter's own functions, that becomes a return.
#[derive(Clone, Copy)]
struct Place {
    body: usize,
    callee: u32,
}

/// Where a function is found, before the number of all imports is known.
enum Home {
    /// An import of the outcome.
    Import(usize),
    /// A function of the interpreter, or of the driver, by its index there.
    Interpreter(u32),
    Driver(u32),
    /// A trap.
    Trap(usize),
}

impl Plan {
    fn new(
        interpreter: &Parts<'_>,
        driver: &Parts<'_>,
        pins: &[(&str, u32)],
    ) -> Result<Self, MergeError> {
        let mut kept = Vec::new();
        let mut traps = Vec::new();
        let mut asked = Vec::new();
        for (at, import) in interpreter.imports.iter().enumerate() {
            let served = driver.export(&format!("{SERVE}{} {}", import.module, import.name));
            asked.push(match served {
                Some(index) => Home::Driver(index),
                None if import.module == WASI => {
                    kept.push(at);
                    Home::Import(kept.len() - 1)
                }
                None => {
                    traps.push(import.ty);
                    Home::Trap(traps.len() - 1)
                }
            });
        }
        let mut added = Vec::new();
        let mut called = Vec::new();
        for (at, import) in driver.imports.iter().enumerate() {
            let same = |at: &usize| interpreter.imports[*at].is(import);
            called.push(if import.module == INTERPRETER {
                Home::Interpreter(interpreter.function(import.name, pins)?)
            } else if let Some(kept) = kept.iter().position(same) {
                Home::Import(kept)
            } else {
                added.push(at);
                Home::Import(kept.len() + added.len() - 1)
            });
        }
        let order =
            Order { imports: kept.len() + added.len(), traps: traps.len(), interpreter, driver };
        Ok(Self {
            interpreter: order.of(&asked, &interpreter.functions, Home::Interpreter)?,
            driver: order.of(&called, &driver.functions, Home::Driver)?,
            constants: constants(interpreter, driver)?,
            kept,
            added,
            traps,
            cut: None,
        })
    }
}

/// The order of the outcome's functions.
struct Order<'a> {
    imports: usize,
    traps: usize,
    interpreter: &'a Parts<'a>,
    driver: &'a Parts<'a>,
}

impl Order<'_> {
    /// The new indices of a module's functions: of its imports, which are found at `imports`, and of
    /// its own.
    fn of(
        &self,
        imports: &[Home],
        own: &[u32],
        home: impl Fn(u32) -> Home,
    ) -> Result<Vec<u32>, MergeError> {
        let own = (imports.len()..imports.len() + own.len()).map(|index| home(narrow(index)));
        let own: Vec<_> = own.collect();
        imports.iter().chain(&own).map(|home| self.index(home)).collect()
    }

    fn index(&self, home: &Home) -> Result<u32, MergeError> {
        let after_imports = |index: u32, parts: &Parts<'_>| {
            let own = (index as usize).checked_sub(parts.imports.len());
            own.ok_or(MergeError::Unsuited("a function is imported and asked for"))
        };
        let traps = self.imports + self.interpreter.functions.len();
        Ok(narrow(match home {
            Home::Import(at) => *at,
            Home::Interpreter(index) => self.imports + after_imports(*index, self.interpreter)?,
            Home::Trap(at) => traps + at,
            Home::Driver(index) => traps + self.traps + after_imports(*index, self.driver)?,
        }))
    }
}

/// What the driver's imported globals are: where its part of the memory and the table begins.
fn constants(interpreter: &Parts<'_>, driver: &Parts<'_>) -> Result<Vec<i32>, MergeError> {
    let memory = interpreter.memories.first().map(|memory| memory.initial * PAGE);
    let table = interpreter.tables.first().map(|table| table.ty.initial);
    let constants = driver.places.iter().map(|place| {
        let begins = match *place {
            "memory" => memory,
            "table" => table,
            _ => return Err(MergeError::Unsuited("the driver asks for an unknown place")),
        };
        let begins = begins.ok_or_else(|| MergeError::Missing((*place).to_owned()))?;
        let begins = u32::try_from(begins).map(u32::cast_signed);
        begins.map_err(|_| MergeError::Unsuited("the interpreter's memory or table is too large"))
    });
    constants.collect()
}

/// Modules are read with 32-bit sizes, so counts of what is in them are below that.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
