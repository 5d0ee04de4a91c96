//! Takes a component apart into its core modules, which are as deep in it as others are nested, and puts
//! it together with others in their place. Everything else stays as it is, byte for byte.

use std::collections::HashMap;

use wasmparser::{Encoding, Payload};

use super::OptimiseError;
use super::module::Debug;
use crate::sections::sections;

/// How deep components may be nested.
pub(super) const DEEPEST: usize = 64;

/// The numbers of the sections that hold a core module and a component.
const MODULE: u8 = 1;
const COMPONENT: u8 = 4;

/// What makes another of a core module. It is told which one it is, in the order in which they stand.
pub(super) type Change<'a> = &'a mut dyn FnMut(&[u8], usize) -> Result<Vec<u8>, OptimiseError>;

/// Whether the bytes are a core module, by their header.
pub(super) fn is_module(wasm: &[u8]) -> bool {
    let first = sections(wasm).next().and_then(Result::ok);
    matches!(first.map(|it| it.payload), Some(Payload::Version { encoding: Encoding::Module, .. }))
}

/// The component with each core module changed, equal ones once; or a module changed.
///
/// # Errors
/// When the bytes are neither, or a change fails.
pub fn rewrite(wasm: &[u8], debug: Debug, change: Change<'_>) -> Result<Vec<u8>, OptimiseError> {
    if is_module(wasm) {
        return change(wasm, 0);
    }
    Rewriting { debug, change, seen: 0, changed: HashMap::new() }.component(wasm, 0)
}

struct Rewriting<'a> {
    debug: Debug,
    change: Change<'a>,
    /// How many modules were met.
    seen: usize,
    /// What modules became, by what they were.
    changed: HashMap<blake3::Hash, Vec<u8>>,
}

impl Rewriting<'_> {
    fn component(&mut self, wasm: &[u8], depth: usize) -> Result<Vec<u8>, OptimiseError> {
        if depth > DEEPEST {
            return Err(OptimiseError::TooDeep);
        }
        let mut out = Vec::with_capacity(wasm.len());
        for section in sections(wasm) {
            let section = section.map_err(OptimiseError::Invalid)?;
            match section.payload {
                Payload::ModuleSection { unchecked_range, .. } => {
                    let module = self.module(&wasm[unchecked_range])?;
                    write(&mut out, MODULE, &module);
                }
                Payload::ComponentSection { unchecked_range, .. } => {
                    let inner = self.component(&wasm[unchecked_range], depth + 1)?;
                    write(&mut out, COMPONENT, &inner);
                }
                Payload::CustomSection(custom) if !self.debug.keeps(custom.name()) => {}
                _ => out.extend_from_slice(&wasm[section.range]),
            }
        }
        Ok(out)
    }

    fn module(&mut self, module: &[u8]) -> Result<Vec<u8>, OptimiseError> {
        let at = self.seen;
        self.seen += 1;
        let digest = blake3::hash(module);
        if let Some(changed) = self.changed.get(&digest) {
            return Ok(changed.clone());
        }
        let changed = (self.change)(module, at)?;
        self.changed.insert(digest, changed.clone());
        Ok(changed)
    }
}

fn write(out: &mut Vec<u8>, number: u8, content: &[u8]) {
    out.push(number);
    // Unsigned LEB128, in as few bytes as it takes.
    let mut size = content.len();
    while size >= 0x80 {
        out.push((size & 0x7f) as u8 | 0x80);
        size >>= 7;
    }
    out.push(size as u8);
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::super::features;
    use super::*;

    const NESTED: &str = r#"(component $named
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (component $inner
          (core module (func (export "f")))
          (core module (memory 1)))
        (func (export "f") (canon lift (core func $i "f")))
        (@custom "producers" "p"))"#;

    #[test]
    fn every_module_is_met_once() {
        let wasm = wat::parse_str(NESTED).unwrap();
        let mut met = Vec::new();
        let same = rewrite(&wasm, Debug::Kept, &mut |module, at| {
            assert!(is_module(module));
            met.push(at);
            Ok(module.to_vec())
        });
        assert_eq!(same.unwrap(), wasm);
        // The second is the first again, but for its name.
        assert_eq!(met, [0, 1, 2]);
        let equal = wat::parse_str("(component (core module (memory 1)) (core module (memory 1)))");
        let mut met = Vec::new();
        let same = rewrite(&equal.unwrap(), Debug::Kept, &mut |module, at| {
            met.push(at);
            Ok(module.to_vec())
        });
        same.unwrap();
        assert_eq!(met, [0]);
    }

    #[test]
    fn others_take_their_place() {
        let wasm = wat::parse_str(NESTED).unwrap();
        let other =
            wat::parse_str(r#"(module (func (nop)) (func (export "f")) (memory 3))"#).unwrap();
        let new = rewrite(&wasm, Debug::Stripped, &mut |_, _| Ok(other.clone())).unwrap();
        features::validate(&new).unwrap();
        let count = new.windows(other.len()).filter(|it| *it == other).count();
        assert_eq!(count, 3);
        assert!(!new.windows(9).any(|it| it == b"producers" || it == b"component"));
    }

    #[test]
    fn what_is_nested_too_deep_is_refused() {
        let nested = |depth| {
            let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
            for _ in 0..depth {
                let mut outer = b"\0asm\x0d\0\x01\0".to_vec();
                write(&mut outer, COMPONENT, &wasm);
                wasm = outer;
            }
            wasm
        };
        let mut same = |module: &[u8], _: usize| Ok(module.to_vec());
        assert_eq!(rewrite(&nested(DEEPEST), Debug::Kept, &mut same).unwrap(), nested(DEEPEST));
        let error = rewrite(&nested(DEEPEST + 1), Debug::Kept, &mut same).unwrap_err();
        assert!(matches!(error, OptimiseError::TooDeep));
    }
}
