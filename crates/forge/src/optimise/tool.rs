//! Binaryen's `wasm-opt`. The package has it as WebAssembly within a script of JavaScript; what that
//! script does for it is done by a driver of ours, and together they are a component that reads a
//! module from standard input and writes one to standard output.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use dayfly_engine::{Digest, Engine, EngineError, Mode};
use wasmparser::{CompositeInnerType, FuncType, Parser, Payload, TypeRef, ValType};

use super::module::{self, Face, Parts};
use super::{OptimiseError, OptimiseTerms, Optimiser, features};
use crate::componentise;
use crate::fetch::digest_of;
use crate::sandbox::{self, Ended, Terms};
use crate::script::{MergeError, Package, Registry, merge};

/// The optimiser.
pub const OPTIMISER: Package = Package {
    purpose: "the optimiser of WebAssembly",
    registry: Registry::Npm,
    name: "binaryen",
    version: "132.0.0",
    file: "bin/wasm-opt",
    digest: "608c021fa3f2c68cdc26f06a1454341089a0e689abb71cbe5a23ef7300e7f3e3",
};

/// What its imports are from.
const IMPORTS: &str = "a";

/// How the exports of the driver begin that serve imports.
const SERVE: &str = "serve a ";

/// The text of the driver, but for what follows from the tool's imports.
const DRIVER: &str = include_str!("driver.wat");

/// How the module begins in the script.
const BEGINS: &str = "binaryDecode('";

/// The stack of the tool, which recurses on what it reads.
const STACK_BYTES: u64 = 16 << 20;

/// What an optimised module may have beside what it had before, in bytes.
const GROWTH_BYTES: usize = 16 << 20;

/// The tool, ready to run.
pub(super) struct Tool {
    engine: Engine,
    component: Vec<u8>,
}

/// An engine that runs the tool, and compiles as what serves does.
pub(super) fn engine(of: &Engine) -> Result<Engine, EngineError> {
    // The baseline compiler knows no exceptions, which the driver throws.
    let mode = if of.mode() == Mode::Baseline { Mode::Auto } else { of.mode() };
    sandbox::engine(of, mode, STACK_BYTES)
}

impl Tool {
    /// Makes a component of the tool, or takes it from the engine's artifact cache.
    pub(super) fn new(optimiser: &Optimiser<'_>) -> Result<Self, OptimiseError> {
        let name = Digest::of(OPTIMISER.digest.as_bytes());
        let cache = optimiser.engine.cache().and_then(Result::ok);
        let component = match cache.and_then(|cache| cache.made(&name)) {
            Some(kept) => kept,
            None => {
                let component = component(optimiser)?;
                if let Some(cache) = cache {
                    cache.keep_made(&name, &component);
                }
                component
            }
        };
        Ok(Self { engine: engine(optimiser.engine)?, component })
    }

    /// Optimises one core module, and checks what comes out.
    pub(super) fn optimise(
        &self,
        module: &[u8],
        at: usize,
        terms: &OptimiseTerms,
        until: Instant,
    ) -> Result<Vec<u8>, OptimiseError> {
        let parts = Parts::of(module, terms.debug).map_err(OptimiseError::Invalid)?;
        if module::only_connects(module).map_err(OptimiseError::Invalid)? {
            return Ok(parts.with(&parts.code));
        }
        let cpu = until.saturating_duration_since(Instant::now());
        let new = self.run(&parts.code, terms, cpu).map_err(|ended| failed(ended, at, terms))?;
        let wrong = |what, source| OptimiseError::Wrong { module: at, what, source };
        features::validate(&new).map_err(|error| wrong("not valid", Some(error)))?;
        let face = |module| Face::of(module).map_err(|error| wrong("damaged", Some(error)));
        if !face(&new)?.replaces(&face(module)?) {
            return Err(wrong("another one, with other imports or exports", None));
        }
        Ok(parts.with(&new))
    }

    fn run(&self, module: &[u8], terms: &OptimiseTerms, cpu: Duration) -> Result<Vec<u8>, Ended> {
        let terms = Terms {
            arguments: &module::arguments(module, terms.goal, terms.debug),
            input: module.to_vec(),
            folder: None,
            memory_bytes: terms.memory_bytes,
            cpu,
            output_bytes: module.len().saturating_add(GROWTH_BYTES),
        };
        sandbox::run(&self.engine.load(&self.component)?, terms)
    }
}

fn failed(ended: Ended, module: usize, terms: &OptimiseTerms) -> OptimiseError {
    match ended {
        Ended::Engine(error) => OptimiseError::Engine(error),
        Ended::Runtime(error) => OptimiseError::Runtime(error),
        Ended::Failed(said) => OptimiseError::Refused { module, said },
        Ended::Cpu => OptimiseError::Cpu { module, cpu: terms.cpu },
        Ended::Memory => OptimiseError::Memory { module, memory_bytes: terms.memory_bytes },
        Ended::Folder(source) => OptimiseError::Trapped { module, said: String::new(), source },
        Ended::Trapped(source, said) => OptimiseError::Trapped { module, said, source },
    }
}

/// The tool as a component: a command.
fn component(optimiser: &Optimiser<'_>) -> Result<Vec<u8>, OptimiseError> {
    let path = optimiser.tool.ok_or(OptimiseError::NotFetched)?;
    let script = std::fs::read(path)
        .map_err(|source| OptimiseError::Read { path: path.to_owned(), source })?;
    let changed = || OptimiseError::Changed { path: path.to_owned() };
    if digest_of(&script) != OPTIMISER.digest {
        return Err(changed());
    }
    let module = unpacked(&script).ok_or_else(changed)?;
    let driver = wat::parse_str(driver(&module)?).map_err(MergeError::Driver)?;
    let joined = merge(&module, &driver, &[], None)?;
    Ok(componentise::componentise(joined, None, None)?.0)
}

/// The module in the script: a text of which each character is a byte.
fn unpacked(script: &[u8]) -> Option<Vec<u8>> {
    let script = std::str::from_utf8(script).ok()?;
    let begins = script.find(BEGINS)? + BEGINS.len();
    let mut module = Vec::with_capacity(script.len());
    let mut text = script[begins..].chars();
    loop {
        let byte = match text.next()? {
            '\'' => return Some(module),
            '\\' => match text.next()? {
                'n' => '\n',
                'r' => '\r',
                escaped @ ('\\' | '\'') => escaped,
                _ => return None,
            },
            plain => plain,
        };
        module.push(u8::try_from(u32::from(byte)).ok()?);
    }
}

/// The driver's text. What it does not serve itself calls functions that may throw, one for each type.
fn driver(module: &[u8]) -> Result<String, MergeError> {
    let served: BTreeSet<_> =
        DRIVER.split(SERVE).skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let mut types = Vec::new();
    let mut text = format!("(module\n{DRIVER}\n");
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group?.into_types() {
                        let CompositeInnerType::Func(ty) = ty.composite_type.inner else {
                            return Err(MergeError::Unsuited("it has types of objects"));
                        };
                        types.push(ty);
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let (IMPORTS, TypeRef::Func(ty)) = (import.module, import.ty) else {
                        return Err(MergeError::Unsuited("it imports something else"));
                    };
                    if !served.contains(import.name) {
                        let ty = types.get(ty as usize).ok_or(MergeError::Unsuited("no type"))?;
                        text.push_str(&invoke(import.name, ty)?);
                    }
                }
                break;
            }
            _ => {}
        }
    }
    text.push(')');
    Ok(text)
}

/// A function that calls the one with the number of its first argument, with the others, and says so if
/// that throws.
fn invoke(name: &str, ty: &FuncType) -> Result<String, MergeError> {
    let Some((ValType::I32, arguments)) = ty.params().split_first() else {
        return Err(MergeError::Unsuited("it imports an unknown function"));
    };
    let list = |keyword: &str, types: &[ValType]| {
        let types: String = types.iter().map(|ty| format!(" {ty}")).collect();
        if types.is_empty() { types } else { format!(" ({keyword}{types})") }
    };
    let result = list("result", ty.results());
    let arguments_list = list("param", arguments);
    let mut text =
        format!("(func (export \"{SERVE}{name}\") (param i32){arguments_list}{result}\n");
    let stack = arguments.len() + 1;
    let given: String = (1..stack).map(|at| format!(" (local.get {at})")).collect();
    let nothing: String = ty.results().iter().map(|ty| format!(" ({ty}.const 0)")).collect();
    // Writing to a text cannot fail.
    let _ = write!(
        text,
        "  (local i32) (local.set {stack} (call $stack))
  (block $thrown
    (return
      (try_table{result} (catch $cpp $thrown)
        (call_indirect{arguments_list}{result}{given} (local.get 0)))))
  (call $restore_stack (local.get {stack}))
  (call $set_threw (i32.const 1) (i32.const 0)){nothing})\n"
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_found_in_its_script() {
        let script = "x();a=binaryDecode('\0asm\\'\\\\\\n\\r\u{ff}');b('no')";
        assert_eq!(unpacked(script.as_bytes()).unwrap(), b"\0asm'\\\n\r\xff");
        assert_eq!(unpacked("binaryDecode('".as_bytes()), None);
        assert_eq!(unpacked("binaryDecode('\u{100}'".as_bytes()), None);
        assert_eq!(unpacked(b"nothing"), None);
    }
}
